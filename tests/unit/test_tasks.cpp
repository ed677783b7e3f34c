// Tasks: when their steps run, what wakes them, how they end, and how they are found.
#include "loop_fixture.hpp"

#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class TaskTest : public LoopFixture {
protected:
    // Waits for a future and notes that it did.
    Coro<void> wait_for(asyncio::Future<void> future, std::string name) {
        co_await future;
        notes += name;
    }
    Coro<void> write(std::string text) {
        notes += text;
        co_return;
    }
    Coro<int> give(int value) { co_return value; }
    Coro<int> give_later(int value) {
        co_await asyncio::sleep(1s);
        co_return value;
    }
};

// ---- steps

TEST_F(TaskTest, S036_create_task_queues_the_first_step) {
    loop->call_soon(note("a "));
    const auto task = loop->create_task(write("task "));
    loop->call_soon(note("b "));
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "a task b ");
    EXPECT_TRUE(task.done());
}

TEST_F(TaskTest, S036_create_task_owns_the_callable_and_copies_of_the_arguments) {
    auto owned = std::make_shared<int>(3);
    auto task = loop->create_task(
        [captured = std::make_unique<int>(4)](std::shared_ptr<int> given) -> Coro<int> {
            co_await asyncio::sleep(1s);
            co_return *given + *captured;
        },
        owned);
    EXPECT_EQ(owned.use_count(), 2);
    EXPECT_EQ(loop->run_until_complete(task), 7);
    EXPECT_EQ(owned.use_count(), 1) << "the arguments go with the coroutine, not with the task";
}

TEST_F(TaskTest, S037_awaiting_a_coroutine_runs_it_inline) {
    const auto outer = [this]() -> Coro<int> {
        loop->call_soon(note("callback "));
        const int a = co_await give(1);
        const int b = co_await give(2);
        notes += "inline ";
        co_return a + b;
    };
    EXPECT_EQ(loop->run_until_complete(outer()), 3);
    EXPECT_EQ(notes, "inline callback ");
}

TEST_F(TaskTest, S037_a_long_chain_of_coroutines_does_not_grow_the_stack) {
    struct Chain {
        static Coro<int> depth(int left) {
            if (left == 0) {
                co_await asyncio::sleep(0s);
                co_return 0;
            }
            co_return 1 + co_await depth(left - 1);
        }
    };
    EXPECT_EQ(loop->run_until_complete(Chain::depth(100'000)), 100'000);
}

TEST_F(TaskTest, S037_many_awaits_that_do_not_suspend_do_not_grow_the_stack) {
    const auto often = [this]() -> Coro<int> {
        int sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            sum += co_await give(1);
        }
        co_return sum;
    };
    EXPECT_EQ(loop->run_until_complete(often()), 100'000);
}

TEST_F(TaskTest, S038_awaiting_what_is_done_does_not_suspend) {
    auto future = loop->create_future<int>();
    future.set_result(1);
    const auto task = loop->create_task(give(2));
    iterate();
    const auto awaits = [&]() -> Coro<void> {
        loop->call_soon(note("callback "));
        EXPECT_EQ(co_await future, 1);
        EXPECT_EQ(co_await future, 1);
        EXPECT_EQ(co_await task, 2);
        notes += "awaited ";
    };
    loop->run_until_complete(awaits());
    EXPECT_EQ(notes, "awaited callback ");
}

TEST_F(TaskTest, S039_a_waiting_task_stands_among_the_callbacks_of_one_future) {
    auto future = loop->create_future<void>();
    future.add_done_callback(note("a "));
    const auto task = loop->create_task(wait_for(future, "task "));
    iterate();
    future.add_done_callback(note("b "));
    EXPECT_NE(repr(task).find("wait_for=" + repr(future)), std::string::npos) << repr(task);
    future.set_result();
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "a task b ");
}

TEST_F(TaskTest, S039_the_wake_up_runs_in_the_context_of_the_task) {
    static asyncio::ContextVar<int> variable("variable", 0);
    auto future = loop->create_future<void>();
    int seen = -1;
    const auto waits = [&]() -> Coro<void> {
        variable.set(1);
        co_await future;
        seen = variable.get();
    };
    const auto task = loop->create_task(waits);
    iterate();
    auto token = variable.set(2);
    loop->call_soon([&] {
        variable.set(3);
        future.set_result();
    });
    loop->run_until_complete(task);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(variable.get(), 2);
    variable.reset(std::move(token));
}

TEST_F(TaskTest, S040_set_result_resumes_the_waiter_in_the_next_iteration) {
    auto future = loop->create_future<void>();
    loop->create_task(wait_for(future, "resumed "));
    iterate();
    loop->call_soon([&] {
        future.set_result();
        notes += "set ";
    });
    loop->call_soon(note("rest "));
    iterate();
    EXPECT_EQ(notes, "set rest ");
    iterate();
    EXPECT_EQ(notes, "set rest resumed ");
}

TEST_F(TaskTest, S041_the_waiter_of_a_task_runs_behind_what_was_queued_before_the_task_ended) {
    const auto inner = [this]() -> Coro<void> {
        loop->call_soon(note("queued "));
        notes += "inner ";
        co_return;
    };
    const auto outer = [&]() -> Coro<void> {
        co_await asyncio::create_task(inner());
        notes += "outer ";
    };
    loop->run_until_complete(outer());
    EXPECT_EQ(notes, "inner queued outer ");
}

TEST_F(TaskTest, S042_waiters_of_one_future_resume_in_the_order_they_began_to_wait) {
    auto future = loop->create_future<void>();
    for (const char* name : {"a", "b", "c", "d"}) {
        loop->create_task(wait_for(future, name));
    }
    iterate();
    future.set_result();
    iterate();
    EXPECT_EQ(notes, "abcd");
}

TEST_F(TaskTest, S043_a_task_that_awaits_itself_gets_an_error) {
    asyncio::Task<void> self;
    const auto awaits_itself = [&]() -> Coro<void> {
        co_await give_later(1);
        try {
            co_await self;
            ADD_FAILURE() << "it did not throw";
        } catch (const asyncio::RuntimeError& error) {
            EXPECT_TRUE(std::string(error.what()).starts_with("Task cannot await on itself"));
        }
        co_await asyncio::sleep(0s);
        notes += "went on";
    };
    self = loop->create_task(awaits_itself());
    loop->run_until_complete(self);
    EXPECT_EQ(notes, "went on");
}

TEST_F(TaskTest, S044_a_future_of_another_loop_cannot_be_awaited) {
    const asyncio::EventLoopPtr other = make_loop();
    auto future = other->create_future<void>();
    const auto awaits = [&]() -> Coro<void> {
        try {
            co_await future;
            ADD_FAILURE() << "it did not throw";
        } catch (const asyncio::RuntimeError& error) {
            EXPECT_NE(std::string(error.what()).find("attached to a different loop"),
                      std::string::npos);
        }
        co_await asyncio::sleep(0s);
    };
    loop->run_until_complete(awaits());
    EXPECT_FALSE(future.done());
}

// ---- how a task ends

struct Special : asyncio::CancelledError {};

TEST_F(TaskTest, S045_the_end_of_the_coroutine_is_the_end_of_the_task) {
    const auto returned = loop->create_task(give(1));
    const auto failed = loop->create_task([]() -> Coro<int> {
        throw std::logic_error("x");
        co_return 0;
    });
    const auto cancelled = loop->create_task([]() -> Coro<int> {
        throw asyncio::CancelledError("own");
        co_return 0;
    });
    const auto derived = loop->create_task([]() -> Coro<int> {
        throw Special();
        co_return 0;
    });
    iterate();
    EXPECT_EQ(returned.result(), 1);
    EXPECT_EQ(returned.exception(), nullptr);
    EXPECT_THROW(failed.result(), std::logic_error);
    EXPECT_FALSE(failed.cancelled());
    EXPECT_TRUE(cancelled.cancelled());
    EXPECT_TRUE(derived.cancelled());
    EXPECT_THROW(derived.result(), Special);
    EXPECT_EQ(derived.cancelling(), 0) << "nobody asked for it";
}

TEST_F(TaskTest, S045_an_exception_thrown_after_co_return_wins) {
    struct Thrower {
        explicit Thrower(bool& thrown) : thrown(thrown) {}
        Thrower(const Thrower&) = delete;
        Thrower& operator=(const Thrower&) = delete;
        ~Thrower() noexcept(false) {
            thrown = true;
            throw std::logic_error("destructor");
        }
        bool& thrown;
    };
    bool thrown = false;
    auto value = std::make_shared<int>(1);
    auto task = loop->create_task([&]() -> Coro<std::shared_ptr<int>> {
        const Thrower thrower(thrown);
        co_return value;
    });
    iterate();
    EXPECT_TRUE(thrown);
    EXPECT_THROW(task.result(), std::logic_error);
    EXPECT_EQ(value.use_count(), 1) << "the result that was returned before is gone";
}

struct BaseError {};  // what Python derives from BaseException only

TEST_F(TaskTest, S046_only_loop_breaking_errors_leave_the_loop) {
    const auto exits = loop->create_task([]() -> Coro<void> {
        throw asyncio::SystemExit(2);
        co_return;
    });
    const auto base = loop->create_task([]() -> Coro<void> {
        throw BaseError();
        co_return;
    });
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
    EXPECT_THROW(exits.result(), asyncio::SystemExit) << "it is stored as well";
    iterate();
    EXPECT_THROW(base.result(), BaseError);
}

TEST_F(TaskTest, S046_who_waits_for_a_task_that_broke_the_loop_gets_the_same_error) {
    const auto exits = loop->create_task([]() -> Coro<void> {
        co_await asyncio::sleep(0s);
        throw asyncio::KeyboardInterrupt();
    });
    const auto waits = loop->create_task([&]() -> Coro<void> {
        EXPECT_THROW(co_await exits, asyncio::KeyboardInterrupt);
        notes += "caught";
    });
    EXPECT_THROW(loop->run_until_complete(waits), asyncio::KeyboardInterrupt);
    loop->run_until_complete(waits);
    EXPECT_EQ(notes, "caught");
}

TEST_F(TaskTest, S047_nobody_else_can_complete_a_task) {
    const auto task = loop->create_task(give(1));
    const asyncio::Future<int> as_future = task;
    for (int i = 0; i < 2; ++i) {
        EXPECT_THROW(as_future.set_result(2), asyncio::RuntimeError);
        EXPECT_THROW(as_future.set_exception(std::logic_error("x")), asyncio::RuntimeError);
        iterate();
    }
    EXPECT_EQ(task.result(), 1);
}

// ---- finding tasks

TEST_F(TaskTest, S048_current_task_is_the_task_whose_step_runs) {
    EXPECT_THROW(asyncio::current_task(), asyncio::RuntimeError);
    EXPECT_FALSE(asyncio::current_task(*loop));
    asyncio::Task<void> first;
    asyncio::Task<void> second;
    const auto checks = [&](const asyncio::Task<void>& self) -> Coro<void> {
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(asyncio::current_task(), self);
            EXPECT_EQ(asyncio::current_task(*loop), self);
            co_await asyncio::sleep(0s);
        }
    };
    first = loop->create_task(checks(first));
    second = loop->create_task(checks(second));
    loop->call_soon([] { EXPECT_FALSE(asyncio::current_task()); });
    second.add_done_callback([] { EXPECT_FALSE(asyncio::current_task()); });
    iterate(6);
    EXPECT_TRUE(first.done() && second.done());
}

TEST_F(TaskTest, S048_the_current_task_of_another_loop_is_none) {
    const asyncio::EventLoopPtr other = make_loop();
    const auto checks = [&]() -> Coro<void> {
        EXPECT_TRUE(asyncio::current_task(*loop));
        EXPECT_FALSE(asyncio::current_task(*other));
        co_return;
    };
    loop->run_until_complete(checks());
}

TEST_F(TaskTest, S049_all_tasks_are_those_of_the_loop_that_are_not_done) {
    EXPECT_THROW(asyncio::all_tasks(), asyncio::RuntimeError);
    const asyncio::EventLoopPtr other = make_loop();
    const auto elsewhere = other->create_task(give_later(1));
    const auto first = loop->create_task(give_later(1));
    const auto brief = loop->create_task(give(2));
    const auto second = loop->create_task(give_later(3));
    using Tasks = std::vector<asyncio::AnyTask>;
    EXPECT_EQ(asyncio::all_tasks(*loop), (Tasks{first, brief, second})) << "oldest first";
    iterate();
    EXPECT_EQ(asyncio::all_tasks(*loop), (Tasks{first, second}));
    EXPECT_EQ(asyncio::all_tasks(*other), Tasks{elsewhere});
    loop->call_soon([&] { EXPECT_EQ(asyncio::all_tasks(), (Tasks{first, second})); });
    loop->run_until_complete(second);
    loop->run_until_complete(first);
    EXPECT_EQ(asyncio::all_tasks(*loop), Tasks());
    other->run_until_complete(elsewhere);
}

TEST_F(TaskTest, S049_the_loop_keeps_a_task_that_nobody_holds) {
    loop->create_task([this]() -> Coro<void> {
        co_await asyncio::sleep(1h);
        notes += "finished";
    });
    loop->run_until_complete(
        [](asyncio::Duration pause) -> Coro<void> { co_await asyncio::sleep(pause); }(2h));
    EXPECT_EQ(notes, "finished");
}

std::uint64_t number_of(const asyncio::AnyTask& task) {
    const std::string name = task.get_name();
    EXPECT_TRUE(name.starts_with("Task-")) << name;
    return std::stoull(name.substr(5));
}

TEST_F(TaskTest, S050_tasks_are_numbered_unless_they_are_named) {
    const auto first = loop->create_task(give(1));
    const auto named = loop->create_task({.name = "reader"}, give(2));
    const auto called = loop->create_task({.name = "writer"}, [this] { return give(3); });
    const auto second = loop->create_task(give(4));
    EXPECT_EQ(named.get_name(), "reader");
    EXPECT_EQ(called.get_name(), "writer");
    EXPECT_EQ(number_of(second), number_of(first) + 1) << "named tasks take no number";
    second.set_name("renamed");
    EXPECT_EQ(second.get_name(), "renamed");
    named.set_name("reader 2");
    EXPECT_EQ(asyncio::AnyTask(named).get_name(), "reader 2");
    EXPECT_NE(repr(named).find("name='reader 2'"), std::string::npos);
    iterate();
}

TEST_F(TaskTest, S050_numbers_are_unique_in_the_process) {
    const asyncio::EventLoopPtr other = make_loop();
    std::set<std::uint64_t> numbers;
    for (int i = 0; i < 600; ++i) {
        numbers.insert(number_of(loop->create_task(give(1))));
        numbers.insert(number_of(other->create_task(give(1))));
    }
    EXPECT_EQ(numbers.size(), 1200U);
    iterate();
    other->run_once(0s);
}

// ---- stacks

Coro<void> innermost(asyncio::Future<void> future) { co_await future; }
Coro<void> middle(asyncio::Future<void> future) { co_await innermost(future); }
Coro<void> outermost(asyncio::Future<void> future) {
    co_await asyncio::sleep(0s);
    co_await middle(future);
}

std::vector<std::string> functions(const asyncio::AnyTask& task,
                                   std::optional<std::size_t> limit = std::nullopt) {
    std::vector<std::string> names;
    for (const asyncio::StackEntry& entry : task.get_stack(limit)) {
        EXPECT_NE(entry.file.find("test_tasks.cpp"), std::string::npos);
        EXPECT_GT(entry.line, 0U);
        names.push_back(entry.function);
    }
    return names;
}

TEST_F(TaskTest, S055_the_stack_of_a_suspended_task_is_its_coroutines_oldest_first) {
    auto future = loop->create_future<void>();
    const auto task = loop->create_task(outermost(future));
    using Names = std::vector<std::string>;
    EXPECT_EQ(functions(task), Names{"outermost"}) << "before its first step";
    iterate(2);
    EXPECT_EQ(functions(task), (Names{"outermost", "middle", "innermost"}));
    EXPECT_EQ(functions(task, 2), (Names{"middle", "innermost"})) << "the newest are kept";
    EXPECT_EQ(functions(task, 0), Names());
    std::ostringstream printed;
    task.print_stack(printed);
    EXPECT_TRUE(printed.str().starts_with("Stack for <Task pending")) << printed.str();
    EXPECT_NE(printed.str().find(", in innermost\n"), std::string::npos) << printed.str();
    EXPECT_TRUE(task.get_coro());
    future.set_result();
    iterate();
    EXPECT_EQ(functions(task), Names());
    EXPECT_FALSE(task.get_coro());
    std::ostringstream printed_later;
    task.print_stack(printed_later);
    EXPECT_TRUE(printed_later.str().starts_with("No stack for <Task finished"));
}

TEST_F(TaskTest, S055_a_running_task_may_look_at_itself) {
    const auto looks = [this]() -> Coro<void> {
        EXPECT_EQ(co_await give_later(1), 1);
        // The coroutine it was suspended in is gone by now.
        const asyncio::AnyTask self = asyncio::current_task();
        EXPECT_EQ(functions(self).size(), 1U);
        EXPECT_NE(repr(self).find("running at"), std::string::npos) << repr(self);
        EXPECT_TRUE(self.get_coro());
    };
    loop->run_until_complete(looks());
}

}  // namespace
