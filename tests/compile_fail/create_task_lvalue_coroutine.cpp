// expect: a coroutine object is used once: give it away with std::move\(coro\)
// A task takes the coroutine over, so its owner has to let it go visibly.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> nothing() { co_return; }

asyncio::Coro<void> start() {
    auto coro = nothing();
    co_await asyncio::create_task(coro);
}
