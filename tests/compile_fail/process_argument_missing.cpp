// expect: there must be one for each of its parameters, which converts to it

#include <asyncio/process_pool.hpp>

int add(int a, int b);

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&add>, 1); }
