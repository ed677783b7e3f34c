// A few workers share a queue: the bound of the queue slows the producer down to their speed.
#include <asyncio/asyncio.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Queue;

Coro<void> produce(Queue<int>& jobs) {
    for (int job = 1; job <= 9; ++job) {
        co_await jobs.put(job);  // waits while the queue is full
    }
    jobs.shutdown();  // what is in it is still taken
}

Coro<int> work(Queue<int>& jobs) {
    int done = 0;
    try {
        for (;;) {
            const int job = co_await jobs.get();
            co_await asyncio::sleep(std::chrono::milliseconds(job));
            ++done;
        }
    } catch (const asyncio::QueueShutDown&) {
        co_return done;
    }
}

Coro<void> main_task() {
    Queue<int> jobs(2);
    const auto [nothing, first, second, third] =
        co_await asyncio::gather(produce(jobs), work(jobs), work(jobs), work(jobs));
    std::printf("%d jobs are done\n", first + second + third);
}

int main() { asyncio::run(main_task()); }
