// The rows on this library, with nothing but its public interface, as a user would write them.
#include <asyncio/asyncio.hpp>

#include "measure.hpp"

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::Task;
using bench::Arguments;
using bench::batch_size;
using bench::report;
using bench::Stopwatch;
using std::chrono::nanoseconds;

Coro<int> identity(int value) { co_return value; }

Coro<void> spawn(long operations) {
    long sum = 0;
    for (long batch = 0; batch < operations / batch_size; ++batch) {
        std::vector<Task<int>> tasks;
        tasks.reserve(batch_size);
        for (int index = 0; index < batch_size; ++index) {
            tasks.push_back(asyncio::create_task(identity(index)));
        }
        const std::vector<int> results = co_await asyncio::gather(tasks);
        sum += results.back();
    }
    bench::keep(sum);
}

Coro<void> yield_often(long times) {
    for (long turn = 0; turn < times; ++turn) {
        co_await asyncio::sleep(nanoseconds(0));
    }
}

Coro<void> take_turns(long operations) {
    std::vector<Task<void>> tasks;
    for (int index = 0; index < batch_size; ++index) {
        tasks.push_back(asyncio::create_task(yield_often(operations / batch_size)));
    }
    for (const Task<void>& task : tasks) {
        co_await task;
    }
}

Coro<int> fib(int n) {
    if (n < 2) {
        co_return n;
    }
    const int first = co_await fib(n - 1);
    const int second = co_await fib(n - 2);
    co_return first + second;
}

Coro<void> fib_often(long times) {
    int sum = 0;
    for (long turn = 0; turn < times; ++turn) {
        sum += co_await fib(bench::fib_argument);
    }
    bench::keep(sum);
}

Coro<void> sleeper(std::uint64_t delay_ns) { co_await asyncio::sleep(nanoseconds(delay_ns)); }

template <class Delay>
Coro<void> sleep_together(long count, Delay delay_ns) {
    std::vector<Task<void>> tasks;
    tasks.reserve(static_cast<std::size_t>(count));
    for (long index = 0; index < count; ++index) {
        tasks.push_back(asyncio::create_task(sleeper(delay_ns())));
    }
    for (const Task<void>& task : tasks) {
        co_await task;
    }
}

Coro<void> timers(long operations) {
    asyncio::EventLoop& loop = asyncio::get_running_loop();
    const auto start = loop.time();
    bench::Xorshift random;
    std::vector<asyncio::TimerHandle> background;
    for (int index = 0; index < batch_size; ++index) {
        const auto delay = std::chrono::seconds(5 + random.next() % 10);
        background.push_back(loop.call_at(start + delay, [] {}));
    }
    const auto deadline = start + std::chrono::seconds(10);
    for (long turn = 0; turn < operations; ++turn) {
        loop.call_at(deadline + nanoseconds(turn), [] {}).cancel();
    }
    for (const asyncio::TimerHandle& timer : background) {
        timer.cancel();
    }
    co_return;
}

Coro<void> threadsafe(long operations) {
    asyncio::EventLoop& loop = asyncio::get_running_loop();
    auto all_called = loop.create_future<void>();
    long called = 0;
    std::thread caller([&] {
        for (long turn = 0; turn < operations; ++turn) {
            loop.call_soon_threadsafe([&] {
                if (++called == operations) {
                    all_called.set_result();
                }
            });
        }
    });
    co_await all_called;
    caller.join();
}

int measure(const Arguments& arguments) {
    const auto& [row, operations, seconds] = arguments;
    const Stopwatch watch;
    if (row == "spawn") {
        asyncio::run(spawn(operations));
        report("spawn_ns", watch.ns_per(operations));
    } else if (row == "switch") {
        asyncio::run(take_turns(operations));
        report("switch_ns", watch.ns_per(operations));
    } else if (row == "switch1") {
        asyncio::run(yield_often(operations));
        report("switch1_ns", watch.ns_per(operations));
    } else if (row == "await") {
        const long times = operations / bench::fib_awaits;
        asyncio::run(fib_often(times));
        report("await_ns", watch.ns_per(times * bench::fib_awaits));
    } else if (row == "sleepers") {
        asyncio::run(sleep_together(operations, [&] { return seconds * bench::second_ns; }));
        report("sleepers_cpu_s", watch.cpu());
        report("sleepers_mib", bench::peak_memory_mib());
    } else if (row == "sleeps") {
        bench::Xorshift random;
        asyncio::run(sleep_together(operations, [&] { return random.next() % bench::second_ns; }));
        report("sleeps_cpu_ns", watch.cpu_ns_per(operations));
    } else if (row == "timers") {
        asyncio::run(timers(operations));
        report("timers_ns", watch.ns_per(operations));
    } else if (row == "threadsafe") {
        asyncio::run(threadsafe(operations));
        report("threadsafe_ns", watch.ns_per(operations));
    } else {
        std::fprintf(stderr, "no row '%s' here\n", row.c_str());
        return 2;
    }
    return 0;
}

}  // namespace

int main(int count, char** values) { return measure(Arguments(count, values)); }
