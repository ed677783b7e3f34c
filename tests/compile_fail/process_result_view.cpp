// expect: the function's result cannot be sent to another process: it holds a view, which owns

#include <asyncio/process_pool.hpp>

std::string_view name();

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&name>); }
