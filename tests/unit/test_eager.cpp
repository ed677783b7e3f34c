// Tasks that start eagerly: their first step runs inside create_task.
#include "loop_fixture.hpp"

#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class EagerTest : public LoopFixture {
protected:
    Coro<int> give(int value) {
        notes += "given ";
        co_return value;
    }

    // Runs a test's body as the main task.
    template <class F>
    void run(const F& body) {
        loop->run_until_complete(body());
    }

    static asyncio::TaskOptions eager() { return {.eager_start = true}; }
};

TEST_F(EagerTest, S058_the_first_step_runs_inside_create_task) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task(eager(), give(1));
        EXPECT_EQ(notes, "given ");
        EXPECT_TRUE(task.done());
        EXPECT_EQ(task.result(), 1);
        loop->call_soon(note("callback "));
        EXPECT_EQ(co_await task, 1);
        EXPECT_EQ(notes, "given ") << "awaiting it does not suspend";
    });
}

TEST_F(EagerTest, S058_the_eager_factory_makes_every_task_eager) {
    loop->set_task_factory(&asyncio::eager_task_factory);
    run([this]() -> Coro<void> {
        EXPECT_TRUE(asyncio::create_task(give(1)).done());
        EXPECT_TRUE(asyncio::create_task([this] { return give(2); }).done());
        EXPECT_TRUE(loop->create_task(give(3)).done());
        const auto results = asyncio::gather(give(4), give(5));
        EXPECT_TRUE(results.done());
        co_return;
    });
}

TEST_F(EagerTest, S058_a_callback_may_start_tasks_eagerly) {
    loop->call_soon([this] {
        EXPECT_TRUE(loop->create_task(eager(), give(1)).done());
        EXPECT_FALSE(asyncio::current_task());
    });
    iterate();
    EXPECT_EQ(notes, "given ");
}

TEST_F(EagerTest, S058_the_arguments_of_an_eager_task_that_ends_are_gone) {
    auto owned = std::make_shared<int>(1);
    run([&]() -> Coro<void> {
        const auto task = asyncio::create_task(
            eager(), [](std::shared_ptr<int> given) -> Coro<int> { co_return *given; }, owned);
        EXPECT_EQ(task.result(), 1);
        EXPECT_EQ(owned.use_count(), 1);
        co_return;
    });
}

TEST_F(EagerTest, S059_a_task_that_suspends_goes_on_as_an_ordinary_one) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task(eager(), [this]() -> Coro<int> {
            notes += "first ";
            co_await asyncio::sleep(0s);
            notes += "second ";
            co_await asyncio::sleep(1s);
            co_return 1;
        });
        EXPECT_EQ(notes, "first ");
        EXPECT_FALSE(task.done());
        loop->call_soon(note("callback "));
        co_await asyncio::sleep(0s);
        EXPECT_EQ(notes, "first second callback ");
        EXPECT_EQ(co_await task, 1);
    });
}

TEST_F(EagerTest, S059_eager_tasks_nest) {
    run([this]() -> Coro<void> {
        const auto outer = asyncio::create_task(eager(), [this]() -> Coro<int> {
            notes += "a ";
            const auto inner = asyncio::create_task(eager(), [this]() -> Coro<int> {
                notes += "b ";
                co_await asyncio::sleep(0s);
                notes += "d ";
                co_return 2;
            });
            notes += "c ";
            co_return co_await inner + 1;
        });
        EXPECT_EQ(notes, "a b c ");
        EXPECT_EQ(co_await outer, 3);
    });
    EXPECT_EQ(notes, "a b c d ");
}

TEST_F(EagerTest, S060_the_current_task_is_the_new_one_and_then_the_creator_again) {
    run([]() -> Coro<void> {
        const asyncio::AnyTask creator = asyncio::current_task();
        asyncio::AnyTask seen;
        const auto look = [&](bool fails) -> Coro<void> {
            seen = asyncio::current_task();
            EXPECT_EQ(asyncio::all_tasks().back(), seen) << "it is among the loop's tasks";
            if (fails) {
                throw std::logic_error("x");
            }
            co_return;
        };
        for (const bool fails : {false, true}) {
            const auto task = asyncio::create_task(eager(), look(fails));
            EXPECT_EQ(seen, task);
            EXPECT_EQ(asyncio::current_task(), creator);
            EXPECT_EQ(asyncio::all_tasks().size(), 1U);
            EXPECT_EQ(task.exception() != nullptr, fails);
        }
        co_await asyncio::sleep(0s);
        EXPECT_EQ(asyncio::current_task(), creator);
    });
}

TEST_F(EagerTest, S061_an_ordinary_exception_stays_in_the_task) {
    run([]() -> Coro<void> {
        const auto task = asyncio::create_task(eager(), []() -> Coro<void> {
            throw std::logic_error("stored");
            co_return;
        });
        EXPECT_TRUE(task.done());
        EXPECT_THROW(co_await task, std::logic_error);
    });
}

TEST_F(EagerTest, S061_a_loop_breaking_error_reaches_the_creator) {
    run([]() -> Coro<void> {
        const asyncio::AnyTask creator = asyncio::current_task();
        try {
            asyncio::create_task(eager(), []() -> Coro<void> {
                throw asyncio::SystemExit(4);
                co_return;
            });
            ADD_FAILURE() << "it did not throw";
        } catch (const asyncio::SystemExit& exit) {
            EXPECT_EQ(exit.code(), 4);
        }
        EXPECT_EQ(asyncio::current_task(), creator);
        co_await asyncio::sleep(1s);
    });
    // As in CPython: the task has stored the error, and nobody asked the task.
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Task exception was never retrieved");
}

TEST_F(EagerTest, S062_a_task_that_is_done_cannot_be_cancelled) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task(eager(), give(1));
        EXPECT_FALSE(task.cancel());
        EXPECT_FALSE(task.cancelled());
        EXPECT_EQ(task.cancelling(), 0);
        EXPECT_EQ(co_await task, 1);
    });
}

TEST_F(EagerTest, S062_a_task_that_waits_is_cancelled_with_its_message) {
    run([]() -> Coro<void> {
        const auto task =
            asyncio::create_task(eager(), []() -> Coro<void> { co_await asyncio::sleep(1h); });
        EXPECT_TRUE(task.cancel("why not"));
        try {
            co_await task;
            ADD_FAILURE() << "it was not cancelled";
        } catch (const asyncio::CancelledError& error) {
            EXPECT_EQ(error.message(), "why not");
        }
        EXPECT_TRUE(task.cancelled());
    });
}

TEST_F(EagerTest, S062_a_task_that_cancels_itself_in_its_first_step_ends_cancelled) {
    run([]() -> Coro<void> {
        const auto task = asyncio::create_task(eager(), []() -> Coro<int> {
            asyncio::current_task().cancel();
            co_return 1;
        });
        EXPECT_TRUE(task.cancelled());
        EXPECT_EQ(asyncio::current_task().cancelling(), 0);
        co_return;
    });
}

TEST_F(EagerTest, S063_changes_of_the_context_do_not_reach_the_creator) {
    static asyncio::ContextVar<int> variable("variable", 0);
    run([]() -> Coro<void> {
        variable.set(1);
        const auto task = asyncio::create_task(eager(), []() -> Coro<int> {
            EXPECT_EQ(variable.get(), 1) << "a copy of the creator's context";
            variable.set(2);
            co_await asyncio::sleep(0s);
            EXPECT_EQ(variable.get(), 2);
            variable.set(3);
            co_return variable.get();
        });
        EXPECT_EQ(variable.get(), 1);
        EXPECT_EQ(co_await task, 3);
        EXPECT_EQ(variable.get(), 1);
    });
    EXPECT_EQ(variable.get(), 0);
}

TEST_F(EagerTest, S063_a_context_that_was_given_is_shared) {
    static asyncio::ContextVar<int> variable("variable", 0);
    run([]() -> Coro<void> {
        const asyncio::Context context;
        asyncio::create_task({.context = context, .eager_start = true}, []() -> Coro<void> {
            variable.set(7);
            co_return;
        });
        EXPECT_EQ(variable.get(), 0);
        EXPECT_EQ(context.run([] { return variable.get(); }), 7);
        co_return;
    });
}

TEST_F(EagerTest, S064_without_a_running_loop_the_task_is_scheduled) {
    const auto task = loop->create_task(eager(), give(1));
    EXPECT_EQ(notes, "");
    loop->set_task_factory(&asyncio::eager_task_factory);
    const auto other = loop->create_task(give(2));
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "given given ");
    EXPECT_TRUE(task.done() && other.done());
}

TEST_F(EagerTest, S064_a_task_may_refuse_the_eager_factory) {
    loop->set_task_factory(&asyncio::eager_task_factory);
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task({.eager_start = false}, give(1));
        EXPECT_FALSE(task.done());
        EXPECT_EQ(notes, "");
        EXPECT_EQ(co_await task, 1);
    });
}

TEST_F(EagerTest, S065_done_callbacks_of_an_eager_task_go_through_the_loop) {
    run([this]() -> Coro<void> {
        loop->call_soon(note("queued "));
        const auto task = asyncio::create_task(eager(), [this]() -> Coro<void> {
            const auto self = asyncio::current_task();
            self.add_done_callback(note("done "));
            co_return;
        });
        EXPECT_TRUE(task.done());
        task.add_done_callback(note("late "));
        EXPECT_EQ(notes, "");
        co_await asyncio::sleep(0s);
        EXPECT_EQ(notes, "queued done late ");
    });
}

TEST_F(EagerTest, S065_a_waiter_of_an_eager_task_is_woken_through_the_loop) {
    run([this]() -> Coro<void> {
        auto future = loop->create_future<void>();
        const auto waits = asyncio::create_task([this, future]() -> Coro<void> {
            co_await future;
            notes += "woken ";
        });
        co_await asyncio::sleep(0s);
        asyncio::create_task(eager(), [future]() -> Coro<void> {
            future.set_result();
            co_return;
        });
        EXPECT_EQ(notes, "");
        co_await waits;
        EXPECT_EQ(notes, "woken ");
    });
}

}  // namespace
