// expect: a generator gives many values: while \(auto value = co_await generator.next\(\)\)
// There is no `async for`.

#include <asyncio/asyncio.hpp>

asyncio::AsyncGenerator<int> numbers();

asyncio::Coro<int> first() { co_return co_await numbers(); }
