// The rows on this library, with nothing but its public interface, as a user would write them.
#include <asyncio/asyncio.hpp>

#include "echo_in_process.hpp"
#include "measure.hpp"

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::Task;
using bench::Arguments;
using bench::batch_size;
using bench::echo_in_process;
using bench::EchoLevel;
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

template <class Primitive>
Coro<void> hold_often(Primitive& primitive, long times) {
    for (long turn = 0; turn < times; ++turn) {
        const auto guard = co_await primitive.scoped();
        bench::keep(&primitive);
    }
}

// The primitive is held until all tasks are in line: from then on each release hands it over.
template <class Primitive, long task_count>
Coro<void> hold_in_turn(long operations) {
    Primitive primitive;
    co_await primitive.acquire();
    std::vector<Task<void>> tasks;
    for (long index = 0; index < task_count; ++index) {
        tasks.push_back(asyncio::create_task(hold_often(primitive, operations / task_count)));
    }
    co_await asyncio::sleep(nanoseconds(0));
    primitive.release();
    for (const Task<void>& task : tasks) {
        co_await task;
    }
}

Coro<void> put_and_get(long operations) {
    asyncio::Queue<long> queue;
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        co_await queue.put(turn);
        bench::keep(&queue);
        sum += co_await queue.get();
    }
    bench::keep(sum);
}

Coro<void> pong(asyncio::Queue<long>& pings, asyncio::Queue<long>& pongs, long times) {
    for (long turn = 0; turn < times; ++turn) {
        co_await pongs.put(co_await pings.get() + 1);
    }
}

Coro<void> ping_pong(long operations) {
    asyncio::Queue<long> pings;
    asyncio::Queue<long> pongs;
    const Task<void> other = asyncio::create_task(pong(pings, pongs, operations));
    long ball = 0;
    for (long turn = 0; turn < operations; ++turn) {
        co_await pings.put(ball);
        ball = co_await pongs.get();
    }
    co_await other;
    bench::keep(ball);
}

Coro<void> set_deadlines(long operations) {
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        sum += co_await asyncio::timeout(std::chrono::hours(1), [] { return identity(1); });
    }
    bench::keep(sum);
}

Coro<void> spawn_in_group(long operations) {
    long sum = 0;
    for (long batch = 0; batch < operations / batch_size; ++batch) {
        std::vector<Task<int>> tasks;
        tasks.reserve(batch_size);
        co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> Coro<void> {
            for (int index = 0; index < batch_size; ++index) {
                tasks.push_back(group.create_task(identity(index)));
            }
            co_return;
        });
        std::vector<int> results;
        results.reserve(batch_size);
        for (const Task<int>& task : tasks) {
            results.push_back(task.result());
        }
        sum += results.back();
    }
    bench::keep(sum);
}

// By turns, so that a machine that slows down in between slows both.
Coro<void> compare_group_with_gather(long operations) {
    constexpr long parts = 10;
    const long part = operations / parts;
    double group_ns = 0;
    double gather_ns = 0;
    for (long turn = 0; turn < parts; ++turn) {
        const Stopwatch group_watch;
        co_await spawn_in_group(part);
        group_ns += group_watch.ns_per(operations);
        const Stopwatch gather_watch;
        co_await spawn(part);
        gather_ns += gather_watch.ns_per(operations);
    }
    report("group_ns", group_ns);
    report("gather_ns", gather_ns);
}

// The rows that only count nanoseconds an operation; of those of the echo, the gates count the
// instructions.
const std::map<std::string, Coro<void> (*)(long)> plain_rows = {
    {"spawn", spawn},
    {"switch", take_turns},
    {"switch1", yield_often},
    {"timers", timers},
    {"lock", hold_in_turn<asyncio::Lock, 1>},
    {"lock_contended", hold_in_turn<asyncio::Lock, batch_size>},
    {"semaphore", hold_in_turn<asyncio::Semaphore, 1>},
    {"semaphore_contended", hold_in_turn<asyncio::Semaphore, batch_size>},
    {"queue", put_and_get},
    {"pingpong", ping_pong},
    {"timeout", set_deadlines},
    {"echo_transport", [](long times) { return echo_in_process(EchoLevel::transport, times); }},
    {"echo_streams", [](long times) { return echo_in_process(EchoLevel::streams, times); }},
};

int measure(const Arguments& arguments) {
    const auto& [row, operations, seconds] = arguments;
    const Stopwatch watch;
    if (const auto plain = plain_rows.find(row); plain != plain_rows.end()) {
        asyncio::run(plain->second, operations);
        report((row + "_ns").c_str(), watch.ns_per(operations));
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
    } else if (row == "group") {
        asyncio::run(compare_group_with_gather(operations));
    } else {
        std::fprintf(stderr, "no row '%s' here\n", row.c_str());
        return 2;
    }
    return 0;
}

}  // namespace

int main(int count, char** values) { return measure(Arguments(count, values)); }
