// expect: create_task takes a coroutine, or a function .* that returns a Coro
// A plain function has no steps.

#include <asyncio/asyncio.hpp>

int plain(int value) { return value; }

void start() { asyncio::create_task(plain, 1); }
