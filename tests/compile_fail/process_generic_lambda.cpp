// expect: a lambda without captures that is neither generic nor mutable

#include <asyncio/process_pool.hpp>

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<[](auto number) { return number; }>, 1);
}
