// The first idea of the README: awaiting one after the other, and scheduling both first.
#include <asyncio/asyncio.hpp>

#include <chrono>
#include <cstdio>
#include <vector>

using namespace std::chrono_literals;
using asyncio::Coro;
using Milliseconds = std::chrono::milliseconds;

Coro<int> delay(Milliseconds duration) {
    co_await asyncio::sleep(duration);
    co_return static_cast<int>(duration.count());
}

// Takes as long as both together: a coroutine does nothing until it is awaited.
Coro<std::vector<int>> fetch_data_bad() {
    const int first = co_await delay(100ms);
    const int second = co_await delay(100ms);
    co_return std::vector{first, second};
}

// Takes as long as the slower one: a task is scheduled at once.
Coro<std::vector<int>> fetch_data_better() {
    auto first = asyncio::create_task(delay, 100ms);
    auto second = asyncio::create_task(delay, 100ms);
    co_return std::vector{co_await first, co_await second};
}

Coro<void> measure(const char* name, Coro<std::vector<int>> work) {
    const auto start = asyncio::get_running_loop().time();
    const std::vector<int> results = co_await std::move(work);
    const auto took = asyncio::get_running_loop().time() - start;
    std::printf("%-18s %d and %d in %.1f s\n", name, results[0], results[1],
                std::chrono::duration<double>(took).count());
}

Coro<void> main_task() {
    co_await measure("fetch_data_bad", fetch_data_bad());
    co_await measure("fetch_data_better", fetch_data_better());
}

int main() { asyncio::run(main_task()); }
