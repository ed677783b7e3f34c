// expect: a coroutine that yields values is an asyncio::AsyncGenerator<T>
// A generator that was declared as a coroutine.

#include <asyncio/asyncio.hpp>

asyncio::Coro<int> numbers() { co_yield 1; }
