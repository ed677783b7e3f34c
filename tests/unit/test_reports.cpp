// What is reported, to whom, how often: exception handlers, the log, debug mode.
#include <asyncio/context.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/log.hpp>
#include <asyncio/sleep.hpp>

#include "loop_fixture.hpp"

#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::ErrorContext;
using asyncio::EventLoop;
using asyncio::Future;
using asyncio::Task;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Coro<int> fail(std::string text) {
    throw asyncio::ValueError(text);
    co_return 0;
}

class Reports : public LoopFixture {
protected:
    // Reports go to the log, as they do without a handler.
    void use_default_handler() { loop->set_exception_handler(nullptr); }

    std::string only_line() {
        const std::vector<std::string> lines = captured.take();
        EXPECT_EQ(lines.size(), 1U);
        return lines.size() == 1 ? lines[0] : std::string();
    }
    ErrorContext only_report() {
        std::vector<ErrorContext> reports = take_reports();
        EXPECT_EQ(reports.size(), 1U);
        return reports.size() == 1 ? reports[0] : ErrorContext();
    }
};

// ---- what a handler is told

TEST_F(Reports, S310_a_failed_callback_is_reported_with_its_handle_and_exception) {
    EventLoop* told = nullptr;
    ErrorContext report;
    loop->set_exception_handler([&](EventLoop& by, const ErrorContext& context) {
        told = &by;
        report = context;
    });
    const unsigned line = std::source_location::current().line() + 1;
    loop->call_soon([] { throw asyncio::ValueError("callback"); });
    iterate();
    EXPECT_EQ(told, loop.get());
    EXPECT_TRUE(contains(report.message, "Exception in callback")) << report.message;
    EXPECT_EQ(asyncio::describe_exception(report.exception), "ValueError: callback");
    EXPECT_TRUE(report.handle);
    EXPECT_FALSE(report.future);
    EXPECT_EQ(report.created_at.line(), line);
}

TEST_F(Reports, S310_a_lost_exception_is_reported_with_its_future) {
    {
        const Future<int> future = loop->create_future<int>();
        future.set_exception(asyncio::ValueError("lost"));
    }
    const ErrorContext report = only_report();
    EXPECT_EQ(report.message, "Future exception was never retrieved");
    EXPECT_EQ(asyncio::describe_exception(report.exception), "ValueError: lost");
    EXPECT_TRUE(report.future);
    EXPECT_FALSE(report.handle);
    EXPECT_TRUE(contains(report.created_at.file_name(), "test_reports.cpp"));
}

TEST_F(Reports, S310_the_handler_can_be_read_replaced_and_reset) {
    EXPECT_TRUE(static_cast<bool>(loop->get_exception_handler()));
    int calls = 0;
    loop->set_exception_handler([&](EventLoop& by, const ErrorContext&) {
        ++calls;
        by.set_exception_handler(nullptr);  // from inside its own call
    });
    loop->call_exception_handler({.message = "first"});
    loop->call_exception_handler({.message = "second"});
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(only_line(), "second");
}

TEST_F(Reports, S310_without_a_handler_the_report_is_logged) {
    use_default_handler();
    loop->call_exception_handler({});
    EXPECT_EQ(only_line(), "Unhandled exception in event loop");
    loop->create_task({.name = "lost"}, fail, "why");
    iterate();
    const std::string line = only_line();
    for (const char* part : {"Task exception was never retrieved", "name='lost'", "fail()",
                             "ValueError: why", "created at", "test_reports.cpp"}) {
        EXPECT_TRUE(contains(line, part)) << part << " is missing in: " << line;
    }
}

// ---- handlers that fail

TEST_F(Reports, S311_a_throwing_handler_falls_back_to_the_log) {
    loop->set_exception_handler(
        [](EventLoop&, const ErrorContext&) { throw asyncio::ValueError("broken handler"); });
    loop->call_soon([] { throw asyncio::RuntimeError("original"); });
    loop->call_soon(note("goes on"));
    iterate();
    const std::string line = only_line();
    EXPECT_TRUE(contains(line, "Unhandled error in exception handler")) << line;
    EXPECT_TRUE(contains(line, "Exception in callback")) << line;
    EXPECT_TRUE(contains(line, "broken handler")) << line;
    EXPECT_EQ(notes, "goes on");
}

TEST_F(Reports, S311_a_handler_that_throws_nothing_ordinary_is_no_different) {
    loop->set_exception_handler([](EventLoop&, const ErrorContext&) { throw 42; });
    loop->call_exception_handler({.message = "original"});
    EXPECT_TRUE(contains(only_line(), "original"));
}

TEST_F(Reports, S311_a_throwing_handler_of_a_lost_exception_does_no_harm) {
    loop->set_exception_handler([](EventLoop&, const ErrorContext&) { throw 42; });
    loop->create_future<int>().set_exception(asyncio::ValueError("lost"));
    EXPECT_TRUE(contains(only_line(), "Future exception was never retrieved"));
}

TEST_F(Reports, S311_the_default_handler_survives_a_broken_log) {
    use_default_handler();
    ::testing::internal::CaptureStderr();
    const asyncio::LogSink sink =
        asyncio::set_log_sink([](asyncio::LogLevel, std::string_view) { throw 42; });
    loop->call_exception_handler({.message = "to standard error"});
    asyncio::set_log_sink(sink);
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "to standard error\n");
}

TEST_F(Reports, S311_loop_breaking_errors_of_a_handler_leave_the_loop) {
    loop->set_exception_handler(
        [](EventLoop&, const ErrorContext&) { throw asyncio::SystemExit(9); });
    loop->call_soon([] { throw asyncio::ValueError("x"); });
    loop->call_soon(note("kept"));
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "kept");
}

TEST_F(Reports, S311_loop_breaking_errors_of_a_handler_do_not_leave_a_destructor) {
    loop->set_exception_handler(
        [](EventLoop&, const ErrorContext&) { throw asyncio::SystemExit(9); });
    loop->create_future<int>().set_exception(asyncio::ValueError("lost"));
    EXPECT_TRUE(contains(only_line(), "never retrieved"));
}

// ---- in which context

asyncio::ContextVar<std::string> request("request", "none");

TEST_F(Reports, S312_the_handler_of_a_lost_task_runs_in_the_context_of_the_task) {
    std::vector<std::string> seen;
    loop->set_exception_handler(
        [&](EventLoop&, const ErrorContext&) { seen.push_back(request.get()); });
    auto body = []() -> Coro<void> {
        request.set("of the task");
        co_await asyncio::sleep(0s);
        throw asyncio::ValueError("x");
    };
    loop->create_task(body);
    iterate(2);
    Task<void> kept = loop->create_task(body);
    iterate(2);
    loop->call_soon([&] {
        request.set("of somebody else");
        kept = {};
    });
    iterate();
    EXPECT_EQ(seen, (std::vector<std::string>{"of the task", "of the task"}));
    EXPECT_EQ(request.get(), "none");
}

TEST_F(Reports, S312_the_handler_of_a_failed_callback_runs_in_the_context_of_the_callback) {
    std::vector<std::string> seen;
    loop->set_exception_handler(
        [&](EventLoop&, const ErrorContext&) { seen.push_back(request.get()); });
    const auto failing = [](std::string value) {
        return [value] {
            request.set(value);
            throw asyncio::ValueError("x");
        };
    };
    loop->call_soon(failing("soon"));
    loop->call_later(0s, failing("later"));
    auto body = []() -> Coro<void> {
        request.set("task");
        co_return;
    };
    // A callback of a task has a context of its own.
    const Task<void> task = loop->create_task(body);
    task.add_done_callback(failing("callback"));
    iterate(2);
    EXPECT_EQ(seen, (std::vector<std::string>{"soon", "later", "callback"}));
}

TEST_F(Reports, S312_what_a_handler_sets_stays_in_that_context) {
    loop->set_exception_handler(
        [&](EventLoop&, const ErrorContext&) { request.set("by the handler"); });
    loop->create_task(fail, "x");
    iterate();
    EXPECT_EQ(request.get(), "none");
}

// ---- exceptions that nobody retrieved

TEST_F(Reports, S313_a_failed_task_is_reported_when_its_last_handle_goes) {
    Task<int> task = loop->create_task(fail, "lost");
    Task<int> copy = task;
    iterate();
    task = {};
    EXPECT_TRUE(take_reports().empty());
    copy = {};
    const ErrorContext report = only_report();
    EXPECT_EQ(report.message, "Task exception was never retrieved");
    EXPECT_EQ(asyncio::describe_exception(report.exception), "ValueError: lost");
}

TEST_F(Reports, S313_a_task_without_handles_is_reported_as_soon_as_it_fails) {
    loop->create_task(fail, "fire and forget");
    EXPECT_TRUE(take_reports().empty());
    iterate();
    EXPECT_EQ(only_report().message, "Task exception was never retrieved");
}

TEST_F(Reports, S313_a_future_that_its_handler_keeps_is_reported_once) {
    std::vector<asyncio::AnyFuture> kept;
    int calls = 0;
    loop->set_exception_handler([&](EventLoop&, const ErrorContext& report) {
        ++calls;
        kept.push_back(report.future);
    });
    loop->create_future<int>().set_exception(asyncio::ValueError("kept"));
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_TRUE(kept[0].done());
    EXPECT_TRUE(contains(repr(kept[0]), "ValueError: kept"));
    kept.clear();
    EXPECT_EQ(calls, 1);
}

TEST_F(Reports, S313_a_future_lost_after_its_loop_closed_is_still_reported) {
    Future<int> future = loop->create_future<int>();
    future.set_exception(asyncio::ValueError("late"));
    loop->close();
    future = {};
    EXPECT_EQ(only_report().message, "Future exception was never retrieved");
}

TEST_F(Reports, S313_a_future_that_outlives_the_owner_of_its_loop_is_logged) {
    Future<int> future = loop->create_future<int>();
    future.set_exception(asyncio::ValueError("later still"));
    loop.reset();
    // The handler may refer to what went with the loop: it is not called any more.
    future = {};
    EXPECT_TRUE(take_reports().empty());
    EXPECT_TRUE(contains(only_line(), "later still"));
}

TEST_F(Reports, S313_a_handler_may_use_the_loop) {
    int rounds = 0;
    loop->set_exception_handler([&](EventLoop& by, const ErrorContext&) {
        if (++rounds < 3) {
            by.create_task(fail, "again");
            by.create_future<int>().set_exception(asyncio::ValueError("nested"));
        }
    });
    loop->create_task(fail, "first");
    iterate(3);
    EXPECT_GE(rounds, 3);
}

TEST_F(Reports, S314_nothing_is_reported_of_what_was_retrieved_cancelled_or_a_value) {
    Future<int> by_exception = loop->create_future<int>();
    by_exception.set_exception(asyncio::ValueError("x"));
    EXPECT_NE(by_exception.exception(), nullptr);
    by_exception = {};

    Future<int> by_result = loop->create_future<int>();
    by_result.set_exception(asyncio::ValueError("x"));
    EXPECT_THROW(by_result.result(), asyncio::ValueError);
    by_result = {};

    loop->create_future<int>().cancel();
    loop->create_future<int>().set_result(1);
    (void)loop->create_future<int>();
    loop->create_task([]() -> Coro<int> { co_return 1; });
    iterate();
    EXPECT_TRUE(take_reports().empty());
}

TEST_F(Reports, S314_nothing_is_reported_of_an_awaited_task) {
    Task<int> task = loop->create_task(fail, "x");
    auto body = [](Task<int> awaited) -> Coro<void> {
        try {
            co_await awaited;
        } catch (const asyncio::ValueError&) {
        }
    };
    loop->run_until_complete(body(task));
    task = {};
    EXPECT_TRUE(take_reports().empty());
}

TEST_F(Reports, S314_cancel_of_a_failed_task_withdraws_the_report) {
    Task<int> task = loop->create_task(fail, "x");
    iterate();
    EXPECT_FALSE(task.cancel());
    task = {};
    EXPECT_TRUE(take_reports().empty());
}

TEST_F(Reports, an_exception_that_dies_with_its_future_may_use_the_loop) {
    struct Calling : std::exception {
        explicit Calling(std::function<void()> action)
            : action(std::make_shared<AtEnd>(std::move(action))) {}
        struct AtEnd {
            explicit AtEnd(std::function<void()> action) : action(std::move(action)) {}
            AtEnd(const AtEnd&) = delete;
            AtEnd& operator=(const AtEnd&) = delete;
            ~AtEnd() { action(); }
            std::function<void()> action;
        };
        std::shared_ptr<AtEnd> action;
    };
    Future<int> other = loop->create_future<int>();
    Future<int> future = loop->create_future<int>();
    future.set_exception(Calling([&] {
        other.set_result(1);
        loop->call_soon(note("called"));
    }));
    future.exception();
    future = {};
    EXPECT_TRUE(other.done());
    iterate();
    EXPECT_EQ(notes, "called");
}

}  // namespace
