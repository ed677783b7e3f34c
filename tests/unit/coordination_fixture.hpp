// What the tests of timeouts, locks, queues and waiting share.
#pragma once

#include "loop_fixture.hpp"

#include <chrono>
#include <functional>
#include <stdexcept>

class Coordination : public LoopFixture {
protected:
    // Runs a coroutine function as the main task.
    template <class F>
    auto run(F function) {
        return loop->run_until_complete(loop->create_task(std::move(function)));
    }

    // Notes what a coroutine throws.
    asyncio::Coro<void> note_error(asyncio::Coro<void> coro) {
        try {
            co_await std::move(coro);
        } catch (const asyncio::CancelledError&) {
            notes += "cancelled ";
        } catch (const std::exception&) {
            notes += asyncio::describe_exception(std::current_exception()) + " ";
        }
    }

    // Gives way a number of times.
    static asyncio::Coro<void> turns(int count) {
        for (int i = 0; i < count; ++i) {
            co_await asyncio::sleep(0);
        }
    }

    // Whether a day is not enough for it.
    template <class T>
    static asyncio::Coro<bool> waits_for_ever(asyncio::Coro<T> coro) {
        try {
            co_await asyncio::wait_for(std::move(coro), std::chrono::hours(24));
        } catch (const asyncio::TimeoutError&) {
            co_return true;
        }
        co_return false;
    }

    static int cancelling() { return asyncio::current_task().cancelling(); }
};
