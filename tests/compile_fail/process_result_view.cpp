// expect: the function's result cannot be sent back from another process

#include <asyncio/process_pool.hpp>

std::string_view name();

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&name>); }
