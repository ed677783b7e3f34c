// expect: task_group takes a body: a function of a TaskGroup& that returns a coroutine
// A lambda without co_await and without -> Coro<> is a plain function.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> work();

asyncio::Coro<void> group() {
    co_await asyncio::task_group([](asyncio::TaskGroup& tasks) { tasks.create_task(work); });
}
