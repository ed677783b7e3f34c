// expect: a coroutine does nothing until it is awaited or made a task
// flags: -Werror
// The call alone runs nothing.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work() { co_return; }

asyncio::Coro<void> forgets() {
    work();
    co_return;
}
