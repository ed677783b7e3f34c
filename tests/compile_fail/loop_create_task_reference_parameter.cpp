// expect: create_task takes a coroutine, .* pass references with std::ref
// The member of the loop says the same as the free function.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> increment(int& number) {
    ++number;
    co_return;
}

void start(asyncio::EventLoop& loop, int number) { loop.create_task(increment, number); }
