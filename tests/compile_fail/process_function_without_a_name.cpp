// expect: pass asyncio::function<&f>

#include <asyncio/process_pool.hpp>

int twice(int number);

asyncio::Coro<void> call(asyncio::ProcessPoolExecutor& pool) {
    co_await asyncio::run_in_executor(pool, twice, 21);
}
