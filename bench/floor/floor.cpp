// The floor of every row: the same work on a runtime that does nothing but this work. A library
// that is as fast as this has no cost of its own.

#include "coordination.hpp"
#include "gather.hpp"
#include "indexed_heap.hpp"
#include "task.hpp"

#include <cstdio>
#include <map>
#include <string>

namespace {

using namespace floor_runtime;
using bench::Arguments;
using bench::batch_size;
using bench::report;
using bench::Stopwatch;

void run(Task<int> task) {
    task.start();
    loop->run_until([&] { return task.promise().done(); });
    task.promise().outcome.get();
}

Task<int> identity(int value) { co_return value; }

Task<int> spawn(long operations) {
    long sum = 0;
    for (long batch = 0; batch < operations / batch_size; ++batch) {
        std::vector<Task<int>> tasks;
        tasks.reserve(batch_size);
        for (int index = 0; index < batch_size; ++index) {
            tasks.push_back(identity(index));
            tasks.back().start();
        }
        const std::vector<int> results = co_await Gather<int>(std::move(tasks));
        sum += results.back();
    }
    bench::keep(sum);
    co_return 0;
}

Task<int> yield_often(long times) {
    for (long turn = 0; turn < times; ++turn) {
        co_await Yield{};
    }
    co_return 0;
}

Task<int> take_turns(long operations) {
    std::vector<Task<int>> tasks;
    for (int index = 0; index < batch_size; ++index) {
        tasks.push_back(yield_often(operations / batch_size));
        tasks.back().start();
    }
    for (Task<int>& task : tasks) {
        co_await task;
    }
    co_return 0;
}

Coro<int> fib(int n) {
    if (n < 2) {
        co_return n;
    }
    const int first = co_await fib(n - 1);
    const int second = co_await fib(n - 2);
    co_return first + second;
}

Task<int> fib_often(long times) {
    int sum = 0;
    for (long turn = 0; turn < times; ++turn) {
        sum += co_await fib(bench::fib_argument);
    }
    bench::keep(sum);
    co_return 0;
}

Task<int> sleeper(std::uint64_t delay_ns) {
    co_await Sleep{delay_ns};
    co_return 0;
}

template <class Delay>
Task<int> sleep_together(long count, Delay delay_ns) {
    std::vector<Task<int>> tasks;
    tasks.reserve(static_cast<std::size_t>(count));
    for (long index = 0; index < count; ++index) {
        tasks.push_back(sleeper(delay_ns()));
        tasks.back().start();
    }
    for (Task<int>& task : tasks) {
        co_await task;
    }
    co_return 0;
}

void timers(long operations) {
    IndexedHeap heap;
    bench::Xorshift random;
    std::size_t places[batch_size];
    for (std::size_t& place : places) {
        heap.push((5 + random.next() % 10) * bench::second_ns, &place);
    }
    std::size_t place = 0;
    for (long turn = 0; turn < operations; ++turn) {
        heap.push(10 * bench::second_ns + static_cast<std::uint64_t>(turn), &place);
        heap.remove(place);
    }
}

template <class Primitive>
Task<int> hold_often(Primitive& primitive, long times) {
    for (long turn = 0; turn < times; ++turn) {
        co_await primitive.acquire();
        bench::keep(&primitive);
        primitive.release();
    }
    co_return 0;
}

// The primitive is held until all tasks are in line: from then on each release hands it over.
template <class Primitive, long task_count>
Task<int> hold_in_turn(long operations) {
    Primitive primitive;
    co_await primitive.acquire();
    std::vector<Task<int>> tasks;
    for (long index = 0; index < task_count; ++index) {
        tasks.push_back(hold_often(primitive, operations / task_count));
        tasks.back().start();
    }
    co_await Yield{};
    primitive.release();
    for (Task<int>& task : tasks) {
        co_await task;
    }
    co_return 0;
}

Task<int> put_and_get(long operations) {
    Queue<long> queue;
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        queue.put(turn);
        bench::keep(&queue);
        sum += co_await queue.get();
    }
    bench::keep(sum);
    co_return 0;
}

Task<int> pong(Queue<long>& pings, Queue<long>& pongs, long times) {
    for (long turn = 0; turn < times; ++turn) {
        pongs.put(co_await pings.get() + 1);
    }
    co_return 0;
}

Task<int> ping_pong(long operations) {
    Queue<long> pings;
    Queue<long> pongs;
    Task<int> other = pong(pings, pongs, operations);
    other.start();
    long ball = 0;
    for (long turn = 0; turn < operations; ++turn) {
        pings.put(ball);
        ball = co_await pongs.get();
    }
    co_await other;
    bench::keep(ball);
    co_return 0;
}

Coro<int> body(int value) { co_return value; }

Task<int> set_deadlines(long operations) {
    IndexedHeap timers;
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        const Deadline deadline(timers, 3600 * bench::second_ns);
        sum += co_await body(1);
    }
    bench::keep(sum);
    co_return 0;
}

// The rows that only count nanoseconds an operation.
const std::map<std::string, Task<int> (*)(long)> plain_rows = {
    {"spawn", spawn},
    {"switch", take_turns},
    {"switch1", yield_often},
    {"lock", hold_in_turn<Lock, 1>},
    {"lock_contended", hold_in_turn<Lock, batch_size>},
    {"semaphore", hold_in_turn<Semaphore, 1>},
    {"semaphore_contended", hold_in_turn<Semaphore, batch_size>},
    {"queue", put_and_get},
    {"pingpong", ping_pong},
    {"timeout", set_deadlines},
};

int measure(const Arguments& arguments) {
    const auto& [row, operations, seconds] = arguments;
    const Stopwatch watch;
    if (const auto plain = plain_rows.find(row); plain != plain_rows.end()) {
        run(plain->second(operations));
        report((row + "_ns").c_str(), watch.ns_per(operations));
    } else if (row == "await") {
        const long times = operations / bench::fib_awaits;
        run(fib_often(times));
        report("await_ns", watch.ns_per(times * bench::fib_awaits));
    } else if (row == "sleepers") {
        run(sleep_together(operations, [&] { return seconds * bench::second_ns; }));
        report("sleepers_cpu_s", watch.cpu());
        report("sleepers_mib", bench::peak_memory_mib());
    } else if (row == "sleeps") {
        bench::Xorshift random;
        run(sleep_together(operations, [&] { return random.next() % bench::second_ns; }));
        report("sleeps_cpu_ns", watch.cpu_ns_per(operations));
    } else if (row == "timers") {
        timers(operations);
        report("timers_ns", watch.ns_per(operations));
    } else {
        std::fprintf(stderr, "no row '%s' here\n", row.c_str());
        return 2;
    }
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const Arguments arguments(count, values);
    Loop main_loop;
    loop = &main_loop;
    return measure(arguments);
}
