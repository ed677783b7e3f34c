// expect: deleted .*set_result
// A task is completed by its coroutine.

#include <asyncio/asyncio.hpp>

void complete(const asyncio::Task<int>& task) { task.set_result(1); }
