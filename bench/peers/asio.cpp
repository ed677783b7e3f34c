// Asio's C++20 coroutines. Asio has no gather: a batch is joined by counting completion handlers,
// the last of which ends the wait on a timer.
#include "executors/work.hpp"
#include "measure.hpp"

#include <asio.hpp>
#include <asio/experimental/channel.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using bench::Arguments;
using bench::batch_size;
using bench::report;
using bench::Stopwatch;

// Waits until as many tasks as expected have ended.
class Join {
public:
    Join(asio::any_io_executor executor, long expected)
        : wake_(std::move(executor), asio::steady_timer::time_point::max()), expected_(expected) {}

    void child_done() {
        if (--expected_ == 0) {
            wake_.cancel();
        }
    }

    awaitable<void> wait() {
        asio::error_code cancelled;
        co_await wake_.async_wait(asio::redirect_error(use_awaitable, cancelled));
    }

private:
    asio::steady_timer wake_;
    long expected_;
};

awaitable<int> identity(int value) { co_return value; }

awaitable<void> spawn(long operations) {
    const auto executor = co_await asio::this_coro::executor;
    long sum = 0;
    for (long batch = 0; batch < operations / batch_size; ++batch) {
        std::vector<int> results(batch_size);
        Join join(executor, batch_size);
        for (int index = 0; index < batch_size; ++index) {
            asio::co_spawn(executor, identity(index),
                           [&, index](const std::exception_ptr&, int value) {
                               results[static_cast<std::size_t>(index)] = value;
                               join.child_done();
                           });
        }
        co_await join.wait();
        sum += results.back();
    }
    bench::keep(sum);
}

awaitable<void> yield_often(long times) {
    for (long turn = 0; turn < times; ++turn) {
        co_await asio::post(use_awaitable);
    }
}

awaitable<int> fib(long n) {
    if (n < 2) {
        co_return static_cast<int>(n);
    }
    const int first = co_await fib(n - 1);
    const int second = co_await fib(n - 2);
    co_return first + second;
}

awaitable<void> fib_often(long times) {
    int sum = 0;
    for (long turn = 0; turn < times; ++turn) {
        sum += co_await fib(bench::fib_argument);
    }
    bench::keep(sum);
}

awaitable<void> sleeper(std::uint64_t delay_ns) {
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             std::chrono::nanoseconds(delay_ns));
    co_await timer.async_wait(use_awaitable);
}

template <class MakeChild>
awaitable<void> run_together(long count, MakeChild make_child) {
    const auto executor = co_await asio::this_coro::executor;
    Join join(executor, count);
    for (long index = 0; index < count; ++index) {
        asio::co_spawn(executor, make_child(),
                       [&](const std::exception_ptr&) { join.child_done(); });
    }
    co_await join.wait();
}

void run(awaitable<void> main) {
    asio::io_context context(1);
    asio::co_spawn(context, std::move(main), asio::detached);
    context.run();
}

// A cancelled wait still calls its handler, so the handlers are run after each batch.
void timers(long operations) {
    using std::chrono::nanoseconds;
    asio::io_context context(1);
    bench::Xorshift random;
    std::vector<asio::steady_timer> background;
    for (int index = 0; index < batch_size; ++index) {
        const auto delay = (5 + random.next() % 10) * bench::second_ns;
        background.emplace_back(context, nanoseconds(delay));
        background.back().async_wait([](const asio::error_code&) {});
    }
    asio::steady_timer timer(context);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (long batch = 0; batch < operations / batch_size; ++batch) {
        for (long turn = 0; turn < batch_size; ++turn) {
            timer.expires_at(deadline + nanoseconds(batch * batch_size + turn));
            timer.async_wait([](const asio::error_code&) {});
            timer.cancel();
        }
        context.poll();
    }
}

void threadsafe(long operations) {
    asio::io_context context(1);
    auto work = asio::make_work_guard(context);
    long called = 0;
    std::thread caller([&] {
        for (long turn = 0; turn < operations; ++turn) {
            asio::post(context, [&called] { ++called; });
        }
        work.reset();
    });
    context.run();
    caller.join();
}

template <class T>
awaitable<T> echo(T value) {
    co_return value;
}

template <class T>
awaitable<void> call_in_thread(T value, long operations) {
    asio::thread_pool pool(1);
    for (long turn = 0; turn < operations; ++turn) {
        value = co_await asio::co_spawn(pool, echo(std::move(value)), use_awaitable);
    }
    bench::keep(&value);
}

// Asio has no queue for coroutines but its channel, and no lock.
using Channel = asio::experimental::channel<void(asio::error_code, long)>;

awaitable<void> put_and_get(long operations) {
    Channel queue(co_await asio::this_coro::executor, 1);
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        co_await queue.async_send(asio::error_code(), turn, use_awaitable);
        sum += co_await queue.async_receive(use_awaitable);
    }
    bench::keep(sum);
}

awaitable<void> pong(Channel& pings, Channel& pongs, long times) {
    for (long turn = 0; turn < times; ++turn) {
        const long ball = co_await pings.async_receive(use_awaitable);
        co_await pongs.async_send(asio::error_code(), ball + 1, use_awaitable);
    }
}

awaitable<void> ping(Channel& pings, Channel& pongs, long times) {
    long ball = 0;
    for (long turn = 0; turn < times; ++turn) {
        co_await pings.async_send(asio::error_code(), ball, use_awaitable);
        ball = co_await pongs.async_receive(use_awaitable);
    }
    bench::keep(ball);
}

void ping_pong(long operations) {
    asio::io_context context(1);
    Channel pings(context, 1);
    Channel pongs(context, 1);
    asio::co_spawn(context, ping(pings, pongs, operations), asio::detached);
    asio::co_spawn(context, pong(pings, pongs, operations), asio::detached);
    context.run();
}

int measure(const Arguments& arguments) {
    const auto& [row, operations, seconds] = arguments;
    const Stopwatch watch;
    if (row == "spawn") {
        run(spawn(operations));
        report("spawn_ns", watch.ns_per(operations));
    } else if (row == "switch") {
        run(run_together(batch_size, [&] { return yield_often(operations / batch_size); }));
        report("switch_ns", watch.ns_per(operations));
    } else if (row == "switch1") {
        run(yield_often(operations));
        report("switch1_ns", watch.ns_per(operations));
    } else if (row == "await") {
        const long times = operations / bench::fib_awaits;
        run(fib_often(times));
        report("await_ns", watch.ns_per(times * bench::fib_awaits));
    } else if (row == "sleepers") {
        run(run_together(operations, [&] { return sleeper(seconds * bench::second_ns); }));
        report("sleepers_cpu_s", watch.cpu());
        report("sleepers_mib", bench::peak_memory_mib());
    } else if (row == "sleeps") {
        bench::Xorshift random;
        run(run_together(operations, [&] { return sleeper(random.next() % bench::second_ns); }));
        report("sleeps_cpu_ns", watch.cpu_ns_per(operations));
    } else if (row == "timers") {
        timers(operations);
        report("timers_ns", watch.ns_per(operations));
    } else if (row == "threadsafe") {
        threadsafe(operations);
        report("threadsafe_ns", watch.ns_per(operations));
    } else if (row == "thread_call" || row == "thread_call_one_core") {
        run(call_in_thread(1, operations));
        report((row + "_us").c_str(), watch.ns_per(operations) / 1000);
    } else if (row == "thread_mib") {
        run(call_in_thread(bench::make_megabyte(), operations));
        report("thread_mib_us", watch.ns_per(operations) / 1000);
    } else if (row == "queue") {
        run(put_and_get(operations));
        report("queue_ns", watch.ns_per(operations));
    } else if (row == "pingpong") {
        ping_pong(operations);
        report("pingpong_ns", watch.ns_per(operations));
    } else if (row == "version") {
        std::printf("version %d.%d.%d\n", ASIO_VERSION / 100'000, ASIO_VERSION / 100 % 1000,
                    ASIO_VERSION % 100);
    } else {
        std::fprintf(stderr, "no row '%s' here\n", row.c_str());
        return 2;
    }
    return 0;
}

}  // namespace

int main(int count, char** values) { return measure(Arguments(count, values)); }
