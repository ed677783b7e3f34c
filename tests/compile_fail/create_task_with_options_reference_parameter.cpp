// expect: create_task takes a coroutine, .* pass references with std::ref
// As without options.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> increment(int& number) {
    ++number;
    co_return;
}

void start(int number) { asyncio::create_task({.name = "x"}, increment, number); }
