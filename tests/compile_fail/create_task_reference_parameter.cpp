// expect: create_task takes a coroutine, .* pass references with std::ref
// The task keeps copies of the arguments; changing a copy is hardly what was meant.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> increment(int& number) {
    ++number;
    co_return;
}

void start(int number) { asyncio::create_task(increment, number); }
