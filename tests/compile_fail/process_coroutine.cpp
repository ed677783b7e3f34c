// expect: a coroutine belongs to a loop, not to a process

#include <asyncio/process_pool.hpp>

asyncio::Coro<int> fetch();

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&fetch>); }
