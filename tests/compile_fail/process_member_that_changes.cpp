// expect: argument 1 of the function is taken by a reference to non-const

#include <asyncio/process_pool.hpp>

struct Counter {
    int count = 0;
    void add(int number) { count += number; }
};

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<&Counter::add>, Counter(), 1);
}
