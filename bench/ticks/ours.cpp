// Ticks beside work that computes, on this library: on the loop, in threads, in processes.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "ticks/work.hpp"

#include <vector>

namespace {

using asyncio::Coro;
using bench::count_primes;
using bench::primes_limit;

Coro<void> tick(bench::Lateness& lateness) {
    while (true) {
        const std::uint64_t due_ns = bench::now_ns() + bench::tick_ns;
        co_await asyncio::sleep(std::chrono::nanoseconds(bench::tick_ns));
        lateness.add(due_ns);
    }
}

Coro<void> call_in_turn(auto call, long times) {
    for (long time = 0; time < times; ++time) {
        bench::keep(co_await call());
    }
}

// As many calls at once as there are workers.
Coro<void> call_together(auto call, long times) {
    std::vector<asyncio::Task<void>> tasks;
    for (long index = 0; index < bench::worker_count(); ++index) {
        tasks.push_back(asyncio::create_task(call_in_turn(call, times)));
    }
    co_await asyncio::gather(tasks);
}

Coro<void> compute(const char* way, long calls, auto call) {
    // Workers are made by their first call.
    co_await call_together(call, 1);
    bench::Lateness lateness;
    const auto ticking = asyncio::create_task(tick, std::ref(lateness));
    co_await call_together(call, calls / bench::worker_count());
    ticking.cancel();
    lateness.report(way);
}

Coro<int> count_on_the_loop() {
    const int count = count_primes(primes_limit);
    // Otherwise no tick would ever have its turn.
    co_await asyncio::sleep(std::chrono::nanoseconds(0));
    co_return count;
}

Coro<void> ticks(long calls) {
    asyncio::ProcessPoolExecutor processes;
    asyncio::ThreadPoolExecutor threads(static_cast<std::size_t>(bench::worker_count()));
    co_await compute("loop", calls, count_on_the_loop);
    co_await compute("threads", calls,
                     [&] { return asyncio::run_in_executor(threads, count_primes, primes_limit); });
    co_await compute("processes", calls, [&] {
        return asyncio::run_in_executor(processes, asyncio::function<&count_primes>, primes_limit);
    });
}

}  // namespace

int main(int count, char** values) {
    const bench::Arguments arguments(count, values);
    asyncio::run(ticks, arguments.operations);
}
