// timeout and timeout_at.
#include "coordination_fixture.hpp"

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Timeout;
using asyncio::TimeoutError;

class Timeouts : public Coordination {};

TEST_F(Timeouts, S148_the_body_is_cancelled_at_the_deadline_and_the_scope_throws) {
    run([this]() -> Coro<void> {
        const auto deadline = loop->time() + 1s;
        Timeout scope(deadline);
        std::exception_ptr cause;
        try {
            co_await asyncio::timeout(scope, [this]() -> Coro<void> {
                try {
                    co_await asyncio::sleep(1h);
                } catch (const CancelledError&) {
                    notes += "interrupted ";
                    throw;
                }
            });
        } catch (const TimeoutError& error) {
            cause = error.cause();
        }
        EXPECT_TRUE(cause != nullptr && asyncio::is_exception<CancelledError>(cause));
        EXPECT_TRUE(scope.expired());
        EXPECT_EQ(loop->time(), deadline);
    });
    EXPECT_EQ(notes, "interrupted ");
}

TEST_F(Timeouts, the_value_of_the_body_is_returned) {
    run([]() -> Coro<void> {
        const auto pointer = co_await asyncio::timeout(
            1s, []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
        EXPECT_EQ(*pointer, 7);
        int there = 0;
        int& same = co_await asyncio::timeout(1.0, [&there]() -> Coro<int&> { co_return there; });
        EXPECT_EQ(&same, &there);
    });
}

TEST_F(Timeouts, S149_a_cancellation_from_outside_wins) {
    const auto task = loop->create_task([this]() -> Coro<void> {
        Timeout scope(loop->time() + 1s);
        co_await note_error(asyncio::timeout(scope, [] { return asyncio::sleep(1h); }));
        notes += scope.expired() ? "expired" : "not expired";
    });
    loop->call_later(1s, [&task] { task.cancel(); });
    loop->run_until_complete(task);
    EXPECT_EQ(notes, "cancelled expired");
}

TEST_F(Timeouts, S150_a_scope_entered_after_a_swallowed_cancellation_still_throws) {
    run([this]() -> Coro<void> {
        asyncio::current_task().cancel();
        co_await note_error(turns(1));
        EXPECT_EQ(cancelling(), 1);
        co_await note_error(asyncio::timeout(1s, [] { return asyncio::sleep(1h); }));
        EXPECT_EQ(cancelling(), 1);
    });
    EXPECT_EQ(notes, "cancelled TimeoutError: timed out ");
}

TEST_F(Timeouts, S151_without_a_deadline_it_never_ends_until_one_is_set) {
    run([this]() -> Coro<void> {
        co_await asyncio::timeout(std::nullopt, [] { return asyncio::sleep(1h); });
        co_await note_error(asyncio::timeout(std::nullopt, [this](Timeout& scope) -> Coro<void> {
            EXPECT_FALSE(scope.when());
            co_await asyncio::sleep(1h);
            scope.reschedule(loop->time() + 1s);
            co_await asyncio::sleep(1h);
        }));
    });
    EXPECT_EQ(clock.seconds(), 7201);
    EXPECT_EQ(notes, "TimeoutError: timed out ");
}

TEST_F(Timeouts, S152_a_deadline_that_has_passed_interrupts_at_the_first_wait) {
    run([this]() -> Coro<void> {
        for (const auto delay : {0s, -1s}) {
            co_await note_error(asyncio::timeout(delay, [this]() -> Coro<void> {
                notes += "runs ";
                co_await asyncio::sleep(0);
                notes += "never ";
            }));
        }
    });
    EXPECT_EQ(notes, "runs TimeoutError: timed out runs TimeoutError: timed out ");
}

TEST_F(Timeouts, S153_a_body_that_never_waits_is_not_interrupted) {
    run([this]() -> Coro<void> {
        Timeout scope(loop->time() - 1s);
        co_await asyncio::timeout(scope, []() -> Coro<void> { co_return; });
        EXPECT_FALSE(scope.expired());
        co_await turns(3);
        EXPECT_EQ(cancelling(), 0);
    });
}

TEST_F(Timeouts, S154_a_body_that_swallows_the_cancellation_ends_normally) {
    run([this]() -> Coro<void> {
        Timeout scope(loop->time() + 1s);
        co_await asyncio::timeout(scope, [this] { return note_error(asyncio::sleep(1h)); });
        EXPECT_TRUE(scope.expired());
        EXPECT_EQ(cancelling(), 0);
    });
    EXPECT_EQ(notes, "cancelled ");
}

TEST_F(Timeouts, S155_another_error_while_it_expires_passes) {
    run([this]() -> Coro<void> {
        co_await note_error(asyncio::timeout(1s, []() -> Coro<void> {
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
            }
            throw std::runtime_error("instead");
        }));
        EXPECT_EQ(cancelling(), 0);
    });
    EXPECT_EQ(notes, "runtime_error: instead ");
}

TEST_F(Timeouts, S156_of_scopes_that_expire_together_the_outermost_throws) {
    run([this]() -> Coro<void> {
        Timeout inner(loop->time() + 1s);
        co_await note_error(asyncio::timeout(1s, [this, &inner] {
            return asyncio::timeout(inner, [this]() -> Coro<void> {
                co_await asyncio::sleep(1h);
                notes += "never ";
            });
        }));
        EXPECT_TRUE(inner.expired());
        EXPECT_EQ(cancelling(), 0);
    });
    EXPECT_EQ(notes, "TimeoutError: timed out ");
}

TEST_F(Timeouts, S157_an_outer_scope_goes_on_after_an_inner_one_expired) {
    run([this]() -> Coro<void> {
        co_await note_error(asyncio::timeout(3s, [this]() -> Coro<void> {
            co_await note_error(asyncio::timeout(1s, [] { return asyncio::sleep(1h); }));
            notes += "goes on ";
            co_await asyncio::sleep(1h);
        }));
    });
    EXPECT_EQ(clock.seconds(), 3);
    EXPECT_EQ(notes, "TimeoutError: timed out goes on TimeoutError: timed out ");
}

TEST_F(Timeouts, S158_only_an_active_scope_can_be_moved) {
    const auto refusal = [this](Timeout& scope) {
        try {
            scope.reschedule(loop->time());
        } catch (const asyncio::RuntimeError& error) {
            notes += std::string(error.what()).substr(0, 36) + "; ";
        }
    };
    run([&]() -> Coro<void> {
        Timeout scope(loop->time() + 1s);
        refusal(scope);
        co_await note_error(asyncio::timeout(scope, [&]() -> Coro<void> {
            scope.reschedule(loop->time() + 2s);
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
                refusal(scope);
                throw;
            }
        }));
        refusal(scope);
        Timeout other(std::nullopt);
        co_await asyncio::timeout(other, []() -> Coro<void> { co_return; });
        refusal(other);
    });
    EXPECT_EQ(clock.seconds(), 2);
    EXPECT_EQ(notes,
              "Timeout has not been entered: resche; "
              "Cannot change state of expiring Time; TimeoutError: timed out "
              "Cannot change state of expired Timeo; Cannot change state of finished Time; ");
}

TEST_F(Timeouts, S159_a_scope_is_entered_once_and_inside_a_task) {
    Timeout outside(std::nullopt);
    EXPECT_THROW(outside.enter(), asyncio::RuntimeError);
    run([]() -> Coro<void> {
        Timeout scope(std::nullopt);
        co_await asyncio::timeout(scope, []() -> Coro<void> { co_return; });
        EXPECT_THROW(co_await asyncio::timeout(scope, []() -> Coro<void> { co_return; }),
                     asyncio::RuntimeError);
    });
}

TEST_F(Timeouts, S160_errors_of_a_group_that_ends_win) {
    run([this]() -> Coro<void> {
        co_await note_error(asyncio::timeout(1s, [] {
            return asyncio::task_group([](asyncio::TaskGroup& group) -> Coro<void> {
                group.create_task([]() -> Coro<void> {
                    try {
                        co_await asyncio::sleep(1h);
                    } catch (const CancelledError&) {
                    }
                    throw std::runtime_error("while cleaning up");
                });
                co_return;
            });
        }));
        EXPECT_EQ(cancelling(), 0);
    });
    EXPECT_EQ(notes.substr(0, 15), "ExceptionGroup:") << notes;
}

TEST_F(Timeouts, S161_the_task_is_not_cancelled_after_a_handled_timeout) {
    const auto task = loop->create_task([this]() -> Coro<int> {
        co_await note_error(asyncio::timeout(1s, [] { return asyncio::sleep(1h); }));
        EXPECT_EQ(cancelling(), 0);
        co_await asyncio::sleep(1s);
        co_return 5;
    });
    EXPECT_EQ(loop->run_until_complete(task), 5);
}

TEST_F(Timeouts, the_delay_counts_from_where_it_is_awaited) {
    run([this]() -> Coro<void> {
        auto later = asyncio::timeout(
            2s, [](Timeout& scope) -> Coro<asyncio::TimePoint> { co_return scope.when().value(); });
        Timeout kept(asyncio::Duration(3s));
        EXPECT_FALSE(kept.when());
        co_await asyncio::sleep(1h);
        const auto now = loop->time();
        EXPECT_EQ(co_await std::move(later), now + 2s);
        co_await asyncio::timeout(kept, []() -> Coro<void> { co_return; });
        EXPECT_EQ(kept.when(), now + 3s);
    });
}

TEST_F(Timeouts, the_deadline_is_gone_after_the_scope) {
    run([this]() -> Coro<void> {
        co_await asyncio::timeout(1h, []() -> Coro<void> { co_return; });
        EXPECT_TRUE(asyncio::detail::LoopAccess::timers(*loop).empty());
    });
}

TEST_F(Timeouts, repr_tells_the_state) {
    run([this]() -> Coro<void> {
        Timeout scope(loop->time() + 1500ms);
        EXPECT_EQ(repr(scope), "<Timeout [created]>");
        co_await asyncio::timeout(scope, [&scope]() -> Coro<void> {
            EXPECT_EQ(repr(scope), "<Timeout [active] when=1.500>");
            co_return;
        });
        EXPECT_EQ(repr(scope), "<Timeout [finished]>");
    });
}

// ---- wait_for

class WaitFor : public Coordination {};

Coro<int> give_later(asyncio::Duration delay, int value) {
    co_await asyncio::sleep(delay);
    co_return value;
}

TEST_F(WaitFor, S162_the_coroutine_runs_in_the_same_task) {
    run([]() -> Coro<void> {
        const asyncio::AnyTask outer = asyncio::current_task();
        co_await asyncio::wait_for(
            [](asyncio::AnyTask task) -> Coro<void> {
                EXPECT_EQ(asyncio::current_task(), task);
                co_return;
            }(outer),
            1s);
    });
}

TEST_F(WaitFor, S163_without_a_limit_it_only_awaits) {
    EXPECT_EQ(run([] { return asyncio::wait_for(give_later(1h, 3), std::nullopt); }), 3);
    EXPECT_EQ(run([] { return asyncio::wait_for(give_later(1s, 4), 2.5); }), 4);
}

TEST_F(WaitFor, S164_with_a_limit_of_zero_only_what_is_done_has_a_result) {
    run([this]() -> Coro<void> {
        const auto done = loop->create_future<int>();
        done.set_result(1);
        EXPECT_EQ(co_await asyncio::wait_for(done, 0s), 1);
        bool started = false;
        EXPECT_THROW(co_await asyncio::wait_for(
                         [](bool& flag) -> Coro<void> {
                             flag = true;
                             co_return;
                         }(started),
                         0s),
                     TimeoutError);
        EXPECT_FALSE(started);
        const auto task = asyncio::create_task(give_later(1h, 2));
        co_await turns(1);
        EXPECT_THROW(co_await asyncio::wait_for(task, -1s), TimeoutError);
        EXPECT_TRUE(task.cancelled());
    });
}

TEST_F(WaitFor, S165_at_the_limit_it_cancels_and_waits_for_the_end) {
    run([]() -> Coro<void> {
        const auto task = asyncio::create_task([]() -> Coro<int> {
            std::exception_ptr cancelled;
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
                cancelled = std::current_exception();
            }
            co_await asyncio::sleep(2s);
            std::rethrow_exception(cancelled);
        });
        EXPECT_THROW(co_await asyncio::wait_for(task, 1s), TimeoutError);
        EXPECT_TRUE(task.cancelled());
    });
    EXPECT_EQ(clock.seconds(), 3);
}

TEST_F(WaitFor, S166_S167_what_it_ends_with_instead_of_being_cancelled_counts) {
    const auto stubborn = [](bool fails) -> Coro<int> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
        }
        if (fails) {
            throw std::runtime_error("instead");
        }
        co_return 7;
    };
    EXPECT_EQ(run([&] { return asyncio::wait_for(stubborn(false), 1s); }), 7);
    EXPECT_THROW(run([&] { return asyncio::wait_for(stubborn(true), 1s); }), std::runtime_error);
}

TEST_F(WaitFor, S168_cancelling_it_cancels_what_it_waits_for) {
    const auto inner = loop->create_task(give_later(1h, 0));
    const auto outer = loop->create_task(asyncio::wait_for(inner, 1min));
    iterate(2);
    outer.cancel();
    iterate(3);
    EXPECT_TRUE(inner.cancelled() && outer.cancelled());
}

TEST_F(WaitFor, S169_a_cancellation_is_not_lost_if_the_result_comes_at_the_same_time) {
    const auto future = loop->create_future<int>();
    const auto task = loop->create_task(asyncio::wait_for(future, 1h));
    iterate();
    future.set_result(1);
    task.cancel();
    iterate(2);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(WaitFor, S170_a_limit_that_runs_before_the_wake_up_discards_the_result) {
    run([this]() -> Coro<void> {
        const auto future = loop->create_future<int>();
        // Both timers are due at once: the task is woken by the first, and runs after the second.
        loop->call_later(1s, [future] { future.set_result(1); });
        EXPECT_THROW(co_await asyncio::wait_for(future, 1s), TimeoutError);
        EXPECT_EQ(future.result(), 1);
    });
}

TEST_F(WaitFor, S171_the_count_of_requests_is_as_before) {
    run([]() -> Coro<void> {
        EXPECT_EQ(co_await asyncio::wait_for(give_later(1s, 1), 2s), 1);
        EXPECT_EQ(cancelling(), 0);
        EXPECT_THROW(co_await asyncio::wait_for(give_later(2s, 1), 1s), TimeoutError);
        EXPECT_EQ(cancelling(), 0);
        asyncio::current_task().cancel();
        EXPECT_THROW(co_await turns(1), CancelledError);
        EXPECT_THROW(co_await asyncio::wait_for(give_later(2s, 1), 1s), TimeoutError);
        EXPECT_EQ(cancelling(), 1);
    });
}

TEST_F(WaitFor, S172_a_shielded_task_goes_on_after_the_limit) {
    run([]() -> Coro<void> {
        const auto task = asyncio::create_task(give_later(2s, 9));
        EXPECT_THROW(co_await asyncio::wait_for(asyncio::shield(task), 1s), TimeoutError);
        EXPECT_EQ(co_await task, 9);
    });
}

TEST_F(Timeouts, a_delay_beyond_the_end_of_time_is_that) {
    run([this]() -> Coro<void> {
        Timeout scope(asyncio::Duration::max());
        co_await asyncio::timeout(scope, [] { return asyncio::sleep(1s); });
        EXPECT_FALSE(scope.expired());
        EXPECT_GT(*scope.when(), loop->time());
    });
}

}  // namespace
