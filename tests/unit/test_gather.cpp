// gather: scheduling, order, errors and cancellation.
#include <asyncio/gather.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/testing/gtest.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::gather;
using asyncio::Outcome;
using asyncio::return_exceptions;
using asyncio::Task;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Coro<int> number_after(std::chrono::seconds delay, int number) {
    co_await asyncio::sleep(delay);
    co_return number;
}

Coro<int> fail_after(std::chrono::seconds delay, std::string text) {
    co_await asyncio::sleep(delay);
    throw Boom(text);
}

Coro<int> swallow_cancellation(int number) {
    try {
        co_await asyncio::sleep(1h);
    } catch (const CancelledError&) {
    }
    co_return number;
}

class Gather : public LoopFixture {
protected:
    Future<int> future() { return loop->create_future<int>(); }

    static std::string error_of(const asyncio::AnyFuture& future) {
        return asyncio::describe_exception(future.exception());
    }
};

// ---- scheduling and results

ASYNC_TEST(Gather, S104_nothing_gives_a_done_future_without_results) {
    const Future<std::tuple<>> none = gather();
    EXPECT_TRUE(none.done());
    EXPECT_EQ(co_await none, std::tuple<>());

    std::vector<Task<int>> tasks;
    const Future<std::vector<int>> empty = gather(tasks);
    EXPECT_TRUE(empty.done());
    EXPECT_TRUE((co_await empty).empty());
    EXPECT_TRUE((co_await gather(return_exceptions, tasks)).empty());
}

TEST_F(Gather, S104_nothing_needs_a_running_loop) {
    EXPECT_THROW((void)gather(), asyncio::RuntimeError);
}

ASYNC_TEST(Gather, S105_children_are_scheduled_by_the_call) {
    std::string notes;
    auto note = [](std::string& out, const char* text) -> Coro<void> {
        out += text;
        co_return;
    };
    const auto all = gather(note(notes, "a"), note(notes, "b"));
    EXPECT_EQ(notes, "");
    EXPECT_EQ(asyncio::all_tasks().size(), 3U);
    co_await asyncio::sleep(0s);
    EXPECT_EQ(notes, "ab");
    co_await all;
}

ASYNC_TEST(Gather, S106_results_come_in_the_order_of_the_arguments) {
    const auto [first, second, third] =
        co_await gather(number_after(3s, 1), number_after(1s, 2), number_after(2s, 3));
    EXPECT_EQ(first, 1);
    EXPECT_EQ(second, 2);
    EXPECT_EQ(third, 3);
    EXPECT_EQ(clock().seconds(), 3.0);
}

ASYNC_TEST(Gather, S106_results_of_a_range_come_in_its_order) {
    std::vector<Coro<int>> coros;
    for (int i = 0; i < 4; ++i) {
        coros.push_back(number_after(std::chrono::seconds(4 - i), i));
    }
    EXPECT_EQ(co_await gather(coros), (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(clock().seconds(), 4.0);
}

ASYNC_TEST(Gather, S106_mixed_results_make_a_tuple) {
    auto text = []() -> Coro<std::string> { co_return "text"; };
    auto nothing = []() -> Coro<void> { co_return; };
    auto unique = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    auto results = co_await gather(text(), nothing(), unique(), asyncio::sleep(1s));
    EXPECT_EQ(std::get<0>(results), "text");
    EXPECT_EQ(std::get<1>(results), std::monostate());
    EXPECT_EQ(*std::get<2>(results), 3);
}

ASYNC_TEST(Gather, S107_a_repeated_argument_runs_once_and_appears_at_each_place) {
    int runs = 0;
    auto body = [](int& count) -> Coro<int> {
        co_await asyncio::sleep(1s);
        co_return ++count;
    };
    const Task<int> task = asyncio::create_task(body, std::ref(runs));
    const auto [a, b, c, d] = co_await gather(task, number_after(2s, 9), task, task);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(std::tie(a, b, c, d), std::make_tuple(1, 9, 1, 1));
}

ASYNC_TEST(Gather, S119_a_gather_of_finished_children_is_done_on_return) {
    const Future<int> value = asyncio::get_running_loop().create_future<int>();
    value.set_result(1);
    const Task<int> task = asyncio::create_task(number_after(0s, 2));
    co_await task;
    const auto all = gather(value, task);
    EXPECT_TRUE(all.done());
    EXPECT_EQ(co_await all, std::make_tuple(1, 2));

    const Future<int> failed = asyncio::get_running_loop().create_future<int>();
    failed.set_exception(Boom("done before"));
    const auto failing = gather(value, failed, asyncio::create_task(number_after(1s, 3)));
    EXPECT_TRUE(failing.done());
    EXPECT_NE(failing.exception(), nullptr);
}

ASYNC_TEST(Gather, a_view_that_makes_coroutines_makes_each_of_them_once) {
    std::vector<int> made;
    const std::vector<int> numbers{3, 1, 2};
    auto view = numbers | std::views::transform([&made](int number) {
                    made.push_back(number);
                    return number_after(std::chrono::seconds(number), number);
                });
    EXPECT_EQ(co_await gather(view), numbers);
    EXPECT_EQ(made, numbers);
}

// ---- errors of children

TEST_F(Gather, S108_the_first_exception_completes_the_gather_and_the_others_go_on) {
    const auto [a, b, c] = std::tuple(future(), future(), future());
    const auto all = gather(a, b, c);
    b.set_exception(Boom("b"));
    EXPECT_FALSE(all.done());
    iterate();
    EXPECT_TRUE(all.done());
    EXPECT_NE(error_of(all).find("Boom: b"), std::string::npos) << error_of(all);
    EXPECT_FALSE(a.done());
    EXPECT_FALSE(c.done());
    a.set_result(1);
    c.set_result(3);
    iterate();
    EXPECT_EQ(c.result(), 3);
}

ASYNC_TEST(Gather, S108_the_awaiter_goes_on_while_siblings_run) {
    const Task<int> sibling = asyncio::create_task(number_after(5s, 5));
    bool failed = false;
    try {
        co_await gather(sibling, fail_after(1s, "x"));
    } catch (const Boom&) {
        failed = true;
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(clock().seconds(), 1.0);
    EXPECT_FALSE(sibling.done());
    EXPECT_EQ(co_await sibling, 5);
}

TEST_F(Gather, S109_exceptions_of_the_remaining_children_count_as_retrieved) {
    Future<int> first = future();
    Future<int> second = future();
    Future<int> third = future();
    const auto all = gather(first, second, third);
    first.set_exception(Boom("first"));
    second.set_exception(Boom("second"));
    iterate();
    EXPECT_NE(error_of(all).find("first"), std::string::npos);
    third.set_exception(Boom("third"));
    iterate();
    first = second = third = {};  // the fixture fails if any of them is reported
}

TEST_F(Gather, S110_a_cancelled_child_fails_the_gather_which_is_not_cancelled) {
    const auto [a, b] = std::tuple(future(), future());
    const auto all = gather(a, b);
    a.cancel("only a");
    iterate();
    EXPECT_TRUE(all.done());
    EXPECT_FALSE(all.cancelled());
    EXPECT_EQ(error_of(all), "CancelledError: only a");
    EXPECT_FALSE(b.done());
}

ASYNC_TEST(Gather, S110_the_awaiter_of_a_gather_with_a_cancelled_child_is_not_counted) {
    const Task<int> child = asyncio::create_task(number_after(1h, 1));
    const Task<int> sibling = asyncio::create_task(number_after(1s, 2));
    asyncio::get_running_loop().call_soon([&] { child.cancel("child"); });
    std::string message;
    try {
        co_await gather(child, sibling);
    } catch (const CancelledError& error) {
        message = error.message();
    }
    EXPECT_EQ(message, "child");
    EXPECT_EQ(asyncio::current_task().cancelling(), 0);
    EXPECT_EQ(co_await sibling, 2);
}

ASYNC_TEST(Gather, S111_errors_and_cancellations_are_results_in_place) {
    const Task<int> task = asyncio::create_task(number_after(1h, 1));
    const Future<int> future = asyncio::get_running_loop().create_future<int>();
    asyncio::get_running_loop().call_soon([&] {
        task.cancel("task");
        future.cancel("future");
    });
    auto [value, failure, cancelled_task, cancelled_future, nothing] =
        co_await gather(return_exceptions, number_after(2s, 7), fail_after(1s, "bad"), task, future,
                        asyncio::sleep(3s));
    EXPECT_EQ(value.value(), 7);
    EXPECT_FALSE(failure.has_value());
    EXPECT_FALSE(failure.cancelled());
    EXPECT_THROW(failure.value(), Boom);
    EXPECT_TRUE(cancelled_task.cancelled());
    EXPECT_TRUE(cancelled_future.cancelled());
    // As in CPython, the message of a task's cancellation is in the task's own error only.
    EXPECT_EQ(asyncio::describe_exception(cancelled_task.exception()), "CancelledError");
    EXPECT_EQ(asyncio::describe_exception(cancelled_future.exception()), "CancelledError: future");
    EXPECT_TRUE(nothing.has_value());
}

ASYNC_TEST(Gather, S111_a_range_gives_outcomes_too) {
    std::vector<Coro<int>> coros;
    coros.push_back(number_after(1s, 1));
    coros.push_back(fail_after(0s, "bad"));
    const std::vector<Outcome<int>> outcomes = co_await gather(return_exceptions, coros);
    CO_ASSERT_EQ(outcomes.size(), 2U);
    EXPECT_EQ(outcomes[0].value(), 1);
    EXPECT_THROW(outcomes[1].value(), Boom);
}

// ---- cancelling the gather

TEST_F(Gather, S112_cancelling_a_gather_cancels_every_unfinished_child_and_completes_later) {
    const auto [a, b, c] = std::tuple(future(), future(), future());
    const auto all = gather(a, b, c);
    b.set_result(2);
    EXPECT_TRUE(all.cancel("all"));
    EXPECT_TRUE(a.cancelled());
    EXPECT_FALSE(b.cancelled());
    EXPECT_TRUE(c.cancelled());
    EXPECT_FALSE(all.done());
    iterate();
    EXPECT_TRUE(all.done());
    EXPECT_FALSE(all.cancelled());
    EXPECT_EQ(error_of(all), "CancelledError: all");
}

TEST_F(Gather, S112_cancelling_reaches_children_of_a_gather_in_a_gather) {
    const auto [a, b, c] = std::tuple(future(), future(), future());
    const auto all = gather(gather(a, b), c);
    EXPECT_TRUE(all.cancel("deep"));
    EXPECT_TRUE(a.cancelled() && b.cancelled() && c.cancelled());
    iterate(2);
    EXPECT_EQ(error_of(all), "CancelledError: deep");
}

ASYNC_TEST(Gather, S112_cancelling_the_awaiter_cancels_the_children_with_its_message) {
    const Task<int> a = asyncio::create_task(number_after(1h, 1));
    const Task<int> b = asyncio::create_task(swallow_cancellation(2));
    auto body = [](Task<int> first, Task<int> second) -> Coro<void> {
        co_await gather(first, second);
    };
    const Task<void> awaiter = asyncio::create_task(body, a, b);
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    awaiter.cancel("from above");
    EXPECT_EQ(a.cancelling(), 1);
    EXPECT_EQ(b.cancelling(), 1);
    std::string message;
    try {
        co_await awaiter;
    } catch (const CancelledError& error) {
        message = error.message();
    }
    EXPECT_EQ(message, "from above");
    EXPECT_EQ(b.result(), 2);
}

TEST_F(Gather, S113_cancelling_when_all_children_are_done_fails_and_keeps_the_results) {
    const auto [a, b] = std::tuple(future(), future());
    const auto all = gather(a, b);
    a.set_result(1);
    b.set_result(2);
    EXPECT_FALSE(all.done());  // they have not reported yet
    EXPECT_FALSE(all.cancel());
    iterate();
    EXPECT_EQ(all.result(), std::make_tuple(1, 2));
}

TEST_F(Gather, S113_a_task_cancelled_then_still_gets_its_cancellation) {
    const Future<int> a = future();
    auto body = [](Future<int> child) -> Coro<void> { co_await gather(child); };
    const Task<void> task = loop->create_task(body, a);
    iterate();
    a.set_result(1);
    EXPECT_TRUE(task.cancel());
    iterate(3);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Gather, S114_cancelling_a_completed_gather_fails_and_touches_no_child) {
    const auto [a, b] = std::tuple(future(), future());
    const auto all = gather(a, b);
    a.set_exception(Boom("a"));
    iterate();
    EXPECT_TRUE(all.done());
    EXPECT_FALSE(all.cancel());
    EXPECT_FALSE(b.done());
    EXPECT_NE(error_of(all).find("Boom"), std::string::npos);
}

TEST_F(Gather, S115_a_cancelled_gather_throws_even_with_return_exceptions) {
    const auto [a, b] = std::tuple(future(), future());
    const auto all = gather(return_exceptions, a, b);
    EXPECT_TRUE(all.cancel("message"));
    iterate();
    EXPECT_EQ(error_of(all), "CancelledError: message");
    EXPECT_FALSE(all.cancelled());
}

ASYNC_TEST(Gather, S115_it_throws_even_if_the_children_swallow) {
    auto body = []() -> Coro<void> {
        co_await gather(return_exceptions, swallow_cancellation(1), swallow_cancellation(2));
        ADD_FAILURE() << "not cancelled";
    };
    const Task<void> task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    task.cancel("m");
    const auto [outcome] = co_await gather(return_exceptions, task);
    EXPECT_TRUE(outcome.cancelled());
}

TEST_F(Gather, S115_the_message_is_that_of_the_last_argument) {
    const auto [a, b] = std::tuple(future(), future());
    const auto all = gather(return_exceptions, a, b);
    b.cancel("b alone");
    EXPECT_TRUE(all.cancel("all"));
    iterate();
    EXPECT_EQ(error_of(all), "CancelledError: b alone");
}

ASYNC_TEST(Gather, S116_the_awaiter_resumes_when_the_first_child_has_ended) {
    auto slow_end = []() -> Coro<int> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
        }
        co_await asyncio::sleep(10s);
        co_return 1;
    };
    const Task<int> slow = asyncio::create_task(slow_end);
    auto body = [](Task<int> child) -> Coro<void> { co_await gather(number_after(1h, 0), child); };
    const Task<void> awaiter = asyncio::create_task(body, slow);
    co_await asyncio::sleep(1s);
    awaiter.cancel();
    co_await gather(return_exceptions, awaiter);
    EXPECT_TRUE(awaiter.cancelled());
    EXPECT_EQ(clock().seconds(), 1.0);
    EXPECT_FALSE(slow.done());
    EXPECT_EQ(co_await slow, 1);
}

// ---- bad arguments

TEST_F(Gather, S117_children_of_different_loops_are_refused) {
    const auto other = make_loop();
    const Future<int> here = future();
    const Future<int> there = other->create_future<int>();
    EXPECT_THROW((void)gather(here, there), asyncio::ValueError);
    EXPECT_THROW((void)gather(std::vector{here, there}), asyncio::ValueError);
    here.set_result(1);
    iterate();
}

TEST_F(Gather, S117_coroutines_without_a_loop_are_refused_and_closed) {
    EXPECT_THROW((void)gather(number_after(1s, 1), number_after(1s, 2)), asyncio::RuntimeError);
    // The fixture fails if one of them is reported as never awaited.
}

ASYNC_TEST(Gather, S118_a_bad_argument_harms_no_other) {
    LogCapture captured;
    const Future<int> good = asyncio::get_running_loop().create_future<int>();
    std::vector<Future<int>> futures{good, Future<int>()};
    EXPECT_THROW((void)gather(number_after(1s, 1), good, Future<int>()), asyncio::RuntimeError);
    EXPECT_THROW((void)gather(futures), asyncio::RuntimeError);
    EXPECT_EQ(asyncio::all_tasks().size(), 1U);  // the first argument was not started
    EXPECT_TRUE(captured.take().empty());
    good.set_result(5);
    EXPECT_EQ(co_await gather(good), std::make_tuple(5));
}

TEST_F(Gather, pending_futures_of_a_closed_loop_are_refused) {
    const Future<int> pending = future();
    const Future<int> done = future();
    done.set_result(1);
    loop->close();
    EXPECT_THROW((void)gather(pending, done), asyncio::RuntimeError);
    EXPECT_EQ(gather(done).result(), std::make_tuple(1));
}

}  // namespace
