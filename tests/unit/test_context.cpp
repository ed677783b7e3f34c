// Contexts: which values of context variables callbacks and tasks see, and who sees theirs.
#include "loop_fixture.hpp"

#include <memory>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

asyncio::ContextVar<int> number("number", 0);
asyncio::ContextVar<std::string> text("text");

class ContextTest : public LoopFixture {
protected:
    // A callback that notes what it sees.
    auto look() {
        return [this] { notes += std::to_string(number.get()) + " "; };
    }
};

// ---- variables

TEST_F(ContextTest, a_variable_without_a_value_gives_its_default_or_an_error) {
    EXPECT_EQ(number.get(), 0);
    EXPECT_EQ(text.get("given"), "given");
    try {
        text.get();
        FAIL() << "no error";
    } catch (const asyncio::ValueError& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with("ContextVar 'text' has no value"));
    }
}

TEST_F(ContextTest, reset_restores_what_was_before_set) {
    asyncio::Context().run([] {
        auto first = text.set("a");
        auto second = text.set("b");
        EXPECT_EQ(text.get(), "b");
        text.reset(std::move(second));
        EXPECT_EQ(text.get(), "a");
        text.reset(std::move(first));
        EXPECT_THROW(text.get(), asyncio::ValueError);
        asyncio::ContextVar<std::string> other("other");
        EXPECT_THROW(other.reset(text.set("c")), asyncio::ValueError);
    });
}

TEST_F(ContextTest, many_variables_keep_their_values_apart) {
    std::vector<std::unique_ptr<asyncio::ContextVar<int>>> variables;
    const asyncio::Context context;
    context.run([&] {
        for (int i = 0; i < 100; ++i) {
            variables.push_back(
                std::make_unique<asyncio::ContextVar<int>>("v" + std::to_string(i)));
            variables.back()->set(i);
        }
    });
    EXPECT_EQ(context.size(), 100U);
    const asyncio::Context copy = context.copy();
    context.run([&] { variables[7]->set(-7); });
    for (int i = 0; i < 100; ++i) {
        const auto& variable = *variables[static_cast<std::size_t>(i)];
        EXPECT_EQ(copy.run([&] { return variable.get(); }), i);
        EXPECT_EQ(context.run([&] { return variable.get(); }), i == 7 ? -7 : i);
        EXPECT_EQ(variable.get(-1), -1) << "nothing leaks out of the context";
    }
}

TEST_F(ContextTest, a_handle_that_was_moved_from_still_names_its_context) {
    asyncio::Context context;
    const asyncio::Context moved = std::move(context);
    context.run([] { number.set(3); });
    EXPECT_EQ(context, moved);
    EXPECT_EQ(moved.size(), 1U);
    EXPECT_EQ(context.copy().run([] { return number.get(); }), 3);
}

TEST_F(ContextTest, a_context_is_left_when_its_function_throws) {
    const asyncio::Context context;
    EXPECT_THROW(context.run([] {
        number.set(1);
        throw std::logic_error("x");
    }),
                 std::logic_error);
    EXPECT_EQ(number.get(), 0);
    EXPECT_EQ(context.run([] { return number.get(); }), 1);
}

// ---- tasks

TEST_F(ContextTest, S053_a_task_runs_in_a_copy_of_the_context_it_was_created_in) {
    const auto child = [this]() -> Coro<void> {
        look()();
        number.set(2);
        co_await asyncio::sleep(0s);
        look()();
    };
    const auto main = [&]() -> Coro<void> {
        number.set(1);
        const auto task = asyncio::create_task(child());
        number.set(3);  // after the copy was made
        co_await task;
        look()();
    };
    loop->run_until_complete(main());
    EXPECT_EQ(notes, "1 2 3 ");
    EXPECT_EQ(number.get(), 0);
}

TEST_F(ContextTest, S053_an_awaited_coroutine_shares_the_context_of_its_task) {
    const auto callee = []() -> Coro<void> {
        number.set(5);
        co_return;
    };
    const auto main = [&]() -> Coro<void> {
        co_await callee();
        look()();
    };
    loop->run_until_complete(main());
    EXPECT_EQ(notes, "5 ");
}

TEST_F(ContextTest, S053_a_context_that_was_given_is_used_as_it_is) {
    const asyncio::Context context;
    const auto increments = [this]() -> Coro<void> {
        for (int i = 0; i < 2; ++i) {
            number.set(number.get() + 1);
            look()();
            co_await asyncio::sleep(0s);
        }
    };
    const auto first = loop->create_task({.context = context}, increments());
    const auto second = loop->create_task({.context = context}, increments());
    EXPECT_EQ(first.get_context(), context);
    EXPECT_EQ(second.get_context(), context);
    iterate(3);
    EXPECT_EQ(notes, "1 2 3 4 ");
    EXPECT_EQ(context.run([] { return number.get(); }), 4);
    EXPECT_EQ(number.get(), 0);
}

TEST_F(ContextTest, S053_get_context_gives_the_tasks_own_context) {
    const auto sets = []() -> Coro<void> {
        number.set(6);
        co_return;
    };
    const auto task = loop->create_task(sets());
    const asyncio::Context context = task.get_context();
    EXPECT_EQ(context, task.get_context());
    EXPECT_EQ(context.size(), 0U);
    iterate();
    EXPECT_EQ(context.run([] { return number.get(); }), 6);
    EXPECT_EQ(task.get_context(), context) << "also after the end";
}

TEST_F(ContextTest, S053_tasks_that_take_turns_keep_their_values) {
    const auto counts = [this](int start) -> Coro<void> {
        number.set(start);
        for (int i = 0; i < 3; ++i) {
            co_await asyncio::sleep(0s);
            number.set(number.get() + 1);
        }
        look()();
    };
    loop->create_task(counts(10));
    loop->create_task(counts(20));
    iterate(4);
    EXPECT_EQ(notes, "13 23 ");
}

// ---- callbacks

TEST_F(ContextTest, S054_call_soon_and_its_like_capture_the_current_context) {
    const asyncio::Context context;
    auto future = loop->create_future<void>();
    context.run([&] {
        number.set(1);
        loop->call_soon(look());
        loop->call_later(0s, look());
        loop->call_at(clock.now(), look());
        future.add_done_callback(look());
        number.set(2);
        future.add_done_callback(look());
    });
    future.set_result();
    iterate();
    EXPECT_EQ(notes, "1 1 2 1 1 ");
}

TEST_F(ContextTest, S054_a_call_from_another_thread_captures_that_threads_context) {
    std::thread([this] {
        number.set(4);
        loop->call_soon_threadsafe(look());
        number.set(5);
    }).join();
    iterate();
    EXPECT_EQ(notes, "4 ");
}

TEST_F(ContextTest, S054_a_context_that_was_given_is_used_as_it_is) {
    const asyncio::Context context;
    auto future = loop->create_future<void>();
    const auto increment = [this] {
        number.set(number.get() + 1);
        look()();
    };
    const asyncio::Handle handle = loop->call_soon(increment, context);
    const asyncio::TimerHandle timer = loop->call_later(0s, increment, context);
    loop->call_at(clock.now(), increment, context);
    future.add_done_callback(increment, context);
    future.set_result();
    EXPECT_EQ(handle.get_context(), context);
    EXPECT_EQ(timer.get_context(), context);
    iterate();
    EXPECT_EQ(notes, "1 2 3 4 ");
    EXPECT_EQ(number.get(), 0);
}

TEST_F(ContextTest, S054_callbacks_do_not_see_each_others_changes) {
    for (int i = 0; i < 3; ++i) {
        loop->call_soon([this] {
            look()();
            number.set(9);
        });
    }
    iterate();
    EXPECT_EQ(notes, "0 0 0 ");
    EXPECT_EQ(number.get(), 0);
}

TEST_F(ContextTest, S054_a_callback_does_not_change_the_context_of_a_waiting_task) {
    const auto main = [this]() -> Coro<void> {
        number.set(1);
        auto future = loop->create_future<void>();
        future.add_done_callback([this] {
            look()();
            number.set(2);
        });
        loop->call_soon([future] {
            number.set(3);
            future.set_result();
        });
        co_await future;
        look()();
    };
    loop->run_until_complete(main());
    EXPECT_EQ(notes, "1 1 ");
}

TEST_F(ContextTest, S054_a_callback_that_throws_leaves_its_context) {
    loop->call_soon([] {
        number.set(1);
        throw std::logic_error("x");
    });
    loop->call_soon(look());
    iterate();
    EXPECT_EQ(notes, "0 ");
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(ContextTest, S054_the_exception_handler_runs_in_the_context_of_the_callback) {
    loop->set_exception_handler(
        [this](asyncio::EventLoop&, const asyncio::ErrorContext&) { look()(); });
    loop->call_soon([] {
        number.set(8);
        throw std::logic_error("x");
    });
    iterate();
    EXPECT_EQ(notes, "8 ");
}

// The values of a context must go with the last context that has them.
TEST_F(ContextTest, values_live_as_long_as_a_context_has_them) {
    asyncio::ContextVar<std::shared_ptr<int>> variable("variable");
    const std::weak_ptr<int> seen = [&] {
        auto owned = std::make_shared<int>(1);
        std::weak_ptr<int> weak = owned;
        const asyncio::Context context;
        context.run([&] {
            variable.set(std::move(owned));
            loop->call_later(1s, note("called"));
        });
        return weak;
    }();
    EXPECT_FALSE(seen.expired()) << "the timer's context has it";
    loop->call_later(2s, [this] { loop->stop(); });
    loop->run_forever();
    EXPECT_EQ(notes, "called");
    EXPECT_TRUE(seen.expired());
}

TEST_F(ContextTest, a_token_works_once) {
    asyncio::ContextVar<int> variable("variable", 0);
    const auto token = variable.set(1);
    variable.set(2);
    variable.reset(token);
    EXPECT_EQ(variable.get(), 0);
    EXPECT_THROW(variable.reset(token), asyncio::RuntimeError);
}

TEST_F(ContextTest, a_token_belongs_to_its_context) {
    asyncio::ContextVar<int> variable("variable", 0);
    const auto token = variable.set(1);
    asyncio::copy_context().run([&] { EXPECT_THROW(variable.reset(token), asyncio::ValueError); });
    variable.reset(token);
}

}  // namespace
