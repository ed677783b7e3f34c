// expect: a coroutine belongs to a loop, not to a thread
#include <asyncio/asyncio.hpp>

asyncio::Coro<int> work() { co_return 1; }

asyncio::Coro<void> main_task() { co_await asyncio::run_in_executor(nullptr, work); }
