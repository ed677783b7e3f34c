// expect: a handler of except_star returns nothing, so it cannot be a coroutine
// What it returns would never run.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> notify();

void handle() {
    asyncio::except_star([](const asyncio::TimeoutError&) { return notify(); });
}
