// expect: sleep does nothing until it is awaited
// flags: -Werror
// Forgetting co_await before a sleep is the classic mistake.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> forgets() {
    asyncio::sleep(1.0);
    co_return;
}
