// expect: pass asyncio::function<&f>

#include <asyncio/process_pool.hpp>

asyncio::Coro<void> call(asyncio::ProcessPoolExecutor& pool, int number) {
    co_await asyncio::run_in_executor(pool, [number] { return number; });
}
