// The bookkeeping of cancellation: how often it was asked for, what withdraws a request, which
// message wins, and what those see who wait for a cancelled task.
#include <asyncio/gather.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/task.hpp>
#include <asyncio/testing/gtest.hpp>

#include "loop_fixture.hpp"

#include <any>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::CancelMessage;
using asyncio::Coro;
using asyncio::Future;
using asyncio::Task;

Coro<void> await_future(Future<void> future) { co_await future; }

Coro<void> await_task(Task<void> task) { co_await task; }

Coro<void> sleep_for_ever() {
    for (;;) {
        co_await asyncio::sleep(1h);
    }
}

// Sleeps; swallows every cancellation and counts it.
Coro<void> swallow(int& count, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            ++count;
        }
    }
}

template <class T>
std::string message_of(const Task<T>& task) {
    try {
        task.result();
    } catch (const CancelledError& error) {
        return error.message();
    }
    return "a result";
}

class CancelCounts : public LoopFixture {};

ASYNC_TEST(CancelCounts, S092_the_count_stays_up_after_swallowing_and_disturbs_nothing) {
    auto body = []() -> Coro<int> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
        }
        const int before = asyncio::current_task().cancelling();
        co_await asyncio::sleep(1s);
        const int after = asyncio::current_task().cancelling();
        const int left = asyncio::current_task().uncancel();
        co_return before * 100 + after * 10 + left;
    };
    const Task<int> task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    task.cancel();
    EXPECT_EQ(co_await task, 110);
    EXPECT_EQ(task.cancelling(), 0);
}

ASYNC_TEST(CancelCounts, S093_uncancel_counts_down_to_zero) {
    const Task<void> task = asyncio::create_task(sleep_for_ever);
    co_await asyncio::sleep(0s);
    EXPECT_EQ(task.uncancel(), 0);
    task.cancel();
    task.cancel();
    EXPECT_EQ(task.uncancel(), 1);
    EXPECT_EQ(task.uncancel(), 0);
    EXPECT_EQ(task.uncancel(), 0);
    EXPECT_EQ(task.cancelling(), 0);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(task.cancelled());  // the sleep was interrupted already
}

ASYNC_TEST(CancelCounts, S093_uncancel_at_zero_withdraws_an_undelivered_request) {
    auto body = []() -> Coro<int> {
        asyncio::current_task().cancel();
        EXPECT_EQ(asyncio::current_task().uncancel(), 0);
        co_await asyncio::sleep(0s);
        co_await asyncio::sleep(1s);
        co_return 1;
    };
    const Task<int> task = asyncio::create_task(body);
    EXPECT_EQ(co_await task, 1);
    EXPECT_FALSE(task.cancelled());
}

ASYNC_TEST(CancelCounts, S093_uncancel_above_zero_withdraws_nothing) {
    auto body = []() -> Coro<void> {
        asyncio::current_task().cancel();
        asyncio::current_task().cancel();
        EXPECT_EQ(asyncio::current_task().uncancel(), 1);
        co_await asyncio::sleep(0s);
        ADD_FAILURE() << "not interrupted";
    };
    const Task<void> task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(CancelCounts, S093_uncancel_before_the_first_step_lets_the_body_run) {
    const Task<int> task = loop->create_task([]() -> Coro<int> { co_return 1; });
    task.cancel();
    EXPECT_EQ(task.uncancel(), 0);
    EXPECT_EQ(loop->run_until_complete(task), 1);
    EXPECT_EQ(task.uncancel(), 0);
    EXPECT_EQ(task.result(), 1);
}

ASYNC_TEST(CancelCounts, S094_several_requests_before_the_delivery_throw_once) {
    int count = 0;
    const Task<void> suspended = asyncio::create_task(swallow, std::ref(count), 2);
    co_await asyncio::sleep(0s);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(suspended.cancel());
    }
    EXPECT_EQ(suspended.cancelling(), 3);
    co_await asyncio::sleep(0s);
    EXPECT_EQ(count, 1);
    co_await asyncio::sleep(30min);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(suspended.cancelling(), 3);
    suspended.cancel();
    co_await suspended;
    EXPECT_EQ(count, 2);
}

TEST_F(CancelCounts, S095_the_first_message_is_delivered_to_a_suspended_task) {
    const Task<void> task = loop->create_task(await_future, loop->create_future<void>());
    iterate();
    task.cancel("first");
    task.cancel("second");
    iterate();
    EXPECT_EQ(message_of(task), "first");
}

TEST_F(CancelCounts, S095_the_first_message_is_delivered_to_a_sleeping_task) {
    const Task<void> task = loop->create_task(sleep_for_ever);
    iterate();
    task.cancel("first");
    task.cancel("second");
    iterate();
    EXPECT_EQ(message_of(task), "first");
}

TEST_F(CancelCounts, S095_the_last_message_is_delivered_to_a_task_that_is_only_flagged) {
    const Task<void> unstarted = loop->create_task(sleep_for_ever);
    unstarted.cancel("first");
    unstarted.cancel("second");
    const Future<void> future = loop->create_future<void>();
    const Task<void> woken = loop->create_task(await_future, future);
    iterate();
    future.set_result();
    woken.cancel("first");
    woken.cancel("second");
    iterate();
    EXPECT_EQ(message_of(unstarted), "second");
    EXPECT_EQ(message_of(woken), "second");
}

TEST_F(CancelCounts, S095_a_message_replaces_an_exception_not_seen_yet) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> task = loop->create_task(await_future, future);
    iterate();
    future.set_exception(std::runtime_error("unseen"));
    task.cancel("message");
    iterate();
    EXPECT_EQ(message_of(task), "message");
}

TEST_F(CancelCounts, S095_any_payload_comes_out_unchanged) {
    const Task<void> task = loop->create_task(sleep_for_ever);
    iterate();
    task.cancel(CancelMessage::of(std::pair<int, char>(7, 'x')));
    iterate();
    try {
        task.result();
        ADD_FAILURE() << "a result";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "");
        using Payload = std::pair<int, char>;
        EXPECT_EQ(std::any_cast<Payload>(error.cancel_message().payload()), Payload(7, 'x'));
    }
}

// ---- those who wait for a cancelled task

ASYNC_TEST(CancelCounts, S096_the_awaiter_gets_the_same_error_and_is_not_counted) {
    const void* thrown = nullptr;
    const void* received = nullptr;
    auto inner = [](const void*& address) -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError& error) {
            address = &error;
            throw;
        }
    };
    auto outer = [](Task<void> task, const void*& address) -> Coro<int> {
        try {
            co_await task;
        } catch (const CancelledError& error) {
            address = &error;
            EXPECT_EQ(error.message(), "why");
        }
        co_return asyncio::current_task().cancelling();
    };
    const Task<void> task = asyncio::create_task(inner, std::ref(thrown));
    const Task<int> awaiter = asyncio::create_task(outer, task, std::ref(received));
    co_await asyncio::sleep(0s);
    task.cancel("why");
    EXPECT_EQ(co_await awaiter, 0);
    EXPECT_NE(thrown, nullptr);
    EXPECT_EQ(thrown, received);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(CancelCounts, S096_only_the_first_reader_of_a_cancelled_task_sees_the_message) {
    const Task<void> task = loop->create_task(sleep_for_ever);
    iterate();
    task.cancel("once");
    iterate();
    EXPECT_EQ(message_of(task), "once");
    EXPECT_EQ(message_of(task), "");
}

ASYNC_TEST(CancelCounts, S097_an_inner_task_that_swallows_saves_the_outer_one) {
    int count = 0;
    auto inner = [](int& seen) -> Coro<int> {
        co_await swallow(seen, 1);
        co_return 5;
    };
    auto outer = [](Task<int> task) -> Coro<int> { co_return co_await task; };
    const Task<int> inner_task = asyncio::create_task(inner, std::ref(count));
    const Task<int> outer_task = asyncio::create_task(outer, inner_task);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(outer_task.cancel());
    EXPECT_EQ(inner_task.cancelling(), 1);
    EXPECT_EQ(outer_task.cancelling(), 1);
    EXPECT_EQ(co_await outer_task, 5);
    EXPECT_EQ(count, 1);
    EXPECT_FALSE(outer_task.cancelled());
}

ASYNC_TEST(CancelCounts, S098_cancelling_a_future_and_its_waiter_in_one_tick_is_one_cancellation) {
    for (const bool future_first : {true, false}) {
        const Future<void> future = asyncio::get_running_loop().create_future<void>();
        int caught = 0;
        auto body = [](Future<void> awaited, int& count) -> Coro<void> {
            try {
                co_await awaited;
            } catch (const CancelledError&) {
                ++count;
            }
            co_await asyncio::sleep(0s);
            co_await asyncio::sleep(1s);
        };
        const Task<void> task = asyncio::create_task(body, future, std::ref(caught));
        co_await asyncio::sleep(0s);
        if (future_first) {
            EXPECT_TRUE(future.cancel());
        }
        EXPECT_TRUE(task.cancel());
        if (!future_first) {
            EXPECT_FALSE(future.cancel());
        }
        co_await task;
        EXPECT_EQ(caught, 1);
        EXPECT_EQ(task.cancelling(), 1);
    }
}

ASYNC_TEST(CancelCounts, S099_cancelling_one_waiter_of_a_future_cancels_all_of_them) {
    const Future<void> future = asyncio::get_running_loop().create_future<void>();
    const Task<void> first = asyncio::create_task(await_future, future);
    const Task<void> second = asyncio::create_task(await_future, future);
    const Task<void> shielded_by_a_task = asyncio::create_task(await_task, first);
    co_await asyncio::sleep(0s);
    second.cancel();
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(second.cancelled());
    EXPECT_EQ(first.cancelling(), 0);
    EXPECT_EQ(second.cancelling(), 1);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(shielded_by_a_task.cancelled());
}

// ---- structured use

struct Blocks {
    bool timed_out = false;
    bool inner_finished = false;
    bool outer_reached = false;
};

// What timeout() does: cancels after a time, and takes back its own request only.
Coro<void> limited(std::chrono::milliseconds sleep, std::chrono::milliseconds timeout,
                   Blocks& blocks) {
    const asyncio::AnyTask task = asyncio::current_task();
    const auto timer = asyncio::get_running_loop().call_later(timeout, [&blocks, task] {
        blocks.timed_out = true;
        task.cancel();
    });
    try {
        co_await asyncio::sleep(sleep);
        blocks.inner_finished = true;
        timer.cancel();
    } catch (const CancelledError&) {
        timer.cancel();
        if (!blocks.timed_out || task.uncancel() > 0) {
            throw;
        }
    }
    blocks.outer_reached = true;
    co_await asyncio::sleep(0s);
}

ASYNC_TEST(CancelCounts, S100_who_cancels_absorbs_the_error_at_the_count_of_entry) {
    Blocks blocks;
    const Task<void> task = asyncio::create_task(limited, 10s, 100ms, std::ref(blocks));
    co_await task;
    EXPECT_TRUE(blocks.timed_out);
    EXPECT_FALSE(blocks.inner_finished);
    EXPECT_TRUE(blocks.outer_reached);
    EXPECT_EQ(task.cancelling(), 0);
}

ASYNC_TEST(CancelCounts, S100_without_a_timeout_nothing_is_counted) {
    Blocks blocks;
    const Task<void> task = asyncio::create_task(limited, 0s, 10s, std::ref(blocks));
    co_await task;
    EXPECT_FALSE(blocks.timed_out);
    EXPECT_TRUE(blocks.inner_finished && blocks.outer_reached);
    EXPECT_EQ(task.cancelling(), 0);
}

ASYNC_TEST(CancelCounts, S100_a_request_from_outside_in_the_same_tick_passes_through) {
    Blocks blocks;
    const Task<void> task = asyncio::create_task(limited, 10s, 100ms, std::ref(blocks));
    co_await asyncio::sleep(0s);
    asyncio::get_running_loop().call_later(100ms, [task] { task.cancel(); });
    co_await asyncio::sleep(200ms);
    EXPECT_TRUE(task.cancelled());
    EXPECT_TRUE(blocks.timed_out);
    EXPECT_FALSE(blocks.outer_reached);
    EXPECT_EQ(task.cancelling(), 1);
}

TEST_F(CancelCounts, S101_a_loop_breaking_error_during_the_clean_up_leaves_the_loop) {
    const Task<void> task = loop->create_task([]() -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            throw asyncio::SystemExit(7);
        }
    });
    iterate();
    task.cancel();
    try {
        loop->run_forever();
        ADD_FAILURE() << "it goes on";
    } catch (const asyncio::SystemExit& exit) {
        EXPECT_EQ(exit.code(), 7);
    }
    EXPECT_TRUE(task.done());
    EXPECT_FALSE(task.cancelled());
    EXPECT_THROW(task.result(), asyncio::SystemExit);
}

TEST_F(CancelCounts, S102_another_thread_cancels_through_call_soon_threadsafe) {
    const Task<void> task = loop->create_task(await_future, loop->create_future<void>());
    loop->external_work_started();  // the loop blocks, although its clock is virtual
    std::thread other([&] {
        loop->call_soon_threadsafe([&] {
            loop->external_work_finished();
            task.cancel("from afar");
        });
    });
    try {
        loop->run_until_complete(task);
        ADD_FAILURE() << "not cancelled";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "from afar");
    }
    other.join();
}

// ---- where it happened

struct Place {
    unsigned line = 0;
    std::string function;
};

template <class T>
Place interrupted_at(const Task<T>& task) {
    try {
        task.result();
    } catch (const CancelledError& error) {
        return {error.where().line(), error.where().function_name()};
    }
    return {};
}

constexpr unsigned sleep_line = std::source_location::current().line() + 1;
Coro<void> deep_sleep() { co_await asyncio::sleep(1h); }

constexpr unsigned future_line = std::source_location::current().line() + 1;
Coro<void> deep_wait(Future<void> future) { co_await future; }

TEST_F(CancelCounts, S103_the_error_shows_where_a_sleeping_task_was_interrupted) {
    const Task<void> task = loop->create_task([]() -> Coro<void> { co_await deep_sleep(); });
    const Task<void> awaiter = loop->create_task(await_task, task);
    iterate(2);
    task.cancel();
    iterate(2);
    const Place place = interrupted_at(awaiter);
    EXPECT_EQ(place.line, sleep_line);
    EXPECT_NE(place.function.find("deep_sleep"), std::string::npos) << place.function;
}

TEST_F(CancelCounts, S103_the_error_shows_where_a_task_waited_for_a_future) {
    const Task<void> task = loop->create_task(deep_wait, loop->create_future<void>());
    const auto all = loop->create_task(
        [](Task<void> child) -> Coro<void> { co_await asyncio::gather(child); }, task);
    iterate(2);
    all.cancel();
    iterate(3);
    const Place place = interrupted_at(all);
    EXPECT_EQ(place.line, future_line);
    EXPECT_NE(place.function.find("deep_wait"), std::string::npos) << place.function;
}

TEST_F(CancelCounts, S103_the_error_shows_where_a_flagged_task_was_interrupted) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> task = loop->create_task(deep_wait, future);
    iterate();
    future.set_result();
    task.cancel();
    iterate();
    EXPECT_EQ(interrupted_at(task).line, future_line);
}

}  // namespace
