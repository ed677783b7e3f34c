// libuv has callbacks and no tasks, so only timers and calls from other threads compare. Its
// sleepers are bare timers: what it would cost to wait without anything that waits.
#include "measure.hpp"

#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using bench::Arguments;
using bench::batch_size;
using bench::report;
using bench::Stopwatch;

constexpr std::uint64_t second_ms = 1000;

template <class Delay>
void sleep_together(uv_loop_t* loop, long count, Delay delay_ms) {
    std::vector<uv_timer_t> timers(static_cast<std::size_t>(count));
    for (uv_timer_t& timer : timers) {
        uv_timer_init(loop, &timer);
        uv_timer_start(&timer, [](uv_timer_t*) {}, delay_ms(), 0);
    }
    uv_run(loop, UV_RUN_DEFAULT);
}

void set_and_cancel(uv_loop_t* loop, long operations) {
    bench::Xorshift random;
    std::vector<uv_timer_t> background(batch_size);
    for (uv_timer_t& timer : background) {
        uv_timer_init(loop, &timer);
        uv_timer_start(&timer, [](uv_timer_t*) {}, (5 + random.next() % 10) * second_ms, 0);
    }
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    for (long turn = 0; turn < operations; ++turn) {
        const auto later_ms = static_cast<std::uint64_t>(turn) / 1'000'000;
        uv_timer_start(&timer, [](uv_timer_t*) {}, 10 * second_ms + later_ms, 0);
        uv_timer_stop(&timer);
    }
}

// uv_async_send only wakes the loop, and several sends may become one wake: the queue of
// callbacks is the program's own.
struct Mailbox {
    std::mutex mutex;
    std::vector<std::function<void()>> incoming;  // Guarded by mutex.
    std::vector<std::function<void()>> running;   // Loop thread only.
    long called = 0;
    long expected = 0;

    void push(std::function<void()> callback, uv_async_t* wake) {
        bool was_empty = false;
        {
            const std::lock_guard lock(mutex);
            was_empty = incoming.empty();
            incoming.push_back(std::move(callback));
        }
        if (was_empty) {
            uv_async_send(wake);
        }
    }

    void deliver(uv_loop_t* loop) {
        {
            const std::lock_guard lock(mutex);
            running.swap(incoming);
        }
        for (auto& callback : running) {
            callback();
        }
        running.clear();
        if (called == expected) {
            uv_stop(loop);
        }
    }
};

void threadsafe(uv_loop_t* loop, long operations) {
    Mailbox mailbox;
    mailbox.expected = operations;
    uv_async_t wake;
    uv_async_init(loop, &wake, [](uv_async_t* async) {
        static_cast<Mailbox*>(async->data)->deliver(async->loop);
    });
    wake.data = &mailbox;
    std::thread caller([&] {
        for (long turn = 0; turn < operations; ++turn) {
            mailbox.push([&mailbox] { ++mailbox.called; }, &wake);
        }
    });
    uv_run(loop, UV_RUN_DEFAULT);
    caller.join();
}

void call_in_thread(uv_loop_t* loop, long operations) {
    setenv("UV_THREADPOOL_SIZE", "1", 1);
    struct Calls {
        uv_work_t work;
        long left;

        void begin() {
            uv_queue_work(
                work.loop, &work, [](uv_work_t*) {},
                [](uv_work_t* ended, int) {
                    auto& calls = *static_cast<Calls*>(ended->data);
                    if (--calls.left > 0) {
                        calls.begin();
                    }
                });
        }
    } calls{};
    calls.work.data = &calls;
    calls.work.loop = loop;
    calls.left = operations;
    calls.begin();
    uv_run(loop, UV_RUN_DEFAULT);
}

int measure(const Arguments& arguments) {
    const auto& [row, operations, seconds] = arguments;
    uv_loop_t* loop = uv_default_loop();
    const Stopwatch watch;
    if (row == "sleepers") {
        sleep_together(loop, operations, [&] { return seconds * second_ms; });
        report("sleepers_cpu_s", watch.cpu());
        report("sleepers_mib", bench::peak_memory_mib());
    } else if (row == "sleeps") {
        bench::Xorshift random;
        sleep_together(loop, operations, [&] { return random.next() % second_ms; });
        report("sleeps_cpu_ns", watch.cpu_ns_per(operations));
    } else if (row == "timers") {
        set_and_cancel(loop, operations);
        report("timers_ns", watch.ns_per(operations));
    } else if (row == "threadsafe") {
        threadsafe(loop, operations);
        report("threadsafe_ns", watch.ns_per(operations));
    } else if (row == "thread_call" || row == "thread_call_one_core") {
        call_in_thread(loop, operations);
        report((row + "_us").c_str(), watch.ns_per(operations) / 1000);
    } else if (row == "version") {
        std::printf("version %s\n", uv_version_string());
    } else {
        std::fprintf(stderr, "no row '%s' here\n", row.c_str());
        return 2;
    }
    return 0;
}

}  // namespace

int main(int count, char** values) { return measure(Arguments(count, values)); }
