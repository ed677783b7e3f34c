// expect: argument 2 of the function is a pointer, which leads nowhere in another process

#include <asyncio/process_pool.hpp>

int count(int from, const char* text);

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&count>, 1, "text"); }
