// Deadlines: for a scope, for a single await, and what is still running when one has passed.
#include <asyncio/asyncio.hpp>

#include <cstdio>
#include <vector>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Task;
using asyncio::TimeoutError;

Coro<int> answer(std::chrono::milliseconds after, int value) {
    co_await asyncio::sleep(after);
    co_return value;
}

// Everything inside the scope shares one deadline, which can be moved.
Coro<void> with_a_scope() {
    try {
        co_await asyncio::timeout(50ms, [](asyncio::Timeout& scope) -> Coro<void> {
            std::printf("first: %d\n", co_await answer(10ms, 1));
            scope.reschedule(asyncio::get_running_loop().time() + 20ms);
            std::printf("second: %d\n", co_await answer(1h, 2));
        });
    } catch (const TimeoutError&) {
        std::puts("second: too late");
    }
}

// wait_for cancels what takes too long; shield keeps it from that.
Coro<void> with_a_limit() {
    const Task<int> patient = asyncio::create_task(answer(30ms, 3));
    try {
        co_await asyncio::wait_for(asyncio::shield(patient), 10ms);
    } catch (const TimeoutError&) {
        std::puts("third: not yet");
    }
    std::printf("third: %d\n", co_await patient);
}

// wait cancels nothing, and tells who is done.
Coro<void> with_many() {
    const std::vector<Task<int>> tasks = {asyncio::create_task(answer(10ms, 4)),
                                          asyncio::create_task(answer(1h, 5))};
    const auto [done, pending] = co_await asyncio::wait(tasks, {.timeout = 50ms});
    std::printf("%zu done, %zu pending\n", done.size(), pending.size());
    for (const Task<int>& task : pending) {
        task.cancel();
    }
}

Coro<void> main_task() {
    co_await with_a_scope();
    co_await with_a_limit();
    co_await with_many();
}

int main() { asyncio::run(main_task()); }
