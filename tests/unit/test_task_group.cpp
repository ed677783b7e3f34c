// TaskGroup: who is cancelled when, and which error leaves the scope.
#include <asyncio/task_group.hpp>

#include "task_group_fixture.hpp"

#include <memory>

namespace {

using namespace std::chrono_literals;
using asyncio::BaseExceptionGroup;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::ExceptionGroup;
using asyncio::TaskGroup;

// ---- S120 to S130: what the scope ends with

TEST_F(TaskGroups, S120_scope_waits_for_all_children_and_their_results) {
    const int sum = run([]() -> Coro<int> {
        asyncio::Task<int> first;
        asyncio::Task<int> second;
        co_await asyncio::task_group([&](TaskGroup& group) -> Coro<> {
            first = group.create_task(asyncio::sleep(2s, 20));
            second = group.create_task(asyncio::sleep(1s, 1));
            co_return;
        });
        co_return first.result() + second.result();
    });
    EXPECT_EQ(sum, 21);
    EXPECT_EQ(clock.seconds(), 2);
}

TEST_F(TaskGroups, S120_scope_returns_the_value_of_its_body) {
    const auto text = run([]() -> Coro<std::string> {
        const std::unique_ptr<int> moved = co_await asyncio::task_group(
            [](TaskGroup&) -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
        int there = 0;
        int& reference =
            co_await asyncio::task_group([&there](TaskGroup&) -> Coro<int&> { co_return there; });
        co_return std::to_string(*moved) + (&reference == &there ? " same" : " other");
    });
    EXPECT_EQ(text, "7 same");
}

TEST_F(TaskGroups, S121_children_add_children_during_the_exit_wait) {
    run([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this, &group]() -> Coro<> {
                co_await asyncio::sleep(1s);
                group.create_task([this]() -> Coro<> {
                    co_await asyncio::sleep(1s);
                    notes += "inner ";
                });
                notes += "outer ";
            });
            co_return;
        });
        notes += "left";
    });
    EXPECT_EQ(notes, "outer inner left");
}

TEST_F(TaskGroups, S122_first_failure_cancels_children_in_order_and_the_body) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            group.create_task(failing(1s, "boom"));
            group.create_task(waiting('b'));
            co_await wait('c');
        });
    });
    EXPECT_EQ(errors, "boom");
    EXPECT_EQ(notes, "ABC");
    EXPECT_EQ(clock.seconds(), 1);
}

TEST_F(TaskGroups, S123_errors_are_listed_as_they_happen_and_the_body_last) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return fail_when_cancelled("late"); });
            group.create_task(failing(1s, "first"));
            co_await fail_when_cancelled("body");
        });
    });
    EXPECT_EQ(errors, "first late body");
}

TEST_F(TaskGroups, S124_child_cancelled_by_itself_is_no_error) {
    run([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            const auto child = group.create_task(waiting('a'));
            group.create_task([this]() -> Coro<> {
                co_await asyncio::sleep(1s);
                notes += "done";
            });
            co_await asyncio::sleep(0s);
            child.cancel();
        });
    });
    EXPECT_EQ(notes, "Adone");
}

TEST_F(TaskGroups, S125_cancellation_in_the_body_reaches_children_and_goes_on) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return slow_to_end('s'); });
            co_await wait('b');
        });
    });
    loop->call_later(1s, [&main] { main.cancel("outside"); });
    EXPECT_THROW(loop->run_until_complete(main), CancelledError);
    EXPECT_EQ(notes, "Bs");
    EXPECT_EQ(clock.seconds(), 2);
    EXPECT_EQ(main.cancelling(), 1);
}

TEST_F(TaskGroups, S125_cancellation_in_the_exit_wait_keeps_its_message) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return slow_to_end('s'); });
            co_return;
        });
    });
    loop->call_later(1s, [&main] { main.cancel("outside"); });
    try {
        loop->run_until_complete(main);
        FAIL() << "not cancelled";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "outside");
    }
    EXPECT_EQ(notes, "s");
}

TEST_F(TaskGroups, S126_errors_win_over_a_cancellation_which_comes_again) {
    const auto main = loop->create_task([this]() -> Coro<> {
        const std::string errors = co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return fail_when_cancelled("child"); });
            co_await asyncio::sleep(1h);
        });
        notes += errors + " " + std::to_string(asyncio::current_task().cancelling()) + " ";
        co_await wait('n');
    });
    loop->call_later(1s, [&main] { main.cancel(); });
    EXPECT_THROW(loop->run_until_complete(main), CancelledError);
    EXPECT_EQ(notes, "child 1 N");
    EXPECT_EQ(clock.seconds(), 1);
}

TEST_F(TaskGroups, S127_exception_of_the_body_cancels_children_and_is_grouped) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            co_await asyncio::sleep(0s);
            throw Failure("alone");
        });
    });
    EXPECT_EQ(errors, "alone");
    EXPECT_EQ(notes, "A");
}

TEST_F(TaskGroups, S128_cancelled_error_of_the_body_propagates_bare) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            co_await asyncio::sleep(0s);
            throw CancelledError("own");
        });
    });
    try {
        loop->run_until_complete(main);
        FAIL() << "not cancelled";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "own");
    }
    EXPECT_EQ(notes, "A");
}

TEST_F(TaskGroups, S129_body_that_answers_cancellation_with_an_error_adds_it) {
    const auto main = loop->create_task([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            co_await fail_when_cancelled("body");
        });
    });
    loop->call_later(1s, [&main] { main.cancel(); });
    // The request is delivered again, and there is no further await: the task ends cancelled.
    EXPECT_THROW(loop->run_until_complete(main), CancelledError);
    EXPECT_EQ(notes, "A");
}

// ---- S130 to S134: groups in groups

TEST_F(TaskGroups, S130_inner_group_is_one_member_of_the_outer) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& outer) -> Coro<> {
            outer.create_task([this] { return fail_when_cancelled("outer"); });
            co_await asyncio::sleep(0s);
            co_await asyncio::task_group([this](TaskGroup& inner) -> Coro<> {
                inner.create_task(failing(1s, "inner"));
                co_return;
            });
        });
    });
    EXPECT_EQ(errors, "outer [inner]");
}

TEST_F(TaskGroups, S131_failure_of_an_outer_child_cancels_the_inner_group_cleanly) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& outer) -> Coro<> {
            outer.create_task(failing(1s, "outer"));
            co_await asyncio::task_group([this](TaskGroup& inner) -> Coro<> {
                inner.create_task(waiting('a'));
                co_return;
            });
            notes += "not reached";
        });
    });
    EXPECT_EQ(errors, "outer");
    EXPECT_EQ(notes, "A");
}

TEST_F(TaskGroups, S132_inner_and_outer_failures_in_one_tick_are_both_reported) {
    run([this]() -> Coro<> {
        const asyncio::AnyTask self = asyncio::current_task();
        const std::string errors = co_await errors_of([&](TaskGroup& outer) -> Coro<> {
            outer.create_task(failing(1s, "outer"));
            std::string inner_errors = co_await errors_of([this](TaskGroup& inner) -> Coro<> {
                inner.create_task(failing(1s, "inner"));
                co_await wait('b');
            });
            notes += inner_errors + " " + std::to_string(self.cancelling()) + " ";
            co_await wait('c');
        });
        notes += errors + " " + std::to_string(self.cancelling());
    });
    EXPECT_EQ(notes, "Binner 1 Couter 0");
}

TEST_F(TaskGroups, S133_nothing_of_the_cancellation_is_left_after_a_failed_group) {
    run([this]() -> Coro<> {
        const asyncio::AnyTask self = asyncio::current_task();
        const std::string errors = co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(failing(0s, "boom"));
            co_await wait('b');
        });
        co_await asyncio::sleep(1s);
        notes += errors + " " + std::to_string(self.cancelling());
    });
    EXPECT_EQ(notes, "Bboom 0");
}

TEST_F(TaskGroups, S134_slow_body_delays_the_exit_and_late_errors_are_collected) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(failing(1s, "early"));
            group.create_task([]() -> Coro<> {
                try {
                    co_await asyncio::sleep(1h);
                } catch (const CancelledError&) {  // NOLINT(bugprone-empty-catch)
                    // Goes on for a while.
                }
                co_await asyncio::sleep(1s);
                throw Failure("late");
            });
            co_await slow_to_end('s');
        });
    });
    EXPECT_EQ(errors, "early late");
    EXPECT_EQ(notes, "s");
    EXPECT_EQ(clock.seconds(), 2);
}

// ---- S135 to S137: errors that are no std::exception, repeated cancellation

TEST_F(TaskGroups, S135_loop_break_of_the_body_is_thrown_bare_after_the_children) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return slow_to_end('s'); });
            co_await asyncio::sleep(0s);
            throw asyncio::SystemExit(3);
        });
    });
    EXPECT_THROW(loop->run_until_complete(main), asyncio::SystemExit);
    EXPECT_TRUE(asyncio::is_exception<asyncio::SystemExit>(main.exception()));
    EXPECT_EQ(notes, "s");
}

TEST_F(TaskGroups, S147_errors_that_a_loop_break_displaces_are_reported) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return fail_when_cancelled("lost"); });
            co_await asyncio::sleep(0s);
            throw asyncio::SystemExit(3);
        });
    });
    EXPECT_THROW(loop->run_until_complete(main), asyncio::SystemExit);
    EXPECT_TRUE(asyncio::is_exception<asyncio::SystemExit>(main.exception()));
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(asyncio::describe_exception(reports[0].exception).find("Failure: lost"),
              std::string::npos);
}

TEST_F(TaskGroups, S135_loop_break_of_a_child_breaks_the_loop_and_then_ends_the_scope) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            group.create_task([]() -> Coro<> {
                co_await asyncio::sleep(1s);
                throw asyncio::KeyboardInterrupt();
            });
            co_return;
        });
    });
    EXPECT_THROW(loop->run_until_complete(main), asyncio::KeyboardInterrupt);
    EXPECT_FALSE(main.done());
    EXPECT_THROW(loop->run_until_complete(main), asyncio::KeyboardInterrupt);
    EXPECT_TRUE(asyncio::is_exception<asyncio::KeyboardInterrupt>(main.exception()));
    EXPECT_EQ(notes, "A");
}

TEST_F(TaskGroups, S136_other_bare_errors_make_a_base_group) {
    run([this]() -> Coro<> {
        try {
            co_await asyncio::task_group([](TaskGroup& group) -> Coro<> {
                group.create_task([]() -> Coro<> {
                    co_await asyncio::sleep(0s);
                    throw Bare();
                });
                co_return;
            });
        } catch (const std::exception&) {
            notes += "standard";
        } catch (const BaseExceptionGroup& group) {
            notes += members(group);
        }
    });
    EXPECT_EQ(notes, "?");
}

TEST_F(TaskGroups, S137_repeated_cancellation_never_abandons_children) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return slow_to_end('s'); });
            co_return;
        });
    });
    for (const auto when : {1s, 2s}) {
        loop->call_later(when, [&main] { main.cancel(); });
    }
    loop->call_later(1500ms, [&main] { main.cancel(); });
    EXPECT_THROW(loop->run_until_complete(main), CancelledError);
    EXPECT_EQ(notes, "s");
    EXPECT_EQ(clock.seconds(), 2);
}

}  // namespace
