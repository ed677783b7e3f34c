// Coroutines of the library under a driver that is no Task: running, and being destroyed.
#include <asyncio/asyncio.hpp>
#include <asyncio/foreign_driver.hpp>

#include "foreign_fixture.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::Driver;
using asyncio::EventLoop;
using foreign::delayed;
using foreign::doubled;
using foreign::fail_later;
using foreign::Stepper;
using namespace std::chrono_literals;

class ForeignDrivers : public foreign::Fixture {};

// Logs its end.
struct Mark {
    Mark(std::vector<std::string>& log, std::string name) : log(log), name(std::move(name)) {}
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    ~Mark() { log.push_back("~" + name); }
    std::vector<std::string>& log;
    std::string name;
};

// ---- running

TEST_F(ForeignDrivers, runs_nested_coroutines_that_sleep) {
    auto main = []() -> Coro<int> { co_return co_await doubled(3) + co_await doubled(4); };
    Stepper<int> stepper(loop(), main());
    EXPECT_EQ(stepper.steps, 0);
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(stepper.outcome.value, 14);
    EXPECT_EQ(stepper.steps, 3);
    EXPECT_EQ(seconds(), 2.0);
}

TEST_F(ForeignDrivers, an_exception_passes_through_nested_coroutines) {
    auto main = []() -> Coro<std::string> {
        try {
            co_await fail_later();
        } catch (const asyncio::ValueError& error) {
            co_return error.what();
        }
        co_return "";
    };
    Stepper<std::string> stepper(loop(), main());
    run(stepper);
    EXPECT_EQ(stepper.outcome.value, "too late");
    Stepper<int> failing(loop(), fail_later());
    run(failing);
    EXPECT_EQ(failing.error(), "ValueError: too late");
}

TEST_F(ForeignDrivers, await_futures_tasks_gathers_and_shields) {
    auto main = [](asyncio::Future<int> future) -> Coro<int> {
        int sum = co_await future;
        auto task = asyncio::create_task(delayed(10, 1s));
        sum += co_await task;
        auto [a, b] = co_await asyncio::gather(delayed(100, 2s), doubled(500));
        sum += a + b;
        co_return sum + co_await asyncio::shield(delayed(10'000, 1s));
    };
    auto future = loop().create_future<int>();
    Stepper<int> stepper(loop(), main(future));
    loop().call_later(1s, [future] { future.set_result(1); });
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(stepper.outcome.value, 11'111);
    EXPECT_EQ(seconds(), 5.0);
}

TEST_F(ForeignDrivers, are_no_task) {
    auto main = [](EventLoop& loop) -> Coro<void> {
        EXPECT_FALSE(asyncio::current_task());
        EXPECT_FALSE(Driver::current().is_task());
        EXPECT_EQ(&asyncio::get_running_loop(), &loop);
        EXPECT_EQ(&Driver::current().loop(), &loop);
        Driver* const own = &Driver::current();
        auto inner = []() -> Coro<bool> { co_return static_cast<bool>(asyncio::current_task()); };
        EXPECT_TRUE(co_await asyncio::create_task(inner()));
        EXPECT_FALSE(co_await inner());
        EXPECT_EQ(&Driver::current(), own);
        EXPECT_FALSE(asyncio::current_task());
        EXPECT_TRUE(asyncio::all_tasks().empty());
    };
    Stepper<void> stepper(loop(), main(loop()));
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
}

TEST_F(ForeignDrivers, take_turns_with_tasks_and_callbacks_first_in_first_out) {
    auto talk = [this](std::string name) -> Coro<void> {
        for (int i = 0; i < 2; ++i) {
            log_.push_back(name + std::to_string(i));
            co_await asyncio::sleep(0s);
        }
    };
    Stepper<void> first(loop(), talk("a"));
    Stepper<void> second(loop(), talk("c"));
    loop().call_soon(first);
    auto task = loop().create_task(talk("b"));
    loop().call_soon(second);
    loop().call_soon([this] { log_.push_back("callback"); });
    turn(3);
    EXPECT_TRUE(first.ended && second.ended && task.done());
    EXPECT_EQ(log_, (std::vector<std::string>{"a0", "b0", "c0", "callback", "a1", "b1", "c1"}));
}

TEST_F(ForeignDrivers, may_be_stepped_later_than_the_loop_says) {
    Stepper<int> stepper(loop(), doubled(1));
    int turns = 0;
    stepper.on_turn = [&turns] { ++turns; };
    stepper.advance();
    loop().run_once();
    turn(2);
    EXPECT_EQ(turns, 1);
    EXPECT_FALSE(stepper.ended);
    stepper.advance();
    EXPECT_TRUE(stepper.ended);
    EXPECT_EQ(stepper.outcome.value, 2);
}

TEST_F(ForeignDrivers, may_be_stepped_while_the_loop_does_not_run) {
    auto main = [](EventLoop& loop) -> Coro<int> {
        EXPECT_EQ(&asyncio::get_running_loop(), &loop);
        EXPECT_THROW(loop.run_once(0s), asyncio::RuntimeError);
        co_await asyncio::sleep(0s);
        auto task = asyncio::create_task(delayed(1, 1s));
        co_return co_await task;
    };
    Stepper<int> stepper(loop(), main(loop()));
    stepper.on_turn = [] {};
    for (int i = 0; i < 2; ++i) {
        stepper.advance();
        EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
        turn();
    }
    EXPECT_EQ(asyncio::all_tasks(loop()).size(), 1U);
    while (!asyncio::all_tasks(loop()).empty()) {
        loop().run_once();
    }
    stepper.advance();
    EXPECT_TRUE(stepper.ended);
    EXPECT_EQ(stepper.outcome.value, 1);
}

TEST_F(ForeignDrivers, may_be_stepped_inside_of_a_task) {
    Stepper<int> stepper(loop(), fail_later());
    auto main = [](Stepper<int>& inner) -> Coro<void> {
        const asyncio::AnyTask self = asyncio::current_task();
        Driver* const driver = &Driver::current();
        inner.advance();
        EXPECT_EQ(asyncio::current_task(), self);
        co_await asyncio::sleep(2s);
        EXPECT_TRUE(inner.ended);
        EXPECT_EQ(&Driver::current(), driver);
    };
    loop().run_until_complete(main(stepper));
    EXPECT_EQ(stepper.error(), "ValueError: too late");
}

// ---- contexts

TEST_F(ForeignDrivers, have_a_context_of_their_own) {
    static asyncio::ContextVar<int> variable("variable", 0);
    auto main = []() -> Coro<int> {
        const int inherited = variable.get();
        variable.set(2);
        co_await asyncio::sleep(1s);
        const int kept = variable.get();
        auto read = []() -> Coro<int> { co_return variable.get(); };
        const int child = co_await asyncio::create_task(read());
        co_return 100 * inherited + 10 * kept + child;
    };
    variable.set(1);
    Stepper<int> stepper(loop(), main());
    variable.set(7);
    run(stepper);
    EXPECT_EQ(stepper.outcome.value, 122);
    EXPECT_EQ(variable.get(), 7);
}

// ---- the end

TEST_F(ForeignDrivers, destroying_a_suspended_one_destroys_its_coroutines_innermost_first) {
    auto leaf = [this]() -> Coro<void> {
        Mark outer(log_, "leaf 1");
        Mark inner(log_, "leaf 2");
        co_await asyncio::sleep(1s);
    };
    auto middle = [this, &leaf]() -> Coro<void> {
        Mark mark(log_, "middle");
        co_await leaf();
    };
    auto main = [this, &middle]() -> Coro<void> {
        Mark mark(log_, "main");
        co_await middle();
    };
    {
        Stepper<void> stepper(loop(), main());
        stepper.advance();
        EXPECT_TRUE(log_.empty());
    }
    EXPECT_EQ(log_, (std::vector<std::string>{"~leaf 2", "~leaf 1", "~middle", "~main"}));
    EXPECT_THROW(loop().run_once(), asyncio::DeadlockError);  // no timer is left
    EXPECT_EQ(seconds(), 0.0);
}

TEST_F(ForeignDrivers, destroying_one_that_waits_takes_it_out_of_what_it_waits_for) {
    auto wait = [](asyncio::Future<int> future) -> Coro<int> { co_return co_await future; };
    auto future = loop().create_future<int>();
    auto task = loop().create_task(delayed(1, 1s));
    auto collect = [](asyncio::Task<int> awaited) -> Coro<void> {
        co_await asyncio::gather(awaited, delayed(2, 1s));
    };
    {
        Stepper<int> on_future(loop(), wait(future));
        Stepper<int> on_task(loop(), wait(task));
        Stepper<void> on_gather(loop(), collect(task));
        on_future.advance();
        on_task.advance();
        loop().call_soon(on_gather);
        turn();
    }
    future.set_result(1);
    EXPECT_EQ(loop().run_until_complete(task), 1);
    turn(3);
    EXPECT_TRUE(reports_.empty());
}

TEST_F(ForeignDrivers, may_be_destroyed_while_queued_or_before_they_start) {
    {
        Stepper<int> queued(loop(), doubled(1));
        queued.advance();
        loop().run_once();  // the timer wakes it; its turn is the next
        EXPECT_TRUE(queued.scheduled());
        Stepper<int> first_step(loop(), doubled(1));
        loop().call_soon(first_step);
        Stepper<int> unstarted(loop(), doubled(1));
    }
    EXPECT_THROW(loop().run_once(), asyncio::DeadlockError);
    EXPECT_TRUE(reports_.empty());
}

TEST_F(ForeignDrivers, a_loop_that_closes_gives_queued_ones_back) {
    Stepper<int> queued(loop(), doubled(1));
    Stepper<int> asleep(loop(), doubled(1));
    asleep.advance();
    loop().call_soon(queued);
    loop().close();
    EXPECT_EQ(queued.discarded, 1);
    EXPECT_FALSE(queued.scheduled());
    EXPECT_EQ(queued.steps, 0);
}

TEST_F(ForeignDrivers, may_outlive_the_owner_of_the_loop) {
    auto other = asyncio::new_event_loop();
    auto give_way = []() -> Coro<void> { co_await asyncio::sleep(0s); };
    auto insist = []() -> Coro<void> {
        try {
            co_await asyncio::sleep(1s);
        } catch (const asyncio::CancelledError&) {
        }
        co_await asyncio::sleep(1s);
    };
    Stepper<void> ready(*other, give_way());
    Stepper<void> asleep(*other, insist());
    Stepper<int> cancelled(*other, doubled(1));
    const Stepper<int> unstarted(*other, doubled(1));
    other->call_soon(ready);
    other->call_soon(asleep);
    other->call_soon(cancelled);
    other->run_once(0s);
    other.reset();
    EXPECT_EQ(ready.discarded, 1);
    EXPECT_TRUE(cancelled.cancel({}));
    asleep.deliver(std::make_exception_ptr(asyncio::CancelledError()));
    asleep.advance();
    EXPECT_FALSE(asleep.ended);
}

}  // namespace
