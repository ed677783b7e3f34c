// Futures: completion, retrieval and done callbacks, and what they survive.
#include <asyncio/future.hpp>
#include <asyncio/testing/gtest.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::AnyFuture;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::InvalidStateError;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Calls a function when it is destroyed: user code inside the library's destructors.
struct AtEnd {
    explicit AtEnd(std::function<void()> action) : action(std::move(action)) {}
    AtEnd(AtEnd&& other) noexcept : action(std::exchange(other.action, nullptr)) {}
    AtEnd& operator=(AtEnd&&) = delete;
    ~AtEnd() {
        if (action) {
            action();
        }
    }
    std::function<void()> action;
};

class Futures : public LoopFixture {};

// ---- completion and retrieval

TEST_F(Futures, S066_a_result_is_set_once) {
    const Future<int> future = loop->create_future<int>();
    EXPECT_FALSE(future.done());
    future.set_result(1);
    EXPECT_TRUE(future.done());
    EXPECT_THROW(future.set_result(2), InvalidStateError);
    EXPECT_THROW(future.set_exception(Boom("late")), InvalidStateError);
    EXPECT_EQ(future.result(), 1);
    EXPECT_EQ(future.exception(), nullptr);
}

TEST_F(Futures, S066_an_exception_is_set_once) {
    const Future<int> future = loop->create_future<int>();
    future.set_exception(Boom("first"));
    EXPECT_THROW(future.set_exception(Boom("second")), InvalidStateError);
    EXPECT_THROW(future.set_result(1), InvalidStateError);
    EXPECT_THROW(future.result(), Boom);
}

TEST_F(Futures, S066_a_cancelled_future_takes_no_result) {
    const Future<void> future = loop->create_future<void>();
    future.cancel();
    EXPECT_THROW(future.set_result(), InvalidStateError);
    EXPECT_THROW(future.set_exception(Boom("late")), InvalidStateError);
    EXPECT_TRUE(future.cancelled());
}

TEST_F(Futures, S066_a_null_exception_is_refused_and_leaves_the_future_pending) {
    const Future<int> future = loop->create_future<int>();
    EXPECT_THROW(future.set_exception(std::exception_ptr()), asyncio::TypeError);
    EXPECT_FALSE(future.done());
}

TEST_F(Futures, S067_a_pending_future_has_neither_result_nor_exception) {
    const Future<int> future = loop->create_future<int>();
    EXPECT_THROW(future.result(), InvalidStateError);
    EXPECT_THROW(future.exception(), InvalidStateError);
}

TEST_F(Futures, S067_reading_a_cancelled_future_throws_its_message) {
    const Future<int> future = loop->create_future<int>();
    future.cancel("enough");
    for (int reading = 0; reading < 2; ++reading) {
        try {
            future.result();
            ADD_FAILURE() << "a result";
        } catch (const CancelledError& error) {
            EXPECT_EQ(error.message(), "enough");
        }
        EXPECT_THROW(future.exception(), CancelledError);
    }
}

TEST_F(Futures, S067_a_value_has_no_exception_and_an_exception_is_given_as_it_is) {
    const Future<std::string> value = loop->create_future<std::string>();
    value.set_result("text");
    EXPECT_EQ(value.exception(), nullptr);
    EXPECT_EQ(value.result(), "text");

    const Future<int> failure = loop->create_future<int>();
    const auto error = std::make_exception_ptr(Boom("it"));
    failure.set_exception(error);
    EXPECT_EQ(failure.exception(), error);
}

TEST_F(Futures, S067_a_moved_out_result_is_an_error_for_later_readers) {
    Future<std::unique_ptr<int>> future = loop->create_future<std::unique_ptr<int>>();
    const Future<std::unique_ptr<int>> other = future;
    future.set_result(std::make_unique<int>(5));
    EXPECT_EQ(*std::move(future).result(), 5);
    EXPECT_THROW(other.result(), InvalidStateError);
    EXPECT_EQ(other.exception(), nullptr);
}

TEST_F(Futures, S068_cancel_of_a_pending_future_succeeds_and_schedules_its_callbacks) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback([this](AnyFuture done) { notes += done.cancelled() ? "c" : "?"; });
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.done());
    EXPECT_TRUE(future.cancelled());
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "c");
    EXPECT_FALSE(future.cancel());
}

TEST_F(Futures, S068_cancel_of_a_done_future_fails_and_changes_nothing) {
    const Future<int> value = loop->create_future<int>();
    value.set_result(3);
    EXPECT_FALSE(value.cancel());
    EXPECT_FALSE(value.cancelled());
    EXPECT_EQ(value.result(), 3);

    const Future<int> failure = loop->create_future<int>();
    failure.set_exception(Boom("x"));
    EXPECT_FALSE(failure.cancel());
    EXPECT_THROW(failure.result(), Boom);
}

// ---- callbacks

TEST_F(Futures, S069_callbacks_run_in_order_through_the_queue_with_the_future) {
    const Future<std::string> future = loop->create_future<std::string>();
    loop->call_soon(note("0"));
    future.add_done_callback([&](AnyFuture done) {
        EXPECT_TRUE(done == future);
        notes += "1" + future.result();
    });
    future.add_done_callback(note("2"));
    future.set_result("!");
    loop->call_soon(note("3"));
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "01!23");
}

TEST_F(Futures, S069_callbacks_of_a_failure_run_in_order) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback(note("1"));
    future.add_done_callback(
        [this](AnyFuture done) { notes += asyncio::describe_exception(done.exception()); });
    future.set_exception(asyncio::ValueError("bad"));
    iterate();
    EXPECT_EQ(notes, "1ValueError: bad");
}

TEST_F(Futures, S069_a_callback_added_to_a_done_future_is_scheduled_at_once) {
    const Future<int> future = loop->create_future<int>();
    future.set_result(1);
    future.add_done_callback(note("a"));
    loop->call_soon(note("b"));
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "ab");
}

TEST_F(Futures, S069_a_waiting_task_takes_its_place_among_the_callbacks) {
    const Future<void> future = loop->create_future<void>();
    future.add_done_callback(note("1"));
    loop->create_task(
        [](Future<void> awaited, std::string& out) -> Coro<void> {
            co_await awaited;
            out += "2";
        },
        future, std::ref(notes));
    iterate();
    future.add_done_callback(note("3"));
    future.set_result();
    iterate();
    EXPECT_EQ(notes, "123");
}

int function_calls = 0;
void count_call(AnyFuture) { ++function_calls; }
void do_nothing(AnyFuture) {}

TEST_F(Futures, S070_a_callback_added_thrice_is_called_thrice) {
    const Future<int> future = loop->create_future<int>();
    for (int i = 0; i < 3; ++i) {
        future.add_done_callback(&count_call);
    }
    future.set_result(1);
    iterate();
    EXPECT_EQ(std::exchange(function_calls, 0), 3);
}

TEST_F(Futures, S070_removing_a_function_removes_all_its_registrations) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback(&count_call);
    future.add_done_callback(&do_nothing);
    future.add_done_callback(&count_call);
    EXPECT_EQ(future.remove_done_callback(&count_call), 2U);
    EXPECT_EQ(future.remove_done_callback(&count_call), 0U);
    future.set_result(1);
    iterate();
    EXPECT_EQ(function_calls, 0);
}

TEST_F(Futures, S070_a_callback_is_removed_by_its_id) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback(note("1"));
    const asyncio::CallbackId second = future.add_done_callback(note("2"));
    future.add_done_callback(note("3"));
    EXPECT_EQ(future.remove_done_callback(second), 1U);
    EXPECT_EQ(future.remove_done_callback(second), 0U);
    future.set_result(1);
    iterate();
    EXPECT_EQ(notes, "13");
}

TEST_F(Futures, S071_a_callback_that_ends_may_remove_and_add_others_during_a_removal) {
    const Future<int> future = loop->create_future<int>();
    const asyncio::CallbackId third = future.add_done_callback(note("3"));
    const asyncio::CallbackId first =
        future.add_done_callback([end = AtEnd([&] {
                                      future.remove_done_callback(third);
                                      future.add_done_callback(note("4"));
                                  })] {});
    EXPECT_EQ(future.remove_done_callback(first), 1U);
    future.set_result(1);
    iterate();
    EXPECT_EQ(notes, "4");
}

TEST_F(Futures, S071_callbacks_may_add_and_remove_callbacks_while_they_run) {
    const Future<int> future = loop->create_future<int>();
    asyncio::CallbackId second{};
    future.add_done_callback([&] {
        // The second one is queued already: removing it from the future comes too late.
        EXPECT_EQ(future.remove_done_callback(second), 0U);
        future.add_done_callback(note("3"));
    });
    second = future.add_done_callback(note("2"));
    future.set_result(1);
    iterate();
    EXPECT_EQ(notes, "2");
    iterate();
    EXPECT_EQ(notes, "23");
}

TEST_F(Futures, S071_a_callback_may_drop_the_last_handle_of_its_future) {
    auto future = std::make_unique<Future<int>>(loop->create_future<int>());
    (*future).add_done_callback([&] { future.reset(); });
    (*future).add_done_callback([this](AnyFuture done) { notes += done.done() ? "1" : "?"; });
    (*future).set_result(1);
    iterate();
    EXPECT_EQ(future, nullptr);
    EXPECT_EQ(notes, "1");
}

// ---- exceptions

template <class Read>
const void* address_of_error(Read read) {
    try {
        read();
    } catch (const Boom& error) {
        return &error;
    }
    return nullptr;
}

TEST_F(Futures, S072_every_reader_gets_the_same_exception_object) {
    const Future<int> future = loop->create_future<int>();
    future.set_exception(Boom("one"));
    const void* const first = address_of_error([&] { future.result(); });
    const void* const second = address_of_error([&] { future.result(); });
    const void* const third = address_of_error([&] { loop->run_until_complete(future); });
    const void* const fourth =
        address_of_error([&] { std::rethrow_exception(future.exception()); });
    EXPECT_NE(first, nullptr);
    EXPECT_EQ(first, second);
    EXPECT_EQ(first, third);
    EXPECT_EQ(first, fourth);
}

ASYNC_TEST(Futures, S072_awaiting_twice_throws_the_same_exception_object) {
    const Future<int> future = asyncio::get_running_loop().create_future<int>();
    future.set_exception(Boom("one"));
    std::vector<const void*> seen;
    for (int i = 0; i < 2; ++i) {
        try {
            co_await future;
        } catch (const Boom& error) {
            seen.push_back(&error);
        }
    }
    CO_ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(Futures, S073_a_cancelled_error_set_as_exception_does_not_cancel_the_future) {
    const Future<int> future = loop->create_future<int>();
    future.set_exception(CancelledError("from elsewhere"));
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(asyncio::describe_exception(future.exception()), "CancelledError: from elsewhere");
    EXPECT_THROW(future.result(), CancelledError);
}

TEST_F(Futures, S073_a_task_that_awaits_it_ends_cancelled) {
    const Future<int> future = loop->create_future<int>();
    future.set_exception(CancelledError("from elsewhere"));
    const auto task = loop->create_task(
        [](Future<int> awaited) -> Coro<int> { co_return co_await awaited; }, future);
    EXPECT_THROW(loop->run_until_complete(task), CancelledError);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Futures, S074_a_timer_that_fires_for_a_cancelled_sleep_is_harmless) {
    const auto task = loop->create_task(asyncio::sleep(1s));
    iterate();
    clock.advance_to(clock.now() + 1s);
    // It runs in the batch in front of the timer that is due.
    loop->call_soon([&] { EXPECT_TRUE(task.cancel("late")); });
    iterate(3);
    EXPECT_TRUE(task.cancelled());
    loop->check_invariants();
}

TEST_F(Futures, S074_a_sleep_cancelled_after_its_timer_fired_is_cancelled) {
    const auto task = loop->create_task(asyncio::sleep(1s));
    iterate();
    clock.advance_to(clock.now() + 1s);
    iterate();  // the timer has fired, the task is about to run
    EXPECT_FALSE(task.done());
    EXPECT_TRUE(task.cancel());
    iterate(2);
    EXPECT_TRUE(task.cancelled());
}

// ---- loops

TEST_F(Futures, S077_a_future_belongs_to_the_loop_that_made_it) {
    const Future<int> future = loop->create_future<int>();
    EXPECT_EQ(&future.get_loop(), loop.get());
    const auto other = make_loop();
    EXPECT_THROW(other->run_until_complete(future), asyncio::ValueError);
}

TEST_F(Futures, S077_without_a_loop_there_is_no_future) {
    EXPECT_THROW((void)asyncio::get_running_loop().create_future<int>(), asyncio::RuntimeError);
    const Future<int> empty;
    EXPECT_FALSE(empty);
    EXPECT_THROW(empty.done(), asyncio::RuntimeError);
    EXPECT_THROW(empty.set_result(1), asyncio::RuntimeError);
}

TEST_F(Futures, a_future_outlives_its_loop_and_still_knows_it) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback(note("never"));
    asyncio::EventLoop* const address = loop.get();
    loop.reset();
    future.set_result(7);
    EXPECT_EQ(future.result(), 7);
    EXPECT_EQ(&future.get_loop(), address);
    EXPECT_TRUE(future.get_loop().is_closed());
    EXPECT_EQ(notes, "");
}

TEST_F(Futures, callbacks_that_are_queued_when_the_loop_closes_are_destroyed_unrun) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback([this, end = AtEnd(note("destroyed"))] { notes += "run"; });
    future.set_result(1);
    loop->close();
    EXPECT_EQ(notes, "destroyed");
}

TEST_F(Futures, a_callback_that_dies_with_the_loop_may_complete_other_futures) {
    const Future<int> first = loop->create_future<int>();
    const Future<int> second = loop->create_future<int>();
    second.add_done_callback([end = AtEnd(note("2"))] {});
    first.add_done_callback([end = AtEnd([&] {
                                 second.set_result(2);
                                 notes += "1";
                             })] {});
    first.set_result(1);
    loop->close();
    EXPECT_EQ(second.result(), 2);
    EXPECT_EQ(notes.size(), 2U) << notes;
}

// ---- destructors that call back

TEST_F(Futures, a_result_that_dies_may_use_the_loop) {
    auto future = std::make_unique<Future<AtEnd>>(loop->create_future<AtEnd>());
    const Future<int> other = loop->create_future<int>();
    future->set_result(AtEnd([&] {
        other.set_result(1);
        loop->call_soon(note("ran"));
    }));
    other.add_done_callback(note("done "));
    future.reset();
    EXPECT_TRUE(other.done());
    iterate();
    EXPECT_EQ(notes, "done ran");
}

TEST_F(Futures, the_callable_of_a_callback_is_destroyed_after_its_call) {
    const Future<int> future = loop->create_future<int>();
    future.add_done_callback([this, end = AtEnd(note(" end"))] { notes += "call"; });
    future.set_result(1);
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "call end");
}

// ---- awaiting

ASYNC_TEST(Futures, awaiting_the_last_handle_as_an_rvalue_moves_the_result_out) {
    struct Counted {
        explicit Counted(int& copies) : copies(&copies) {}
        Counted(const Counted& other) : copies(other.copies) { ++*copies; }
        Counted(Counted&& other) noexcept : copies(other.copies) {}
        int* copies;
    };
    int copies = 0;
    auto make = [](int& count) -> Coro<Counted> {
        co_await asyncio::sleep(0s);
        co_return Counted(count);
    };
    asyncio::Task<Counted> task = asyncio::create_task(make(copies));
    co_await std::move(task);
    EXPECT_EQ(copies, 0);
    co_await asyncio::create_task(make(copies));
    EXPECT_EQ(copies, 0);

    const asyncio::Task<Counted> kept = asyncio::create_task(make(copies));
    co_await kept;
    EXPECT_EQ(copies, 1);
    co_await asyncio::Task<Counted>(kept);
    EXPECT_EQ(copies, 2);
}

TEST_F(Futures, repr_of_a_text_is_brief_and_of_a_null_pointer_safe) {
    const auto long_text = loop->create_future<std::string>();
    long_text.set_result(std::string(20, 'a') + std::string(20, 'z'));
    EXPECT_NE(repr(long_text).find("result='aaaaaaaaaaaa...zzzzzzzzzzzzz' "), std::string::npos)
        << repr(long_text);
    const auto null = loop->create_future<const char*>();
    null.set_result(nullptr);
    EXPECT_NE(repr(null).find("result=nullptr "), std::string::npos) << repr(null);
}

}  // namespace
