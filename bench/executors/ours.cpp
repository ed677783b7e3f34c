// The rows of executors on this library, with nothing but its public interface.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "executors/work.hpp"

#include <algorithm>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;
using asyncio::ThreadPoolExecutor;
using bench::Arguments;
using bench::map_size;
using bench::Megabyte;
using bench::report;
using bench::Stopwatch;

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

int identity(int value) { return value; }

Megabyte echo(Megabyte message) { return message; }

Coro<void> call_thread(long operations) {
    ThreadPoolExecutor pool(1);
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        sum += co_await run_in_executor(pool, identity, 1);
    }
    bench::keep(sum);
}

Coro<void> pass_through_thread(long operations) {
    ThreadPoolExecutor pool(1);
    Megabyte message = bench::make_megabyte();
    for (long turn = 0; turn < operations; ++turn) {
        message = co_await run_in_executor(pool, echo, std::move(message));
    }
}

template <class Calls>
Coro<long> sum_of(Calls calls) {
    long sum = 0;
    for (auto& call : calls) {
        sum += co_await asyncio::wrap_future(std::move(call));
    }
    co_return sum;
}

std::vector<int> numbers(long count) {
    std::vector<int> elements(static_cast<std::size_t>(count));
    std::iota(elements.begin(), elements.end(), 0);
    return elements;
}

Coro<void> map_in_thread(long operations) {
    ThreadPoolExecutor pool(1);
    const std::vector<int> elements = numbers(map_size);
    long sum = 0;
    for (long batch = 0; batch < operations / map_size; ++batch) {
        sum += co_await sum_of(pool.map(identity, elements));
    }
    bench::keep(sum);
}

Coro<void> call_process(long operations) {
    ProcessPoolExecutor pool(1);
    long sum = 0;
    for (long turn = 0; turn < operations; ++turn) {
        sum += co_await run_in_executor(pool, function<&identity>, 1);
    }
    bench::keep(sum);
}

Coro<void> echo_by_process(long operations) {
    ProcessPoolExecutor pool(1);
    Megabyte message = bench::make_megabyte();
    for (long turn = 0; turn < operations; ++turn) {
        message = co_await run_in_executor(pool, function<&echo>, std::move(message));
    }
}

// The chunks are those that the peers send.
Coro<void> map_in_process(long operations) {
    constexpr std::size_t chunk = 50;
    ProcessPoolExecutor pool(1);
    const std::vector<int> elements = numbers(map_size);
    long sum = 0;
    for (long batch = 0; batch < operations / map_size; ++batch) {
        sum += co_await sum_of(pool.map(function<&identity>, elements, chunk));
    }
    bench::keep(sum);
}

// ---- computing on two processors

constexpr int workers = 2;

void count_alone() {
    long sum = 0;
    for (const int part : numbers(bench::prime_parts)) {
        sum += bench::count_primes(part);
    }
    bench::keep(sum);
}

template <class Pool, class F>
void count_with(Pool& pool, F count) {
    long sum = 0;
    for (auto& call : pool.map(count, numbers(bench::prime_parts))) {
        sum += call.result();
    }
    bench::keep(sum);
}

template <class F>
void keep_least_ms(double& least, F measured) {
    const Stopwatch watch;
    measured();
    least = std::min(least, watch.ns_per(1) / 1e6);
}

// By turns, and the least of each: what else the machine does would count as ours.
void compute(long rounds) {
    ProcessPoolExecutor processes(workers);
    ThreadPoolExecutor threads(workers);
    double alone = 1e9;
    double with_threads = 1e9;
    double with_processes = 1e9;
    for (long round = 0; round < rounds; ++round) {
        keep_least_ms(alone, count_alone);
        keep_least_ms(with_threads, [&] { count_with(threads, bench::count_primes); });
        keep_least_ms(with_processes,
                      [&] { count_with(processes, function<&bench::count_primes>); });
    }
    report("half_ms", alone / workers);
    report("primes_threads_ms", with_threads);
    report("primes_processes_ms", with_processes);
}

const bench::Rows<Coro<void> (*)(long)> rows = {
    {"threadsafe_ns", threadsafe},
    {"thread_call_us", call_thread},
    {"thread_call_one_core_us", call_thread},
    {"thread_mib_us", pass_through_thread},
    {"thread_map_us", map_in_thread},
    {"process_call_us", call_process},
    {"process_call_one_core_us", call_process},
    {"process_mib_us", echo_by_process},
    {"process_map_us", map_in_process},
};

}  // namespace

int main(int count, char** values) {
    const Arguments arguments(count, values);
    if (arguments.row == "primes") {
        compute(arguments.operations);
        return 0;
    }
    return bench::measure(rows, arguments,
                          [](auto work, long operations) { asyncio::run(work, operations); });
}
