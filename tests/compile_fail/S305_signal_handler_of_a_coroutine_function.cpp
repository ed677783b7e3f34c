// expect: this callback returns a coroutine, which nobody would run: call create_task\(\) in it
#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

void listen(asyncio::EventLoop& loop) { loop.add_signal_handler(15, work); }
