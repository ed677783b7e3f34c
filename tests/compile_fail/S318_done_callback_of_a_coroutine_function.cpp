// expect: this callback returns a coroutine, which nobody would run: call create_task\(\) in it
#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work(asyncio::AnyFuture future);

void listen(const asyncio::Future<int>& future) { future.add_done_callback(work); }
