// expect: an exception handler that is a coroutine would never run
// It would return a coroutine that nobody awaits.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> notify(asyncio::EventLoop& loop, const asyncio::ErrorContext& context);

void install(asyncio::EventLoop& loop) { loop.set_exception_handler(notify); }
