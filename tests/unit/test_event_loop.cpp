// One iteration of the loop after the other: the ready queue, polling, stop, and errors.
#include "loop_fixture.hpp"
#include "scripted_poller.hpp"

#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class EventLoopTest : public LoopFixture {};

// ---- the ready queue

TEST_F(EventLoopTest, S001_callbacks_run_once_each_in_order_with_what_they_captured) {
    for (const char* word : {"a", "b", "c"}) {
        loop->call_soon([this, word] { notes += word; });
    }
    EXPECT_EQ(notes, "");
    iterate(3);
    EXPECT_EQ(notes, "abc");
}

TEST_F(EventLoopTest, S001_a_callback_may_be_scheduled_by_value_and_own_what_it_needs) {
    auto number = std::make_unique<int>(7);
    int seen = 0;
    loop->call_soon([&seen, number = std::move(number)] { seen = *number; });
    iterate();
    EXPECT_EQ(seen, 7);
}

TEST_F(EventLoopTest, S002_what_a_callback_schedules_runs_in_the_next_iteration) {
    loop->call_soon([this] {
        notes += "a";
        loop->call_soon(note("c"));
    });
    loop->call_soon(note("b"));
    iterate();
    EXPECT_EQ(notes, "ab");
    iterate();
    EXPECT_EQ(notes, "abc");
}

TEST_F(EventLoopTest, S006_a_cancelled_handle_is_skipped) {
    loop->call_soon(note("a"));
    const asyncio::Handle second = loop->call_soon(note("b"));
    loop->call_soon(note("c"));
    second.cancel();
    EXPECT_TRUE(second.cancelled());
    iterate();
    EXPECT_EQ(notes, "ac");
}

TEST_F(EventLoopTest, S006_a_callback_cancels_a_later_one_of_its_own_batch) {
    asyncio::Handle third;
    loop->call_soon([&] { third.cancel(); });
    loop->call_soon(note("b"));
    third = loop->call_soon(note("c"));
    iterate();
    EXPECT_EQ(notes, "b");
}

TEST_F(EventLoopTest, S006_cancelling_destroys_the_callable_at_once) {
    auto owned = std::make_shared<int>(1);
    const std::weak_ptr<int> seen = owned;
    const asyncio::Handle handle = loop->call_soon([owned = std::move(owned)] {});
    handle.cancel();
    EXPECT_TRUE(seen.expired());
}

TEST_F(EventLoopTest, S006_a_callback_may_cancel_itself_while_it_runs) {
    asyncio::Handle self;
    auto owned = std::make_shared<std::string>("still there");
    self = loop->call_soon([this, &self, owned] {
        self.cancel();
        notes = *owned;
    });
    iterate();
    EXPECT_EQ(notes, "still there");
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(EventLoopTest, everything_that_is_scheduled_in_a_step_keeps_its_order) {
    auto future = loop->create_future<void>();
    future.add_done_callback(note("e "));
    const auto task = loop->create_task([&]() -> Coro<void> {
        loop->call_soon_threadsafe(note("a "));
        asyncio::create_task([this]() -> Coro<void> {
            notes += "b ";
            co_return;
        });
        loop->call_soon_threadsafe(note("c "));
        loop->call_soon(note("d "));
        future.set_result();
        loop->call_soon_threadsafe(note("f "));
        co_return;
    });
    loop->run_until_complete(task);
    EXPECT_EQ(notes, "a b c d e f ");
}

// ---- errors of callbacks

TEST_F(EventLoopTest, S007_an_exception_goes_to_the_handler_and_the_loop_goes_on) {
    const unsigned line = __LINE__ + 1;
    const asyncio::Handle handle = loop->call_soon([] { throw std::logic_error("broken"); });
    loop->call_soon(note("next"));
    iterate();
    EXPECT_EQ(notes, "next");
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(reports[0].message.starts_with("Exception in callback ")) << reports[0].message;
    EXPECT_EQ(asyncio::describe_exception(reports[0].exception), "logic_error: broken");
    EXPECT_EQ(repr(reports[0].handle), repr(handle));
    EXPECT_EQ(reports[0].created_at.line(), line);
}

TEST_F(EventLoopTest, S007_exceptions_that_are_no_std_exception_are_reported_too) {
    loop->call_soon([] { throw 42; });
    loop->call_soon([] { throw asyncio::CancelledError(); });
    loop->call_soon(note("next"));
    iterate();
    EXPECT_EQ(notes, "next");
    EXPECT_EQ(take_reports().size(), 2U);
}

TEST_F(EventLoopTest, S007_without_a_handler_the_report_goes_to_the_log) {
    loop->set_exception_handler({});
    loop->call_soon([] { throw std::logic_error("broken"); });
    iterate();
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("Exception in callback"), std::string::npos);
    EXPECT_NE(lines[0].find("logic_error: broken"), std::string::npos);
    EXPECT_NE(lines[0].find("test_event_loop.cpp"), std::string::npos);
}

TEST_F(EventLoopTest, S008_a_loop_break_leaves_run_forever_and_the_rest_of_the_batch_stays) {
    loop->call_soon(note("a"));
    loop->call_soon([this] {
        loop->call_soon(note("d"));
        throw asyncio::SystemExit(3);
    });
    loop->call_soon(note("b"));
    loop->call_soon(note("c"));
    try {
        loop->run_forever();
        FAIL() << "SystemExit did not leave run_forever";
    } catch (const asyncio::SystemExit& exit) {
        EXPECT_EQ(exit.code(), 3);
    }
    EXPECT_EQ(notes, "a");
    EXPECT_FALSE(loop->is_running());
    iterate();
    EXPECT_EQ(notes, "abcd");
}

TEST_F(EventLoopTest, S008_a_loop_break_of_a_task_leaves_run_forever) {
    auto interrupted = loop->create_task([]() -> Coro<void> {
        throw asyncio::KeyboardInterrupt();
        co_return;
    });
    loop->call_soon(note("rest"));
    EXPECT_THROW(loop->run_forever(), asyncio::KeyboardInterrupt);
    EXPECT_EQ(notes, "");
    EXPECT_TRUE(interrupted.done());
    EXPECT_NE(interrupted.exception(), nullptr);
    iterate();
    EXPECT_EQ(notes, "rest");
}

TEST_F(EventLoopTest, S008_done_callbacks_and_foreign_runnables_break_the_loop_too) {
    struct Breaker : asyncio::Runnable {
        Breaker() : Runnable(&Breaker::run) {}
        static void run(Runnable&, Turn turn) {
            if (turn == Turn::run) {
                throw asyncio::KeyboardInterrupt();
            }
        }
    } breaker;
    auto future = loop->create_future<int>();
    future.add_done_callback([] { throw asyncio::SystemExit(); });
    future.set_result(1);
    loop->call_soon(breaker);
    loop->call_soon(note("rest"));
    EXPECT_THROW(iterate(), asyncio::SystemExit);
    EXPECT_THROW(iterate(), asyncio::KeyboardInterrupt);
    iterate();
    EXPECT_EQ(notes, "rest");
}

TEST_F(EventLoopTest, S008_an_exception_handler_that_breaks_the_loop_loses_no_callback) {
    struct Failing : asyncio::Runnable {
        Failing() : Runnable(&Failing::run) {}
        static void run(Runnable&, Turn turn) {
            if (turn == Turn::run) {
                throw std::logic_error("foreign");
            }
        }
    } failing;
    loop->set_exception_handler(
        [](asyncio::EventLoop&, const asyncio::ErrorContext&) { throw asyncio::SystemExit(); });
    loop->call_soon([] { throw std::logic_error("callback"); });
    loop->call_soon(failing);
    loop->call_soon(note("rest"));
    EXPECT_THROW(iterate(), asyncio::SystemExit);
    EXPECT_THROW(iterate(), asyncio::SystemExit);
    iterate();
    EXPECT_EQ(notes, "rest");
}

// ---- stop

TEST_F(EventLoopTest, S009_stop_lets_the_batch_finish) {
    loop->call_soon([this] {
        loop->stop();
        loop->call_soon(note("c"));
    });
    loop->call_soon(note("b"));
    loop->run_forever();
    EXPECT_EQ(notes, "b");
    loop->call_soon([this] { loop->stop(); });
    loop->run_forever();
    EXPECT_EQ(notes, "bc");
}

TEST_F(EventLoopTest, S009_a_stop_leaves_no_residue_for_the_next_run) {
    loop->call_soon([this] { loop->stop(); });
    loop->run_forever();
    int turns = 0;
    std::function<void()> again = [&] {
        if (++turns == 3) {
            loop->stop();
        } else {
            loop->call_soon(again);
        }
    };
    loop->call_soon(again);
    loop->run_forever();
    EXPECT_EQ(turns, 3);
}

TEST_F(EventLoopTest, S009_a_stop_during_run_once_is_over_with_that_iteration) {
    loop->call_soon([this] { loop->stop(); });
    iterate();
    loop->call_soon([this] {
        notes += "a";
        loop->call_soon([this] {
            notes += "b";
            loop->stop();
        });
    });
    loop->run_forever();
    EXPECT_EQ(notes, "ab");
}

TEST_F(EventLoopTest, S010_stop_before_the_run_gives_exactly_one_iteration) {
    loop->call_soon([this] {
        notes += "a";
        loop->call_soon(note("b"));
    });
    loop->call_later(1h, note("never"));
    loop->stop();
    loop->run_forever();
    EXPECT_EQ(notes, "a");
    EXPECT_EQ(clock.seconds(), 0.0);
}

// ---- polling, on a poller that records what it is asked

class PollTest : public ::testing::Test {
protected:
    explicit PollTest(bool debug = true) {
        asyncio::LoopOptions options;
        options.clock = &clock;
        auto owned = std::make_unique<ScriptedPoller>(clock);
        poller = owned.get();
        options.poller = std::move(owned);
        options.debug = debug;  // in debug mode every iteration polls
        loop = asyncio::new_event_loop(std::move(options));
    }

    ManualClock clock;
    ScriptedPoller* poller;
    asyncio::EventLoopPtr loop;
};

using Timeouts = std::vector<std::optional<asyncio::Duration>>;

TEST_F(PollTest, S004_the_poll_does_not_wait_while_work_is_ready_or_stop_was_asked) {
    loop->call_later(5s, [] {});
    loop->call_soon([] {});
    loop->stop();
    loop->run_forever();
    loop->stop();
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, (Timeouts{0ns, 0ns}));
}

TEST_F(PollTest, S004_the_poll_waits_until_the_earliest_live_timer) {
    loop->call_later(9s, [] {});
    loop->call_later(5s, [this] { loop->stop(); });
    loop->call_later(2s, [] {}).cancel();
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, Timeouts{5s});
}

TEST_F(PollTest, S004_a_timer_that_is_overdue_makes_the_poll_return_at_once) {
    clock.time += 1h;
    loop->call_at(asyncio::TimePoint::min(), [this] { loop->stop(); });
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, Timeouts{0ns});
}

TEST_F(PollTest, S004_without_timers_the_poll_waits_for_ever) {
    poller->script.emplace_back(
        [this](auto&) { loop->call_soon_threadsafe([this] { loop->stop(); }); });
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, Timeouts{std::nullopt});
}

TEST_F(PollTest, S004_what_a_hook_of_the_poll_schedules_is_not_waited_for) {
    loop->set_block_hooks([this] { loop->call_later(3s, [] {}); }, nullptr);
    loop->run_once();
    loop->set_block_hooks([this] { loop->call_soon_threadsafe([this] { loop->stop(); }); },
                          nullptr);
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, (Timeouts{3s, 0ns}));
}

TEST_F(PollTest, S004_call_soon_threadsafe_of_the_loops_own_thread_wakes_the_poll_alone) {
    poller->script.emplace_back([this](auto&) {
        for (int i = 0; i < 2; ++i) {
            loop->call_soon_threadsafe([this] {
                loop->call_soon_threadsafe([this] { loop->stop(); });
                EXPECT_EQ(poller->wakes, 1);  // by the first call out of the poll
            });
        }
    });
    loop->run_forever();
    EXPECT_EQ(poller->wakes, 1);
}

TEST_F(PollTest, S004_run_once_bounds_the_wait) {
    loop->call_later(5s, [] {});
    loop->run_once(2s);
    loop->run_once(10s);
    loop->run_once(-1s);
    loop->run_once(asyncio::Duration::max());
    EXPECT_EQ(poller->timeouts, (Timeouts{2s, 3s, 0ns, 24h}));
}

TEST_F(PollTest, S005_a_chain_of_callbacks_does_not_starve_io) {
    int turns = 0;
    std::function<void()> again = [&] {
        EXPECT_EQ(poller->timeouts.size(), static_cast<std::size_t>(++turns));
        if (turns == 1000) {
            loop->stop();
        } else {
            loop->call_soon(again);
        }
    };
    loop->call_soon(again);
    loop->run_forever();
    EXPECT_EQ(poller->timeouts, Timeouts(1000, 0ns));
}

TEST_F(PollTest, S003_timers_that_are_due_come_behind_io_and_that_behind_what_was_ready) {
    struct Operation : asyncio::IoOperation {
        explicit Operation(std::string& notes)
            : IoOperation(&Operation::run, 0, asyncio::IoDirection::read, false), notes(notes) {}
        static void run(Runnable& self, Turn) { static_cast<Operation&>(self).notes += "io "; }
        std::string& notes;
    };
    std::string notes;
    Operation operation(notes);
    loop->call_at(clock.time, [&] { notes += "timer "; });
    loop->call_soon([&] { notes += "ready "; });
    poller->script.emplace_back([&](auto& ready) {
        ready.push_back(operation);
        // A call of another thread, which comes while the loop polls, precedes what the poll finds.
        loop->call_soon_threadsafe([&] { notes += "thread "; });
    });
    loop->run_once(0s);
    EXPECT_EQ(notes, "ready thread io timer ");
}

class SkippedPollTest : public PollTest {
protected:
    SkippedPollTest() : PollTest(false) {}
};

TEST_F(SkippedPollTest, S005_polls_are_skipped_for_at_most_64_iterations_of_ready_work) {
    int turns = 0;
    int turns_since_poll = 0;
    std::size_t polls = 0;
    std::function<void()> again = [&] {
        turns_since_poll = poller->timeouts.size() == polls ? turns_since_poll + 1 : 0;
        polls = poller->timeouts.size();
        EXPECT_LE(turns_since_poll, 64);
        if (++turns == 1000) {
            loop->stop();
        } else {
            loop->call_soon(again);
        }
    };
    loop->call_soon(again);
    loop->run_forever();
    EXPECT_GE(polls, 15U);
}

}  // namespace
