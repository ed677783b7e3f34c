// expect: wait\(\) takes tasks and futures, so that you know which of them are done
// Python forbids it as well: the coroutines would come back as tasks that nobody knows.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> all(std::vector<asyncio::Coro<int>> coros) {
    co_await asyncio::wait(std::move(coros));
}
