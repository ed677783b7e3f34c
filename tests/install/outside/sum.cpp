// Two sleeps run together, and their results are added up.

#include <asyncio/asyncio.hpp>

#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

asyncio::Coro<int> sum() {
    auto [a, b] = co_await asyncio::gather(asyncio::sleep(2ms, 20), asyncio::sleep(1ms, 22));
    co_return a + b;
}

int main() { std::cout << asyncio::run(sum()) << "\n"; }
