// expect: timeout takes a body: .* that returns a coroutine.* wait_for takes a coroutine
// A coroutine as the body, which is how wait_for is called.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

asyncio::Coro<void> limited() { co_await asyncio::timeout(1.0, work()); }
