// Task.cancel: to whom a request goes, and where its CancelledError appears.
#include <asyncio/sleep.hpp>
#include <asyncio/task.hpp>
#include <asyncio/testing/gtest.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::Task;

struct Boom : std::runtime_error {
    Boom() : std::runtime_error("boom") {}
};

// Awaits the future and notes how that ended.
Coro<void> await_noting(Future<void> future, std::string& notes) {
    notes += "started ";
    try {
        co_await future;
        notes += "done";
    } catch (const CancelledError& error) {
        notes += "cancelled(" + error.message() + ")";
        throw;
    }
}

Coro<void> await_future(Future<void> future) { co_await future; }

class Cancellation : public LoopFixture {
protected:
    Task<void> waiting_task(const Future<void>& future) {
        auto task = loop->create_task(await_noting, future, std::ref(notes));
        iterate();
        return task;
    }

    // The message of the CancelledError that a task ended with.
    template <class T>
    static std::string message_of(const Task<T>& task) {
        try {
            task.result();
        } catch (const CancelledError& error) {
            return error.message();
        } catch (...) {
            return "another error";
        }
        return "a result";
    }
};

// ---- to whom a request goes

TEST_F(Cancellation, S078_cancel_counts_on_an_unfinished_task) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> task = waiting_task(future);
    EXPECT_EQ(task.cancelling(), 0);
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(task.cancelling(), 1);
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(task.cancelling(), 2);
    iterate();
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Cancellation, S078_cancel_of_a_done_task_fails_and_counts_nothing) {
    const auto finished = loop->create_task([]() -> Coro<int> { co_return 1; });
    const auto failed = loop->create_task([]() -> Coro<int> {
        throw Boom();
        co_return 0;
    });
    iterate();
    EXPECT_FALSE(finished.cancel());
    EXPECT_EQ(finished.cancelling(), 0);
    EXPECT_EQ(finished.result(), 1);
    EXPECT_FALSE(failed.cancel());
    EXPECT_EQ(failed.cancelling(), 0);

    const Task<void> cancelled = waiting_task(loop->create_future<void>());
    cancelled.cancel();
    iterate();
    EXPECT_FALSE(cancelled.cancel());
    EXPECT_EQ(cancelled.cancelling(), 1);
}

TEST_F(Cancellation, S079_cancel_runs_no_code_of_the_task) {
    const Task<void> task = waiting_task(loop->create_future<void>());
    notes.clear();
    task.cancel("m");
    EXPECT_EQ(notes, "");
    EXPECT_FALSE(task.cancelled());
    EXPECT_FALSE(task.done());
    iterate();
    EXPECT_EQ(notes, "cancelled(m)");
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Cancellation, S080_the_awaited_future_is_cancelled_at_once_with_the_message) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> task = waiting_task(future);
    task.cancel("stop");
    EXPECT_TRUE(future.cancelled());
    try {
        future.result();
        ADD_FAILURE() << "a result";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "stop");
    }
    iterate();
    EXPECT_EQ(message_of(task), "stop");
}

TEST_F(Cancellation, S080_the_awaited_task_is_asked_in_turn) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> inner = waiting_task(future);
    const Task<void> middle =
        loop->create_task([](Task<void> t) -> Coro<void> { co_await t; }, inner);
    const Task<void> outer =
        loop->create_task([](Task<void> t) -> Coro<void> { co_await t; }, middle);
    iterate();
    EXPECT_TRUE(outer.cancel("deep"));
    EXPECT_EQ(middle.cancelling(), 1);
    EXPECT_EQ(inner.cancelling(), 1);
    EXPECT_TRUE(future.cancelled());
    EXPECT_FALSE(inner.done());
    iterate();
    EXPECT_TRUE(inner.cancelled());
    EXPECT_FALSE(middle.done());
    iterate(2);
    EXPECT_TRUE(middle.cancelled());
    EXPECT_EQ(message_of(outer), "deep");
}

TEST_F(Cancellation, S081_a_runnable_task_gets_the_error_in_its_next_step) {
    const auto task = loop->create_task(
        [](std::string& out) -> Coro<void> {
            try {
                co_await asyncio::sleep(0s);
            } catch (const CancelledError& error) {
                out += error.message();
                throw;
            }
        },
        std::ref(notes));
    iterate();  // it has given way, and is about to run again
    EXPECT_TRUE(task.cancel("now"));
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "now");
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Cancellation, S082_a_task_cancelled_before_its_first_step_never_runs_its_body) {
    auto argument = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = argument;
    const auto task = loop->create_task(
        [](std::string& out, std::shared_ptr<int>) -> Coro<void> {
            out += "body";
            co_return;
        },
        std::ref(notes), std::move(argument));
    EXPECT_TRUE(task.cancel("too early"));
    EXPECT_FALSE(task.cancelled());
    iterate();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(notes, "");
    EXPECT_EQ(message_of(task), "too early");
    EXPECT_TRUE(watched.expired());
}

TEST_F(Cancellation, S083_a_completed_value_is_discarded_by_cancel) {
    const Future<void> future = loop->create_future<void>();
    const Task<void> task = waiting_task(future);
    future.set_result();
    EXPECT_TRUE(task.cancel("late"));
    EXPECT_FALSE(future.cancelled());
    iterate();
    EXPECT_EQ(notes, "started cancelled(late)");
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Cancellation, S083_a_discarded_exception_counts_as_retrieved) {
    Future<void> future = loop->create_future<void>();
    const Task<void> task = waiting_task(future);
    future.set_exception(Boom());
    future = {};
    EXPECT_TRUE(task.cancel("late"));
    iterate();
    EXPECT_EQ(notes, "started cancelled(late)");  // and no report, or the fixture fails
}

// ---- cancelling oneself

ASYNC_TEST(Cancellation, S084_cancelling_oneself_then_awaiting_a_future_cancels_that) {
    const Future<void> future = asyncio::get_running_loop().create_future<void>();
    bool interrupted = false;
    auto body = [](Future<void> awaited, bool& caught) -> Coro<void> {
        asyncio::current_task().cancel("self");
        try {
            co_await awaited;
        } catch (const CancelledError& error) {
            caught = error.message() == "self";
            throw;
        }
    };
    const auto task = asyncio::create_task(body, future, std::ref(interrupted));
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(future.cancelled());  // in the step that began to wait
    EXPECT_FALSE(interrupted);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(interrupted);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 1);
}

ASYNC_TEST(Cancellation, S084_cancelling_oneself_then_awaiting_a_task_cancels_that) {
    const Future<void> future = asyncio::get_running_loop().create_future<void>();
    const Task<void> inner = asyncio::create_task(await_future, future);
    auto body = [](Task<void> awaited) -> Coro<void> {
        asyncio::current_task().cancel();
        co_await awaited;
    };
    const auto task = asyncio::create_task(body, inner);
    co_await asyncio::sleep(0s);
    EXPECT_EQ(inner.cancelling(), 1);
    EXPECT_TRUE(future.cancelled());
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(inner.cancelled());
    EXPECT_TRUE(task.cancelled());
}

ASYNC_TEST(Cancellation, S084_cancelling_oneself_then_sleeping_ends_the_sleep_at_once) {
    auto body = []() -> Coro<void> {
        asyncio::current_task().cancel();
        co_await asyncio::sleep(1h);
    };
    const auto task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(clock().seconds(), 0.0);
}

TEST_F(Cancellation, S085_cancelling_oneself_then_returning_ends_cancelled) {
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = value;
    const auto task = loop->create_task(
        [](std::shared_ptr<int> result) -> Coro<std::shared_ptr<int>> {
            asyncio::current_task().cancel("at the end");
            co_return std::move(result);
        },
        std::move(value));
    iterate();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(message_of(task), "at the end");
    EXPECT_TRUE(watched.expired()) << "the dropped result is still alive";
}

TEST_F(Cancellation, S086_cancelling_oneself_then_throwing_ends_with_the_exception) {
    const auto task = loop->create_task([]() -> Coro<void> {
        asyncio::current_task().cancel();
        throw Boom();
        co_return;
    });
    iterate();
    EXPECT_FALSE(task.cancelled());
    EXPECT_THROW(task.result(), Boom);
    EXPECT_EQ(task.cancelling(), 1);
}

ASYNC_TEST(Cancellation, S087_an_await_that_does_not_suspend_is_not_interrupted) {
    const Future<int> ready = asyncio::get_running_loop().create_future<int>();
    ready.set_result(1);
    std::string notes;
    auto body = [](Future<int> done, std::string& out) -> Coro<void> {
        asyncio::current_task().cancel();
        out += std::to_string(co_await done);
        out += std::to_string(
            co_await [](Future<int> again) -> Coro<int> { co_return co_await again; }(done));
        co_await asyncio::sleep(0s);
        out += "not reached";
    };
    const auto task = asyncio::create_task(body, ready, std::ref(notes));
    co_await asyncio::sleep(0s);
    EXPECT_EQ(notes, "11");
    EXPECT_FALSE(task.done());
    co_await asyncio::sleep(0s);
    EXPECT_EQ(notes, "11");
    EXPECT_TRUE(task.cancelled());
}

ASYNC_TEST(Cancellation, S088_sleep_of_zero_is_a_point_of_cancellation) {
    int turns = 0;
    auto body = [](int& count) -> Coro<void> {
        for (;;) {
            co_await asyncio::sleep(0s);
            ++count;
        }
    };
    const auto task = asyncio::create_task(body, std::ref(turns));
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    EXPECT_EQ(turns, 1);
    task.cancel();
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(turns, 1);
}

// ---- in the coroutines

struct Note {
    std::string& notes;
    const char* text;
    ~Note() { notes += text; }
};

Coro<void> innermost(std::string& notes) {
    const Note end{notes, "~inner "};
    try {
        co_await asyncio::sleep(1h);
    } catch (const CancelledError&) {
        notes += "inner ";
        throw;
    }
}

Coro<void> between(std::string& notes) {
    const Note end{notes, "~between "};
    co_await innermost(notes);
    notes += "not reached";
}

Coro<void> outermost(std::string& notes) {
    const Note end{notes, "~outer "};
    try {
        co_await between(notes);
    } catch (const std::exception&) {
        notes += "taken for an ordinary error ";
    } catch (const CancelledError&) {
        notes += "outer ";
        throw;
    }
}

ASYNC_TEST(Cancellation, S089_the_error_unwinds_from_the_innermost_coroutine_outward) {
    std::string notes;
    const auto task = asyncio::create_task(outermost, std::ref(notes));
    co_await asyncio::sleep(0s);
    task.cancel();
    co_await asyncio::sleep(0s);
    EXPECT_EQ(notes, "inner ~inner ~between outer ~outer ");
    EXPECT_TRUE(task.cancelled());
}

ASYNC_TEST(Cancellation, S090_a_task_may_catch_the_cancellation_and_return) {
    auto body = []() -> Coro<int> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            co_return 42;
        }
        co_return 0;
    };
    const auto task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(co_await task, 42);
    EXPECT_FALSE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 1);
}

ASYNC_TEST(Cancellation, S091_a_caught_cancellation_is_not_delivered_again) {
    auto body = []() -> Coro<double> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
        }
        co_await asyncio::sleep(0s);
        co_await asyncio::sleep(5s);
        co_await asyncio::create_task([]() -> Coro<void> { co_await asyncio::sleep(1s); });
        co_return asyncio::get_running_loop().time_seconds();
    };
    const auto task = asyncio::create_task(body);
    co_await asyncio::sleep(0s);
    task.cancel();
    EXPECT_EQ(co_await task, 6.0);
}

// ---- circles

Coro<void> await_later(Future<Task<void>> link) {
    const Task<void> other = co_await link;
    co_await other;
}

TEST_F(Cancellation, a_task_that_cancels_itself_and_joins_a_circle_is_released) {
    const Future<Task<void>> link = loop->create_future<Task<void>>();
    const auto body = [](Task<void> inner) -> Coro<void> {
        asyncio::current_task().cancel("self");
        co_await inner;
    };
    const Task<void> inner = loop->create_task(await_later, link);
    const Task<void> outer = loop->create_task(body, inner);
    link.set_result(outer);
    iterate(4);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_EQ(message_of(inner), "self");  // the outer one's error
}

// ---- destructors that cancel

// Cancels a task when it is destroyed.
struct CancelAtEnd {
    Task<void>& target;
    ~CancelAtEnd() { target.cancel("from a destructor"); }
};

TEST_F(Cancellation, a_frame_that_unwinds_may_cancel_other_tasks) {
    Task<void> second = waiting_task(loop->create_future<void>());
    const auto first = loop->create_task(
        [](Task<void>& target) -> Coro<void> {
            const CancelAtEnd guard{target};
            co_await asyncio::sleep(1h);
        },
        std::ref(second));
    iterate();
    first.cancel();
    iterate(3);
    EXPECT_TRUE(first.cancelled());
    EXPECT_EQ(message_of(second), "from a destructor");
}

TEST_F(Cancellation, arguments_that_die_with_the_task_may_cancel_it) {
    Task<void> task;
    struct Argument {
        Task<void>* target;
        explicit Argument(Task<void>& task) : target(&task) {}
        Argument(Argument&& other) noexcept : target(std::exchange(other.target, nullptr)) {}
        ~Argument() {
            if (target != nullptr) {
                EXPECT_TRUE(target->cancel("last words"));
            }
        }
    };
    auto body = [](Argument) -> Coro<void> { co_await asyncio::sleep(0s); };
    task = loop->create_task(body(Argument(task)));
    iterate(2);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(message_of(task), "last words");
}

}  // namespace
