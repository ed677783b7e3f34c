// A TaskGroup: when one child fails, the others are cancelled, and all errors arrive together.
#include <asyncio/asyncio.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::TaskGroup;

Coro<void> step(std::string name, std::chrono::milliseconds duration, bool fails) {
    try {
        co_await asyncio::sleep(duration);
    } catch (const asyncio::CancelledError&) {
        std::printf("%s was cancelled\n", name.c_str());
        throw;
    }
    if (fails) {
        throw std::runtime_error(name + " failed");
    }
    std::printf("%s is done\n", name.c_str());
}

Coro<void> main_task() {
    try {
        co_await asyncio::task_group([](TaskGroup& group) -> Coro<void> {
            group.create_task(step, "first", 10ms, false);
            group.create_task(step, "second", 20ms, true);
            group.create_task(step, "third", 1h, false);
            co_return;
        });
    } catch (const asyncio::ExceptionGroup& errors) {
        for (const std::exception_ptr& error : errors.leaves()) {
            std::printf("error: %s\n", asyncio::describe_exception(error).c_str());
        }
    }
}

int main() { asyncio::run(main_task()); }
