// expect: no matching member function for call to 'call_soon'
#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

void schedule(asyncio::EventLoop& loop) { loop.call_soon(work()); }
