// expect: argument 1 of the function is a span [^:]*: take a std::span<const T>
// expect: argument 2 of the function is a span [^:]*: .* a const reference to a container

#include <asyncio/process_pool.hpp>

void change(std::span<int> numbers, std::span<const std::string> names);

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<&change>, std::vector<int>(), std::vector<std::string>());
}
