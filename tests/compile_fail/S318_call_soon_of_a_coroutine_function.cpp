// expect: this callback returns a coroutine, which nobody would run: call create_task\(\) in it
#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

void schedule(asyncio::EventLoop& loop) { loop.call_soon(work); }
