// expect: gather takes coroutines, tasks and futures, or one range of them
// A function that was not called.

#include <asyncio/asyncio.hpp>

asyncio::Coro<int> work();

asyncio::Coro<void> both() { co_await asyncio::gather(work(), work); }
