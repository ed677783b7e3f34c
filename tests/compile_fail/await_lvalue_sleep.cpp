// expect: what this operation returned is awaited once
// A second await would find the timer gone, and not sleep.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> tick() {
    auto pause = asyncio::sleep(1.0);
    for (;;) {
        co_await pause;
    }
}
