// expect: a coroutine object is awaited once: write co_await std::move\(coro\)
// A coroutine object has one life; awaiting it again would find it gone.

#include <asyncio/asyncio.hpp>

asyncio::Coro<int> give() { co_return 1; }

asyncio::Coro<int> twice() {
    auto coro = give();
    co_return co_await coro + co_await coro;
}
