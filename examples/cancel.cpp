// Cancelling: the task sees a CancelledError where it waits, cleans up, and lets it pass.
#include <asyncio/asyncio.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using asyncio::CancelledError;
using asyncio::Coro;

// co_await is not allowed in a catch block: what must be awaited for the clean-up comes after it.
Coro<void> serve_for_ever() {
    std::exception_ptr interrupted;
    try {
        for (;;) {
            std::puts("serving");
            co_await asyncio::sleep(100ms);
        }
    } catch (const CancelledError& error) {
        std::printf("stopping, because: %s\n", error.message().c_str());
        interrupted = std::current_exception();
    }
    co_await asyncio::sleep(10ms);  // say goodbye
    std::rethrow_exception(interrupted);
}

Coro<void> main_task() {
    auto server = asyncio::create_task({.name = "server"}, serve_for_ever);
    co_await asyncio::sleep(250ms);
    server.cancel("closing time");
    try {
        co_await server;
    } catch (const CancelledError&) {
        std::puts(repr(server).c_str());
    }
}

int main() { asyncio::run(main_task()); }
