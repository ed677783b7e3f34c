// TaskGroup: the object's life, its options, eager children, cancel(), and how it is torn down.
#include <asyncio/foreign_driver.hpp>
#include <asyncio/task_group.hpp>

#include "task_group_fixture.hpp"

#include <memory>

namespace {

using namespace std::chrono_literals;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::ExceptionGroup;
using asyncio::TaskGroup;

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
    EXPECT_EQ(notes, "AB0");
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
