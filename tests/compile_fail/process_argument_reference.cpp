// expect: argument 1 of the function is taken by a reference to non-const

#include <asyncio/process_pool.hpp>

void add_one(int& number);

void call(asyncio::ProcessPoolExecutor& pool, int number) {
    pool.submit(asyncio::function<&add_one>, number);
}
