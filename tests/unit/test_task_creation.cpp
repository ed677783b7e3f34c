// create_task, task factories and ensure_future: what becomes a task, and what is refused.
#include "loop_fixture.hpp"

#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class TaskCreationTest : public LoopFixture {
protected:
    Coro<int> give(int value) { co_return value; }
};

Coro<int> product(int a, const std::unique_ptr<int>& b) { co_return a** b; }

Coro<void> increment(int& number) {
    ++number;
    co_return;
}

// A coroutine that keeps its argument, to see when it goes.
Coro<void> hold(std::shared_ptr<int>) { co_return; }

// ---- forms

TEST_F(TaskCreationTest, every_form_of_create_task_makes_a_task_of_the_running_loop) {
    int number = 0;
    const auto main = [&]() -> Coro<int> {
        const auto a = asyncio::create_task(give(1));
        const auto b = asyncio::create_task({.name = "b"}, give(2));
        const auto c = asyncio::create_task(product, 3, std::make_unique<int>(4));
        const auto d =
            asyncio::create_task({.name = "d"}, [] { return increment; }(), std::ref(number));
        const auto e = asyncio::create_task(asyncio::sleep(1s));
        EXPECT_EQ(b.get_name(), "b");
        EXPECT_EQ(d.get_name(), "d");
        co_await d;
        co_await e;
        co_return co_await a + co_await b + co_await c;
    };
    EXPECT_EQ(loop->run_until_complete(main()), 15);
    EXPECT_EQ(number, 1);
    EXPECT_EQ(clock.seconds(), 1.0);
}

TEST_F(TaskCreationTest, every_form_of_the_loops_create_task_works_before_it_runs) {
    int number = 0;
    const asyncio::TaskOptions options;
    const auto a = loop->create_task(give(1));
    const auto b = loop->create_task({.name = "b"}, give(2));
    const auto c = loop->create_task(product, 3, std::make_unique<int>(4));
    const auto d = loop->create_task(options, increment, std::ref(number));
    const auto e = loop->create_task(asyncio::sleep(0s));
    iterate(2);
    EXPECT_EQ(a.result() + b.result() + c.result(), 15);
    EXPECT_TRUE(d.done() && e.done());
    EXPECT_EQ(number, 1);
}

TEST_F(TaskCreationTest, options_carry_the_place_of_the_call) {
    const unsigned line = __LINE__ + 1;
    const auto named = loop->create_task({.name = "x"}, give(1));
    EXPECT_EQ(named.created_at().line(), line);
    EXPECT_NE(repr(named).find("created at"), std::string::npos);
    iterate();
}

TEST_F(TaskCreationTest, a_function_that_throws_before_it_makes_a_coroutine_makes_no_task) {
    auto owned = std::make_shared<int>(1);
    const auto refuses = [owned](int) -> Coro<void> { throw std::logic_error("no"); };
    const auto plain = [owned](int value) {
        if (value > 0) {
            throw std::logic_error("not yet a coroutine");
        }
        return hold(owned);
    };
    EXPECT_THROW(loop->create_task(refuses, 1), std::logic_error);
    EXPECT_THROW(loop->create_task(plain, 1), std::logic_error);
    EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
    EXPECT_EQ(owned.use_count(), 3);
}

// ---- task factories

TEST_F(TaskCreationTest, S051_the_factory_sees_and_sets_the_options) {
    static asyncio::ContextVar<int> variable("variable", 0);
    std::vector<std::string> seen;
    loop->set_task_factory([&](asyncio::EventLoop& of, asyncio::TaskOptions& options) {
        EXPECT_EQ(&of, loop.get());
        seen.push_back(options.name + (options.context ? " context" : "") +
                       (options.eager_start ? " eager" : ""));
        if (options.name.empty()) {
            options.name = "from the factory";
        }
    });
    EXPECT_TRUE(loop->get_task_factory());
    const asyncio::Context context;
    context.run([] { variable.set(5); });
    const auto plain = loop->create_task(give(1));
    const auto named = loop->create_task({.name = "n", .eager_start = true}, give(2));
    const auto shared = loop->create_task(
        {.context = context}, [] { return []() -> Coro<int> { co_return variable.get(); }(); });
    EXPECT_EQ(seen, (std::vector<std::string>{"", "n eager", " context"}));
    EXPECT_EQ(plain.get_name(), "from the factory");
    EXPECT_EQ(named.get_name(), "n");
    EXPECT_EQ(loop->run_until_complete(shared), 5);
}

TEST_F(TaskCreationTest, S051_every_task_goes_through_the_factory) {
    int made = 0;
    loop->set_task_factory([&](asyncio::EventLoop&, asyncio::TaskOptions&) { ++made; });
    const auto main = [&]() -> Coro<void> {
        co_await asyncio::create_task(give(1));
        co_await asyncio::create_task([this] { return give(2); });
        co_await asyncio::gather(give(3), give(4));
        EXPECT_EQ(co_await asyncio::ensure_future(give(5)), 5);
        EXPECT_EQ(co_await asyncio::shield(give(6)), 6);
    };
    loop->run_until_complete(main());
    EXPECT_EQ(made, 7);
}

TEST_F(TaskCreationTest, S051_no_factory_restores_the_default) {
    loop->set_task_factory(&asyncio::eager_task_factory);
    loop->set_task_factory(nullptr);
    EXPECT_FALSE(loop->get_task_factory());
    const auto main = [&]() -> Coro<void> {
        const auto task = asyncio::create_task(give(1));
        EXPECT_FALSE(task.done());
        co_await task;
    };
    loop->run_until_complete(main());
}

TEST_F(TaskCreationTest, S051_a_factory_may_replace_itself_and_make_tasks) {
    loop->set_task_factory([&](asyncio::EventLoop& of, asyncio::TaskOptions& options) {
        of.set_task_factory(nullptr);
        of.create_task(give(1));
        options.name = "replaced";
    });
    EXPECT_EQ(loop->create_task(give(2)).get_name(), "replaced");
    iterate();
}

// ---- refusals

// Each refused form must destroy the coroutine, and nobody may complain that it never ran.
TEST_F(TaskCreationTest, S052_a_coroutine_that_cannot_be_scheduled_is_closed) {
    auto owned = std::make_shared<int>(1);
    EXPECT_THROW(asyncio::create_task(hold(owned)), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::create_task({.name = "x"}, hold(owned)), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::create_task(hold, owned), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::create_task({.name = "x"}, hold, owned), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::ensure_future(hold(owned)), asyncio::RuntimeError);
    EXPECT_EQ(owned.use_count(), 1) << "without a running loop";
    loop->close();
    EXPECT_THROW(loop->create_task(hold(owned)), asyncio::RuntimeError);
    EXPECT_THROW(loop->create_task({.name = "x"}, hold(owned)), asyncio::RuntimeError);
    EXPECT_THROW(loop->create_task(hold, owned), asyncio::RuntimeError);
    EXPECT_THROW(asyncio::ensure_future(hold(owned), *loop), asyncio::RuntimeError);
    EXPECT_THROW(loop->run_until_complete(hold(owned)), asyncio::RuntimeError);
    EXPECT_EQ(owned.use_count(), 1) << "on a closed loop";
    EXPECT_TRUE(captured.take().empty());
}

TEST_F(TaskCreationTest, S052_a_factory_that_refuses_closes_the_coroutine) {
    auto owned = std::make_shared<int>(1);
    loop->set_task_factory([](asyncio::EventLoop&, asyncio::TaskOptions&) {
        throw std::logic_error("no more tasks");
    });
    EXPECT_THROW(loop->create_task(hold(owned)), std::logic_error);
    EXPECT_THROW(loop->create_task(hold, owned), std::logic_error);
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
}

// ---- ensure_future

TEST_F(TaskCreationTest, S056_a_future_or_task_is_returned_as_it_is) {
    const asyncio::Future<int> future = loop->create_future<int>();
    const asyncio::Task<int> task = loop->create_task(give(1));
    const asyncio::AnyFuture any = task;
    static_assert(std::same_as<decltype(asyncio::ensure_future(task)), asyncio::Task<int>>);
    EXPECT_EQ(asyncio::ensure_future(future), future);
    EXPECT_EQ(asyncio::ensure_future(task), task);
    EXPECT_EQ(asyncio::ensure_future(any), task);
    EXPECT_EQ(asyncio::ensure_future(future, *loop), future);
    iterate();
}

TEST_F(TaskCreationTest, S056_a_coroutine_becomes_a_task) {
    const auto main = [&]() -> Coro<void> {
        EXPECT_EQ(co_await asyncio::ensure_future(give(1)), 1);
        co_await asyncio::ensure_future(asyncio::sleep(1s));
    };
    const unsigned line = __LINE__ + 1;
    const asyncio::Task<void> task = asyncio::ensure_future(main(), *loop);
    EXPECT_EQ(task.created_at().line(), line);
    loop->run_until_complete(task);
    EXPECT_EQ(clock.seconds(), 1.0);
}

TEST_F(TaskCreationTest, S056_the_loop_must_be_that_of_the_future) {
    const asyncio::EventLoopPtr other = make_loop();
    const auto future = other->create_future<void>();
    EXPECT_THROW((void)asyncio::ensure_future(future, *loop), asyncio::ValueError);
    EXPECT_EQ(asyncio::ensure_future(future, *other), future);
}

// ---- awaiting twice

TEST_F(TaskCreationTest, S057_a_coroutine_object_is_awaited_once) {
    const auto main = [&]() -> Coro<void> {
        Coro<int> coro = give(1);
        EXPECT_TRUE(coro);
        EXPECT_EQ(co_await std::move(coro), 1);
        EXPECT_FALSE(coro);
        EXPECT_THROW(co_await std::move(coro), asyncio::RuntimeError);
        EXPECT_THROW(asyncio::create_task(std::move(coro)), asyncio::RuntimeError);
        EXPECT_THROW(loop->create_task({.name = "x"}, std::move(coro)), asyncio::RuntimeError);
        EXPECT_THROW((void)asyncio::gather(std::move(coro)), asyncio::RuntimeError);
    };
    loop->run_until_complete(main());
    EXPECT_THROW(loop->run_until_complete(Coro<int>()), asyncio::RuntimeError);
}

TEST_F(TaskCreationTest, S057_a_closed_coroutine_cannot_be_awaited) {
    const auto main = [&]() -> Coro<void> {
        Coro<int> coro = give(1);
        coro.close();
        coro.close();
        EXPECT_THROW(co_await std::move(coro), asyncio::RuntimeError);
    };
    loop->run_until_complete(main());
}

TEST_F(TaskCreationTest, S057_a_task_and_a_future_are_awaited_as_often_as_one_likes) {
    auto future = loop->create_future<std::string>();
    future.set_result("value");
    const auto task = loop->create_task([&]() -> Coro<std::string> { co_return co_await future; });
    const auto main = [&]() -> Coro<void> {
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(co_await task, "value");
            EXPECT_EQ(co_await future, "value");
        }
    };
    loop->run_until_complete(main());
}

TEST(TaskCreationForms, awaiters_are_taken_wherever_coroutines_are) {
    asyncio::testing::VirtualClock clock;
    asyncio::RunOptions options;
    options.loop_factory = [&clock] {
        asyncio::LoopOptions loop_options;
        loop_options.clock = &clock;
        return asyncio::new_event_loop(std::move(loop_options));
    };
    asyncio::run(asyncio::sleep(1s), options);
    EXPECT_EQ(clock.seconds(), 1.0);
    const auto loop = options.loop_factory();
    loop->run_until_complete(asyncio::sleep(1s));
    loop->run_until_complete([]() -> Coro<void> {
        co_await asyncio::create_task({.name = "pause"}, asyncio::sleep(1s));
        EXPECT_EQ(co_await asyncio::sleep(1.0, std::string("done")), "done");
    }());
    loop->call_later(0.5, [&loop] { loop->stop(); });
    loop->run_forever();
    EXPECT_EQ(clock.seconds(), 4.5);
}

TEST(TaskCreationForms, a_sleep_that_was_awaited_cannot_be_used_again) {
    asyncio::run([]() -> Coro<void> {
        auto pause = asyncio::sleep(1us);
        co_await std::move(pause);
        std::string text;
        try {
            co_await std::move(pause);
        } catch (const asyncio::RuntimeError& error) {
            text = error.what();
        }
        EXPECT_NE(text.find("cannot reuse already awaited"), std::string::npos) << text;
        auto moved = std::move(pause);
        EXPECT_THROW(co_await std::move(moved), asyncio::RuntimeError);
    }());
}

}  // namespace
