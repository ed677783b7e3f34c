// expect: finally takes a body and a clean-up, both functions that return a coroutine
// A clean-up that does not wait: a destructor does that.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

asyncio::Coro<void> run() {
    co_await asyncio::finally(work, [] {});
}
