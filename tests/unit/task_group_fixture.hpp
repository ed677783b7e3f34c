// What the tests of TaskGroup share: bodies and children that fail, wait or take their time.
#pragma once

#include <asyncio/task_group.hpp>

#include "loop_fixture.hpp"

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// As Python's exceptions that do not derive from Exception.
struct Bare {};

// "a b": what the members of a group say.
inline std::string members(const asyncio::BaseExceptionGroup& group) {
    std::string text;
    for (const std::exception_ptr& error : group.exceptions()) {
        text += text.empty() ? "" : " ";
        try {
            std::rethrow_exception(error);
        } catch (const asyncio::BaseExceptionGroup& inner) {
            text += "[" + members(inner) + "]";
        } catch (const std::exception& plain) {
            text += plain.what();
        } catch (...) {
            text += "?";
        }
    }
    return text;
}

class TaskGroups : public LoopFixture {
protected:
    // Runs a coroutine function as the main task.
    template <class F>
    auto run(F function) {
        return loop->run_until_complete(loop->create_task(std::move(function)));
    }

    asyncio::Coro<> fail_after(asyncio::Duration delay, const char* text) {
        co_await asyncio::sleep(delay);
        throw Failure(text);
    }
    // Notes its name in capitals when it is cancelled.
    asyncio::Coro<> wait(char name) {
        try {
            co_await asyncio::sleep(std::chrono::hours(1));
        } catch (const asyncio::CancelledError&) {
            notes += static_cast<char>(name - 'a' + 'A');
            throw;
        }
    }
    // Fails while it is being cancelled.
    asyncio::Coro<> fail_when_cancelled(const char* text) {
        try {
            co_await asyncio::sleep(std::chrono::hours(1));
        } catch (const asyncio::CancelledError&) {  // NOLINT(bugprone-empty-catch)
            // Replaced by the failure.
        }
        throw Failure(text);
    }
    // Needs a second to react to cancellation.
    asyncio::Coro<> slow_to_end(char name) {
        std::exception_ptr error;
        try {
            co_await asyncio::sleep(std::chrono::hours(1));
        } catch (const asyncio::CancelledError&) {
            error = std::current_exception();
        }
        co_await asyncio::sleep(std::chrono::seconds(1));
        notes += name;
        std::rethrow_exception(error);
    }
    auto waiting(char name) {
        return [this, name] { return wait(name); };
    }
    auto failing(asyncio::Duration delay, const char* text) {
        return [this, delay, text] { return fail_after(delay, text); };
    }

    // Runs a scope and gives the text of the group it ends with; "" if with none.
    template <class Body>
    asyncio::Coro<std::string> errors_of(Body body) {
        try {
            co_await asyncio::task_group(std::move(body));
        } catch (const asyncio::ExceptionGroup& group) {
            co_return members(group);
        }
        co_return "";
    }
};
