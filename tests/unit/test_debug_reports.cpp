// Reports of what was left behind, and what debug mode adds.
#include <asyncio/event_loop.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/log.hpp>
#include <asyncio/sleep.hpp>

#include "loop_fixture.hpp"

#include <cstdlib>
#include <functional>
#include <memory>
#include <source_location>
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

Coro<void> sleep_for_ever() { co_await asyncio::sleep(1h); }

class DebugReports : public LoopFixture {
protected:
    std::string only_line() {
        const std::vector<std::string> lines = captured.take();
        EXPECT_EQ(lines.size(), 1U);
        return lines.size() == 1 ? lines[0] : std::string();
    }
};

// ---- pending tasks

TEST_F(DebugReports, S315_each_task_that_is_pending_when_its_loop_closes_is_reported) {
    loop->create_task({.name = "first"}, sleep_for_ever);
    const Task<void> kept = loop->create_task({.name = "second"}, sleep_for_ever);
    iterate();
    loop->close();
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 2U);
    for (const ErrorContext& report : reports) {
        EXPECT_EQ(report.message, "Task was destroyed but it is pending!");
        EXPECT_EQ(report.exception, nullptr);
        EXPECT_TRUE(contains(report.created_at.file_name(), "test_debug_reports.cpp"));
    }
    EXPECT_TRUE(contains(repr(reports[0].future), "name='first'"));
    EXPECT_TRUE(reports[1].future == kept);
    EXPECT_FALSE(kept.done());
    EXPECT_TRUE(kept.get_stack().empty());
    EXPECT_TRUE(contains(repr(kept), "<Task pending name='second'")) << repr(kept);
}

TEST_F(DebugReports, S315_tasks_of_gather_and_run_until_complete_are_not_reported) {
    auto body = []() -> Coro<void> {
        co_await asyncio::gather(sleep_for_ever(), asyncio::sleep(2h));
    };
    loop->call_soon([this] { loop->stop(); });
    EXPECT_THROW(loop->run_until_complete(body()), asyncio::RuntimeError);
    iterate(2);
    loop->close();
    EXPECT_TRUE(take_reports().empty());
}

TEST_F(DebugReports, S315_frames_are_destroyed_newest_first_after_all_reports) {
    struct Note {
        std::string& notes;
        const char* text;
        ~Note() { notes += text; }
    };
    auto body = [](std::string& out, const char* text) -> Coro<void> {
        const Note guard{out, text};
        co_await asyncio::sleep(1h);
    };
    loop->set_exception_handler([this](EventLoop&, const ErrorContext&) { notes += "r"; });
    loop->create_task(body, std::ref(notes), "1");
    loop->create_task(body, std::ref(notes), "2");
    loop->create_task(body, std::ref(notes), "3");
    iterate();
    loop->close();
    EXPECT_EQ(notes, "rrr321");
}

TEST_F(DebugReports, S315_a_handler_may_cancel_what_it_is_told_of) {
    loop->set_exception_handler([](EventLoop& by, const ErrorContext& report) {
        EXPECT_TRUE(report.future.cancel());
        EXPECT_THROW(by.call_soon([] {}), asyncio::RuntimeError);
        EXPECT_THROW(by.create_task(sleep_for_ever), asyncio::RuntimeError);
    });
    const Task<void> first = loop->create_task(sleep_for_ever);
    const Task<void> second =
        loop->create_task([](Task<void> task) -> Coro<void> { co_await task; }, first);
    iterate(2);
    loop->close();
    EXPECT_FALSE(first.done());
    EXPECT_FALSE(second.done());
    EXPECT_THROW(second.result(), asyncio::InvalidStateError);
}

TEST_F(DebugReports, S315_frames_that_are_destroyed_may_cancel_and_complete_others) {
    const Future<int> future = loop->create_future<int>();
    Task<void> older =
        loop->create_task([](Future<int> awaited) -> Coro<void> { co_await awaited; }, future);
    Task<void> sleeper = loop->create_task(sleep_for_ever);
    struct Guard {
        Future<int> future;
        Task<void>& sleeper;
        Task<void>& newer;
        ~Guard() {
            future.set_result(1);
            EXPECT_TRUE(sleeper.cancel());
            EXPECT_TRUE(newer.cancel());  // its frame is gone already
        }
    };
    Task<void> newer;
    loop->create_task(
        [](Future<int> awaited, Task<void>& first, Task<void>& last) -> Coro<void> {
            const Guard guard{awaited, first, last};
            co_await asyncio::sleep(1h);
        },
        future, std::ref(sleeper), std::ref(newer));
    newer = loop->create_task(sleep_for_ever);
    iterate();
    loop->close();
    EXPECT_EQ(future.result(), 1);
    EXPECT_FALSE(older.done());
    EXPECT_EQ(take_reports().size(), 4U);
}

// ---- coroutines that never ran

unsigned never_awaited_line = 0;
Coro<void> never_awaited() {
    never_awaited_line = std::source_location::current().line() - 1;
    co_return;
}

TEST_F(DebugReports, S316_a_coroutine_that_was_never_awaited_is_reported) {
    {
        [[maybe_unused]] const Coro<void> dropped = never_awaited();
    }
    const std::string line = only_line();
    EXPECT_TRUE(contains(line, "coroutine 'never_awaited' was never awaited")) << line;
    EXPECT_TRUE(contains(line, "test_debug_reports.cpp:")) << line;
}

TEST_F(DebugReports, S316_a_coroutine_that_was_awaited_closed_or_moved_is_not_reported) {
    loop->run_until_complete([]() -> Coro<void> { co_await never_awaited(); }());
    EXPECT_NE(never_awaited_line, 0U);
    never_awaited().close();
    {
        Coro<void> coro = never_awaited();
        Coro<void> taken = std::move(coro);
        loop->create_task(std::move(taken));
    }
    iterate();
    EXPECT_TRUE(captured.take().empty());
}

TEST_F(DebugReports, S316_a_coroutine_that_a_closed_loop_refuses_is_not_reported) {
    loop->close();
    EXPECT_THROW(loop->create_task(never_awaited()), asyncio::RuntimeError);
    EXPECT_THROW(loop->run_until_complete(never_awaited()), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::create_task(never_awaited()), asyncio::RuntimeError);
    EXPECT_TRUE(captured.take().empty());
}

TEST_F(DebugReports, S316_an_assignment_reports_what_it_replaces) {
    {
        Coro<void> coro = never_awaited();
        coro = never_awaited();
        coro.close();
    }
    EXPECT_TRUE(contains(only_line(), "never_awaited"));
}

// ---- debug mode

TEST_F(DebugReports, S317_debug_mode_reports_slow_callbacks_and_steps) {
    loop->set_debug(true);
    loop->slow_callback_duration = asyncio::Duration::zero();
    const unsigned line = std::source_location::current().line() + 1;
    loop->call_soon([] {});
    iterate();
    const std::string callback = only_line();
    EXPECT_TRUE(contains(callback, "Executing <Handle")) << callback;
    EXPECT_TRUE(contains(callback, "test_debug_reports.cpp:" + std::to_string(line))) << callback;
    EXPECT_TRUE(contains(callback, "took 0.")) << callback;
    EXPECT_TRUE(contains(callback, " seconds")) << callback;

    loop->create_task({.name = "slow one"}, []() -> Coro<void> { co_return; });
    iterate();
    const std::string step = only_line();
    EXPECT_TRUE(contains(step, "Executing <Task")) << step;
    EXPECT_TRUE(contains(step, "name='slow one'")) << step;
}

// Keeps the thread busy, as the loop's clock sees it.
void compute(asyncio::testing::VirtualClock& clock, asyncio::Duration time) {
    clock.advance_to(clock.now() + time);
}

TEST_F(DebugReports, S317_work_that_computes_on_the_loop_is_reported_with_its_time) {
    loop->set_debug(true);
    loop->create_task({.name = "primes"}, [this]() -> Coro<void> {
        compute(clock, 99ms);
        co_await asyncio::sleep(0s);
        compute(clock, 123ms);
    });
    iterate();
    EXPECT_TRUE(captured.take().empty());
    iterate();
    const std::string step = only_line();
    EXPECT_TRUE(step.starts_with("Executing <Task ")) << step;
    EXPECT_TRUE(contains(step, "name='primes'")) << step;
    EXPECT_TRUE(step.ends_with("> took 0.123 seconds")) << step;
}

TEST_F(DebugReports, S317_nothing_quick_is_reported_and_nothing_without_debug_mode) {
    loop->set_debug(true);
    loop->slow_callback_duration = 24h;
    loop->call_soon([] {});
    iterate();
    loop->set_debug(false);
    loop->slow_callback_duration = asyncio::Duration::zero();
    loop->call_soon([] {});
    iterate();
    EXPECT_TRUE(captured.take().empty());
}

bool default_debug() { return asyncio::new_event_loop()->get_debug(); }

TEST_F(DebugReports, S319_debug_mode_comes_from_the_environment) {
    ::unsetenv("ASYNCIO_DEBUG");
    EXPECT_FALSE(default_debug());
    ::setenv("ASYNCIO_DEBUG", "", 1);
    EXPECT_FALSE(default_debug());
    ::setenv("ASYNCIO_DEBUG", "0", 1);
    EXPECT_FALSE(default_debug());
    ::setenv("ASYNCIO_DEBUG", "1", 1);
    EXPECT_TRUE(default_debug());
    asyncio::LoopOptions options;
    options.debug = false;
    EXPECT_FALSE(asyncio::new_event_loop(std::move(options))->get_debug());
    ::unsetenv("ASYNCIO_DEBUG");
}

TEST_F(DebugReports, S319_debug_mode_can_be_changed_while_the_loop_runs) {
    loop->slow_callback_duration = asyncio::Duration::zero();
    auto body = []() -> Coro<void> {
        EventLoop& running = asyncio::get_running_loop();
        EXPECT_FALSE(running.get_debug());
        running.set_debug(true);
        EXPECT_TRUE(running.get_debug());
        co_await asyncio::sleep(0s);
        running.set_debug(false);
        co_await asyncio::sleep(0s);
    };
    loop->run_until_complete(body());
    EXPECT_TRUE(contains(only_line(), "Executing <Task"));
}

TEST_F(DebugReports, S320_reports_show_where_futures_tasks_and_handles_were_made) {
    loop->set_exception_handler(nullptr);
    const auto here = [](unsigned line) {
        return "created at " + std::string(std::source_location::current().file_name()) + ":" +
               std::to_string(line);
    };
    const unsigned future_line = std::source_location::current().line() + 1;
    loop->create_future<int>().set_exception(asyncio::ValueError("x"));
    const std::string future = only_line();
    EXPECT_TRUE(contains(future, here(future_line))) << future;

    const unsigned task_line = std::source_location::current().line() + 1;
    loop->create_task({}, []() -> Coro<void> {
        throw asyncio::ValueError("x");
        co_return;
    });
    iterate();
    const std::string task = only_line();
    EXPECT_TRUE(contains(task, here(task_line))) << task;

    const unsigned handle_line = std::source_location::current().line() + 1;
    loop->call_later(0s, [] { throw asyncio::ValueError("x"); });
    iterate();
    const std::string handle = only_line();
    EXPECT_TRUE(contains(handle, here(handle_line))) << handle;
}

TEST_F(DebugReports, a_running_task_can_be_described_at_any_point) {
    auto leaf = []() -> Coro<void> { co_await asyncio::sleep(1s); };
    auto body = [](auto child, std::string& out) -> Coro<void> {
        const asyncio::AnyTask task = asyncio::current_task();
        out += repr(task);
        co_await child();
        // The frames it was suspended in are gone.
        out += repr(task);
        EXPECT_EQ(task.get_stack().size(), 1U);
        EXPECT_TRUE(task.get_coro());
    };
    loop->run_until_complete(loop->create_task({.name = "t"}, body, leaf, std::ref(notes)));
    EXPECT_TRUE(contains(notes, "<Task pending name='t'")) << notes;
}

}  // namespace
