// expect: the clean-up of finally\(\) returns nothing: let it be a Coro<void>
// The result of the clean-up would be lost.

#include <asyncio/asyncio.hpp>

asyncio::Coro<int> work();

asyncio::Coro<int> run() { co_return co_await asyncio::finally(work, work); }
