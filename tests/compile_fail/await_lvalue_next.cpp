// expect: what this operation returned is awaited once
// Each value has a next() of its own.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> consume(asyncio::AsyncGenerator<int> numbers) {
    auto next = numbers.next();
    while (co_await next) {
    }
}
