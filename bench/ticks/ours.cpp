// Ticks beside work that computes, on this library: on the loop, in threads, in processes.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "ticks/work.hpp"

#include <thread>

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

// As many calls as there are workers, again and again.
Coro<void> compute(const char* way, long calls, auto call) {
    bench::Lateness lateness;
    const auto ticking = asyncio::create_task(tick, std::ref(lateness));
    const auto worker = [](long times, auto called) -> Coro<void> {
        for (long time = 0; time < times; ++time) {
            bench::keep(co_await called());
        }
    };
    const unsigned workers = std::thread::hardware_concurrency();
    co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> Coro<void> {
        for (unsigned index = 0; index < workers; ++index) {
            group.create_task(worker, calls / workers, call);
        }
        co_return;
    });
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
    asyncio::ThreadPoolExecutor threads(std::thread::hardware_concurrency());
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
