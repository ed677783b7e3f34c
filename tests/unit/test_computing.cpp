// Work that computes beside a loop: the loop ticks while pools compute. How late a tick is,
// `./run bench ticks` measures; here each call goes on until the loop has ticked, so that a loop
// that waited for a call would wait for ever.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::function;
using asyncio::Future;
using asyncio::run_in_executor;

// More calls than workers: some of them wait while the others compute.
constexpr int worker_count = 2;
constexpr int call_count = 5;
constexpr int ticks_a_call = 10;

// What the loop and those that compute know of each other.
struct Signs {
    std::atomic<int> ticks{0};
    std::atomic<int> computing{0};
};

// In memory that the processes share: they are made after this.
Signs& signs() {
    static Signs* const shared = [] {
        void* const memory = ::mmap(nullptr, sizeof(Signs), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        return new (memory) Signs;
    }();
    return *shared;
}

// Takes a processor until the loop has ticked, and returns who did it.
int compute_while_the_loop_ticks() {
    ++signs().computing;
    const int enough = signs().ticks + ticks_a_call;
    while (signs().ticks < enough) {
    }
    --signs().computing;
    return ::gettid();
}

Coro<void> tick() {
    while (true) {
        co_await asyncio::sleep(1ms);
        ++signs().ticks;
    }
}

// All calls at once, beside a task that ticks.
Coro<void> compute_beside_ticks(auto call) {
    const auto ticking = asyncio::create_task(tick);
    std::vector<Future<int>> calls;
    for (int i = 0; i < call_count; ++i) {
        calls.push_back(call());
    }
    for (const int thread : co_await asyncio::gather(calls)) {
        EXPECT_NE(thread, ::gettid());
    }
    // The calls of a worker are one after the other, and one of the workers had so many.
    EXPECT_GE(signs().ticks, (call_count + worker_count - 1) / worker_count * ticks_a_call);
    EXPECT_EQ(signs().computing, 0);
    ticking.cancel();
}

TEST(Computing, in_threads_lets_the_loop_tick) {
    signs();
    asyncio::ThreadPoolExecutor pool(worker_count);
    asyncio::run(
        compute_beside_ticks([&] { return run_in_executor(pool, compute_while_the_loop_ticks); }));
}

TEST(Computing, in_processes_lets_the_loop_tick) {
    signs();
    asyncio::ProcessPoolExecutor pool(worker_count);
    asyncio::run(compute_beside_ticks(
        [&] { return run_in_executor(pool, function<&compute_while_the_loop_ticks>); }));
}

}  // namespace
