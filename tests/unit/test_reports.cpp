// Reports and debug mode: what nobody retrieved, what never ran, what ran too long.
#include <asyncio/asyncio.hpp>
#include <cstdlib>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "loop_fixture.hpp"

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class ReportTest : public LoopFixture {
protected:
    asyncio::ErrorContext take_only_report() {
        const auto reports = take_reports();
        EXPECT_EQ(reports.size(), 1U);
        return reports.empty() ? asyncio::ErrorContext() : reports.front();
    }
    // The log line that contains `part`, which must be the only one.
    std::string take_only_line() {
        const auto lines = captured.take();
        EXPECT_EQ(lines.size(), 1U);
        return lines.empty() ? std::string() : lines.front();
    }
};

Coro<void> fail() {
    throw std::logic_error("failed");
    co_return;
}

Coro<int> give(int value) {
    co_return value;
}

Coro<void> for_ever() {
    co_await asyncio::get_running_loop().create_future<void>();
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// ---- the exception handler

TEST_F(ReportTest, S310_the_handler_gets_message_exception_subject_and_place) {
    loop->create_task(fail());
    iterate(2);
    const asyncio::ErrorContext report = take_only_report();
    EXPECT_EQ(report.message, "Task exception was never retrieved");
    EXPECT_EQ(asyncio::describe_exception(report.exception), "logic_error: failed");
    EXPECT_TRUE(report.future.done());
    EXPECT_TRUE(contains(repr(report.future), "fail() done"));
}

TEST_F(ReportTest, S310_a_failing_callback_is_reported_with_its_handle_and_place) {
    loop->call_soon([] { throw std::logic_error("in a callback"); });
    const unsigned line = __LINE__ - 1;
    iterate();
    const asyncio::ErrorContext report = take_only_report();
    EXPECT_TRUE(contains(report.message, "Exception in callback")) << report.message;
    EXPECT_TRUE(static_cast<bool>(report.handle));
    EXPECT_EQ(report.created_at.line(), line);
}

TEST_F(ReportTest, S311_a_handler_that_throws_falls_back_to_the_log_with_both_errors) {
    loop->set_exception_handler([](asyncio::EventLoop&, const asyncio::ErrorContext&) {
        throw std::runtime_error("the handler is broken");
    });
    loop->call_soon([] { throw std::logic_error("first"); });
    loop->call_soon(note("next;"));
    iterate();
    const std::string line = take_only_line();
    EXPECT_TRUE(contains(line, "Unhandled error in exception handler")) << line;
    EXPECT_TRUE(contains(line, "Exception in callback")) << line;
    EXPECT_TRUE(contains(line, "the handler is broken")) << line;
    EXPECT_EQ(notes, "next;");
}

TEST_F(ReportTest, S311_a_loop_break_passes_through_the_handler) {
    loop->set_exception_handler([](asyncio::EventLoop&, const asyncio::ErrorContext&) {
        throw asyncio::SystemExit(3);
    });
    loop->call_soon([] { throw std::logic_error("first"); });
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
}

TEST_F(ReportTest, S311_a_broken_log_sink_loses_nothing_of_the_loop) {
    loop->set_exception_handler(nullptr);
    const asyncio::LogSink outer = asyncio::set_log_sink(
        [](asyncio::LogLevel, std::string_view) { throw std::runtime_error("broken sink"); });
    loop->call_soon([] { throw std::logic_error("goes to standard error"); });
    loop->call_soon(note("next;"));
    ::testing::internal::CaptureStderr();
    iterate();
    const std::string text = ::testing::internal::GetCapturedStderr();
    asyncio::set_log_sink(outer);
    EXPECT_TRUE(contains(text, "goes to standard error")) << text;
    EXPECT_EQ(notes, "next;");
}

TEST_F(ReportTest, S312_the_handler_of_a_callback_runs_in_its_context) {
    static asyncio::ContextVar<int> request("request", 0);
    std::vector<int> seen;
    loop->set_exception_handler([&](asyncio::EventLoop&, const asyncio::ErrorContext&) {
        seen.push_back(request.get());
    });
    asyncio::Context context;
    context.run([] { request.set(42); });
    loop->call_soon([] { throw std::logic_error("x"); }, context);
    iterate();
    EXPECT_EQ(seen, (std::vector<int>{42}));
}

// ---- never retrieved

TEST_F(ReportTest, S313_the_report_comes_when_the_last_handle_goes) {
    auto task = loop->create_task(fail());
    auto second = task;
    iterate(2);
    task = {};
    EXPECT_TRUE(take_reports().empty());
    second = {};
    EXPECT_EQ(take_only_report().message, "Task exception was never retrieved");
}

TEST_F(ReportTest, S313_a_plain_future_is_named_as_such) {
    auto future = loop->create_future<int>();
    future.set_exception(std::logic_error("lost"));
    future = {};
    EXPECT_EQ(take_only_report().message, "Future exception was never retrieved");
}

TEST_F(ReportTest, S313_a_handler_may_keep_the_future_and_retrieve_it_later) {
    asyncio::AnyFuture kept;
    loop->set_exception_handler([&](asyncio::EventLoop&, const asyncio::ErrorContext& report) {
        kept = report.future;
    });
    loop->create_task(fail());
    iterate(2);
    ASSERT_TRUE(static_cast<bool>(kept));
    EXPECT_EQ(asyncio::describe_exception(kept.exception()), "logic_error: failed");
    kept = {};
    EXPECT_TRUE(take_reports().empty());
}

TEST_F(ReportTest, S313_a_report_after_the_loop_closed_still_comes) {
    auto future = loop->create_future<int>();
    future.set_exception(std::logic_error("late"));
    loop->close();
    future = {};
    EXPECT_EQ(take_only_report().message, "Future exception was never retrieved");
}

TEST_F(ReportTest, S314_what_was_retrieved_cancelled_or_not_read_is_not_reported) {
    auto by_exception = loop->create_task(fail());
    auto by_result = loop->create_task(fail());
    auto by_cancel = loop->create_task(fail());
    auto unread_value = loop->create_task(give(1));
    auto cancelled = loop->create_task(for_ever());
    iterate(2);
    EXPECT_NE(by_exception.exception(), nullptr);
    EXPECT_THROW(by_result.result(), std::logic_error);
    EXPECT_FALSE(by_cancel.cancel());
    cancelled.cancel();
    iterate(3);
    by_exception = by_result = by_cancel = cancelled = {};
    unread_value = {};
    EXPECT_TRUE(take_reports().empty());
}

// ---- destroyed, never awaited

TEST_F(ReportTest, S315_a_task_that_is_pending_when_its_loop_closes_is_reported) {
    loop->create_task({.name = "abandoned"}, for_ever);
    iterate(2);
    loop->close();
    const asyncio::ErrorContext report = take_only_report();
    EXPECT_EQ(report.message, "Task was destroyed but it is pending!");
    EXPECT_TRUE(contains(repr(report.future), "abandoned"));
}

TEST_F(ReportTest, S315_the_tasks_that_gather_makes_are_not_reported) {
    const auto main = []() -> Coro<void> { co_await asyncio::gather(for_ever(), for_ever()); };
    loop->create_task({.name = "main"}, main);
    iterate(3);
    loop->close();
    EXPECT_TRUE(contains(repr(take_only_report().future), "'main'"));
}

TEST_F(ReportTest, S316_a_coroutine_that_is_dropped_is_named) {
    { const Coro<int> dropped = give(1); }
    const std::string line = take_only_line();
    EXPECT_TRUE(contains(line, "coroutine '")) << line;
    EXPECT_TRUE(contains(line, "give' was never awaited")) << line;
    EXPECT_TRUE(contains(line, "test_reports.cpp:")) << line;
}

TEST_F(ReportTest, S316_a_coroutine_that_is_closed_or_moved_on_is_not_reported) {
    Coro<int> closed = give(1);
    closed.close();
    Coro<int> moved = give(2);
    EXPECT_EQ(loop->run_until_complete(std::move(moved)), 2);
    EXPECT_TRUE(captured.take().empty());
}

// ---- debug mode

TEST_F(ReportTest, S317_a_slow_step_is_logged_with_the_task_and_the_time) {
    loop->set_debug(true);
    loop->slow_callback_duration = asyncio::Duration::zero();
    loop->create_task({.name = "slow"}, give, 1);
    iterate();
    const std::string line = take_only_line();
    EXPECT_TRUE(line.starts_with("Executing <Task")) << line;
    EXPECT_TRUE(contains(line, "name='slow'")) << line;
    EXPECT_TRUE(contains(line, " took 0.")) << line;
    EXPECT_TRUE(contains(line, " seconds")) << line;
}

TEST_F(ReportTest, S317_quick_callbacks_are_not_logged) {
    loop->set_debug(true);
    loop->slow_callback_duration = 1h;
    loop->call_soon(note("ran;"));
    iterate();
    EXPECT_EQ(notes, "ran;");
    EXPECT_TRUE(captured.take().empty());
}

TEST_F(ReportTest, S319_the_environment_sets_the_default_and_set_debug_changes_a_running_loop) {
    ::setenv("ASYNCIO_DEBUG", "1", 1);
    EXPECT_TRUE(asyncio::new_event_loop()->get_debug());
    ::setenv("ASYNCIO_DEBUG", "", 1);
    EXPECT_FALSE(asyncio::new_event_loop()->get_debug());
    ::unsetenv("ASYNCIO_DEBUG");
    loop->call_soon([this] {
        EXPECT_FALSE(loop->get_debug());
        loop->set_debug(true);
    });
    iterate();
    EXPECT_TRUE(loop->get_debug());
}

TEST_F(ReportTest, S320_reports_show_where_things_were_made_without_any_debug_mode) {
    const auto future = loop->create_future<int>();
    const unsigned line = __LINE__ - 1;
    EXPECT_EQ(future.created_at().line(), line);
    EXPECT_TRUE(contains(repr(future), "test_reports.cpp:" + std::to_string(line)));
    const auto handle = loop->call_later(1h, [] {});
    EXPECT_TRUE(contains(repr(handle), "test_reports.cpp:")) << repr(handle);
    handle.cancel();
}

}  // namespace
