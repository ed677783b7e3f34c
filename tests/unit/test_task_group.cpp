// TaskGroup: who is cancelled when, which error leaves the scope, and that nobody is abandoned.
#include <asyncio/task_group.hpp>

#include "loop_fixture.hpp"

#include <memory>

namespace {

using namespace std::chrono_literals;
using asyncio::BaseExceptionGroup;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::ExceptionGroup;
using asyncio::TaskGroup;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// As Python's exceptions that do not derive from Exception.
struct Bare {};

// "a b": what the members of a group say.
std::string members(const BaseExceptionGroup& group) {
    std::string text;
    for (const std::exception_ptr& error : group.exceptions()) {
        text += text.empty() ? "" : " ";
        try {
            std::rethrow_exception(error);
        } catch (const BaseExceptionGroup& inner) {
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

    Coro<> fail_after(asyncio::Duration delay, const char* text) {
        co_await asyncio::sleep(delay);
        throw Failure(text);
    }
    // Notes its name in capitals when it is cancelled.
    Coro<> wait(char name) {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            notes += static_cast<char>(name - 'a' + 'A');
            throw;
        }
    }
    // Fails while it is being cancelled.
    Coro<> fail_when_cancelled(const char* text) {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {  // NOLINT(bugprone-empty-catch)
            // Replaced by the failure.
        }
        throw Failure(text);
    }
    // Needs a second to react to cancellation.
    Coro<> slow_to_end(char name) {
        std::exception_ptr error;
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            error = std::current_exception();
        }
        co_await asyncio::sleep(1s);
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
    Coro<std::string> errors_of(Body body) {
        try {
            co_await asyncio::task_group(std::move(body));
        } catch (const ExceptionGroup& group) {
            co_return members(group);
        }
        co_return "";
    }
};

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
            group.create_task([this] { return fail_when_cancelled("lost"); });
            co_await asyncio::sleep(0s);
            throw asyncio::SystemExit(3);
        });
    });
    EXPECT_THROW(loop->run_until_complete(main), asyncio::SystemExit);
    EXPECT_EQ(notes, "s");
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);  // S147: what is discarded is reported
    EXPECT_EQ(asyncio::describe_exception(reports[0].exception).find("Failure: lost"),
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
    EXPECT_TRUE(main.done());
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

// ---- S138 to S141: the object and its life

TEST_F(TaskGroups, S138_create_task_outside_the_groups_life_is_refused_and_closes_the_coroutine) {
    run([this]() -> Coro<> {
        TaskGroup group;
        const auto attempt = [&](const char* expected) {
            try {
                group.create_task(wait('x'));
                ADD_FAILURE() << "accepted although it " << expected;
            } catch (const asyncio::RuntimeError& error) {
                EXPECT_NE(std::string(error.what()).find(expected), std::string::npos)
                    << error.what();
            }
        };
        attempt("has not been entered");
        try {
            co_await asyncio::task_group(group, [&](TaskGroup&) -> Coro<> {
                group.create_task(failing(0s, "boom"));
                try {
                    co_await asyncio::sleep(1h);
                } catch (const CancelledError&) {
                    attempt("is shutting down");
                    throw;
                }
            });
        } catch (const ExceptionGroup&) {
            attempt("is finished");
        }
    });
}

TEST_F(TaskGroups, S139_a_group_is_entered_once) {
    run([]() -> Coro<> {
        TaskGroup group;
        const auto nothing = [](TaskGroup&) -> Coro<> { co_return; };
        co_await asyncio::task_group(group, nothing);
        EXPECT_EQ(repr(group), "<TaskGroup entered>");
        bool refused = false;
        try {
            co_await asyncio::task_group(group, nothing);
        } catch (const asyncio::RuntimeError& error) {
            EXPECT_NE(std::string(error.what()).find("already been entered"), std::string::npos);
            refused = true;
        }
        EXPECT_TRUE(refused);
    });
}

TEST_F(TaskGroups, S139_a_group_is_entered_only_inside_a_coroutine) {
    loop->call_soon([this] {
        TaskGroup group;
        EXPECT_THROW(group.enter(), asyncio::RuntimeError);
        loop->stop();
    });
    loop->run_forever();
}

TEST_F(TaskGroups, S139_exit_without_enter_is_an_error) {
    EXPECT_THROW(run([]() -> Coro<> {
                     TaskGroup group;
                     co_await group.exit();
                 }),
                 asyncio::RuntimeError);
}

TEST_F(TaskGroups, S140_options_reach_the_child) {
    asyncio::ContextVar<int> variable("variable", 0);
    run([&]() -> Coro<> {
        co_await asyncio::task_group([&](TaskGroup& group) -> Coro<> {
            const asyncio::Context context;
            context.run([&] { variable.set(5); });
            const auto child = group.create_task(
                {.name = "child", .context = context, .eager_start = true}, [&]() -> Coro<> {
                    notes += asyncio::current_task().get_name() + std::to_string(variable.get());
                    co_return;
                });
            EXPECT_TRUE(child.done());
            EXPECT_EQ(child.get_name(), "child");
            co_return;
        });
    });
    EXPECT_EQ(notes, "child5");
}

TEST_F(TaskGroups, S141_leaving_without_live_children_does_not_suspend) {
    run([this]() -> Coro<> {
        loop->call_soon(note("later"));
        co_await asyncio::task_group([](TaskGroup&) -> Coro<> { co_return; });
        notes += "left ";
        co_await asyncio::sleep(0s);
    });
    EXPECT_EQ(notes, "left later");
}

// ---- S142 to S146

TEST_F(TaskGroups, S142_eager_child_that_fails_does_not_cancel_its_creator_inside_the_call) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task({.eager_start = true}, []() -> Coro<> {
                throw Failure("eager");
                co_return;
            });
            notes += std::to_string(asyncio::current_task().cancelling());
            co_await wait('b');
        });
    });
    EXPECT_EQ(errors, "eager");
    EXPECT_EQ(notes, "0B");
}

TEST_F(TaskGroups, S143_child_error_after_the_parents_end_goes_to_the_exception_handler) {
    TaskGroup group;
    run([&]() -> Coro<> {
        group.enter();
        group.create_task(failing(1s, "orphan"));
        co_return;  // without exit: only the low-level pair allows this
    });
    run([]() -> Coro<> { co_await asyncio::sleep(2s); });
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].message.find("is already completed"), std::string::npos);
}

TEST_F(TaskGroups, S144_children_live_without_handles) {
    run([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            for (const char name : {'a', 'b', 'c'}) {
                group.create_task([this, name]() -> Coro<> {
                    co_await asyncio::sleep(1s);
                    notes += name;
                });
            }
            EXPECT_EQ(repr(group), "<TaskGroup tasks=3 entered>");
            co_return;
        });
    });
    EXPECT_EQ(notes, "abc");
}

TEST_F(TaskGroups, S145_cancel_ends_the_scope_without_cancelled_error) {
    run([this]() -> Coro<> {
        TaskGroup group;
        co_await asyncio::task_group(group, [&](TaskGroup&) -> Coro<> {
            group.create_task(waiting('a'));
            co_await asyncio::sleep(0s);
            group.cancel();
            group.cancel();
            co_await wait('b');
        });
        group.cancel();
        co_await asyncio::sleep(0s);
        notes += std::to_string(asyncio::current_task().cancelling());
    });
    EXPECT_EQ(notes, "BA0");
}

TEST_F(TaskGroups, S145_cancel_before_entry_cancels_on_entry) {
    run([this]() -> Coro<> {
        TaskGroup group;
        group.cancel();
        co_await asyncio::task_group(group, [this](TaskGroup&) -> Coro<> { co_await wait('b'); });
    });
    EXPECT_EQ(notes, "B");
}

TEST_F(TaskGroups, S145_body_that_was_to_return_a_value_and_was_cancelled_has_none) {
    EXPECT_THROW(run([]() -> Coro<int> {
                     co_return co_await asyncio::task_group([](TaskGroup& group) -> Coro<int> {
                         group.cancel();
                         co_await asyncio::sleep(1h);
                         co_return 1;
                     });
                 }),
                 asyncio::InvalidStateError);
}

TEST_F(TaskGroups, S146_cancellation_from_outside_after_the_groups_own_goes_through) {
    const auto main = loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task([this] { return slow_to_end('s'); });
            co_await asyncio::sleep(1s);
            group.cancel();
        });
    });
    loop->call_later(1500ms, [&main] { main.cancel("outside"); });
    try {
        loop->run_until_complete(main);
        FAIL() << "not cancelled";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "outside");
    }
    EXPECT_EQ(notes, "s");
}

TEST_F(TaskGroups, S146_eager_child_that_cancels_the_group_is_cancelled_too) {
    run([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task({.eager_start = true}, [this, &group]() -> Coro<> {
                group.cancel();
                co_await wait('a');
            });
            co_return;
        });
    });
    EXPECT_EQ(notes, "A");
}

// ---- what C++ adds

TEST_F(TaskGroups, children_that_wait_for_each_other_in_a_circle_are_torn_apart) {
    const std::string errors = run([this]() -> Coro<std::string> {
        co_return co_await errors_of([this](TaskGroup& group) -> Coro<> {
            auto first = std::make_shared<asyncio::Task<void>>();
            auto second = std::make_shared<asyncio::Task<void>>();
            *first = group.create_task([second]() -> Coro<> { co_await *second; });
            *second = group.create_task([first]() -> Coro<> { co_await *first; });
            group.create_task(failing(1s, "boom"));
            co_return;
        });
    });
    EXPECT_EQ(errors, "boom");
    EXPECT_FALSE(take_reports().empty());
}

TEST_F(TaskGroups, closing_the_loop_takes_a_waiting_scope_down) {
    static_cast<void>(loop->create_task([this]() -> Coro<> {
        co_await asyncio::task_group([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            group.create_task(waiting('b'));
            co_return;
        });
    }));
    iterate(3);
    loop->close();
    EXPECT_EQ(take_reports().size(), 3U);  // destroyed but pending
    EXPECT_EQ(notes, "");
}

TEST_F(TaskGroups, a_group_that_goes_while_children_live_cancels_them) {
    run([this]() -> Coro<> {
        {
            TaskGroup group;
            group.enter();
            group.create_task(waiting('a'));
            co_await asyncio::sleep(0s);
        }
        co_await asyncio::sleep(0s);
    });
    EXPECT_EQ(notes, "A");
}

// A runtime without tasks: steps its coroutine whenever the loop says so, and counts requests.
class Foreign final : public asyncio::ForeignDriver, public asyncio::CancelTarget {
public:
    Foreign(asyncio::EventLoop& loop, Coro<> coro)
        : ForeignDriver(loop, &Foreign::run, *this), loop_(loop) {
        start(std::move(coro), result);
        loop.call_soon(*this);
    }
    bool cancel(const asyncio::CancelMessage& message) override {
        ++requests;
        if (waiting() == nullptr || !waiting()->cancel(message)) {
            deliver(std::make_exception_ptr(CancelledError(message)));
        }
        return true;
    }
    int cancelling() const noexcept override { return requests; }
    int uncancel() noexcept override { return --requests; }

    int requests = 0;
    asyncio::detail::Slot<void> result;

private:
    static void run(asyncio::Runnable& self, asyncio::Runnable::Turn turn) {
        auto& driver = static_cast<Foreign&>(self);
        if (turn == asyncio::Runnable::Turn::run && driver.step()) {
            driver.loop_.stop();
        }
    }
    asyncio::EventLoop& loop_;
};

TEST_F(TaskGroups, scope_runs_in_a_driver_that_is_no_task) {
    const auto main = [this]() -> Coro<> {
        notes += co_await errors_of([this](TaskGroup& group) -> Coro<> {
            group.create_task(waiting('a'));
            group.create_task(failing(1s, "boom"));
            co_await wait('b');
        });
    };
    Foreign driver(*loop, main());
    loop->run_forever();
    EXPECT_EQ(driver.result.error, nullptr);
    EXPECT_EQ(notes, "ABboom");
    EXPECT_EQ(driver.requests, 0);
}

}  // namespace
