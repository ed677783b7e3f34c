// expect: there must be one for each of its parameters, which converts to it

#include <asyncio/process_pool.hpp>

#include <vector>

int sum(const std::vector<int>& numbers);

// As in a call of the function, a number is no vector of so many zeros.
void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&sum>, 5); }
