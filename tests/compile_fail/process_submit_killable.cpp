// expect: nobody awaits that of submit

#include <asyncio/process_pool.hpp>

int add(int a, int b) { return a + b; }

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<&add>.killable(), 1, 2);
}
