// Who outlives whom: handles, futures and tasks after their loop, and destructors that come back.
#include "loop_fixture.hpp"

#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class LifetimeTest : public LoopFixture {};

// Calls a function when it is destroyed; moving it moves that duty.
template <class F>
class AtEnd {
public:
    explicit AtEnd(F action) : action_(std::move(action)) {}
    AtEnd(AtEnd&& other) noexcept
        : action_(std::move(other.action_)), armed_(std::exchange(other.armed_, false)) {}
    AtEnd& operator=(AtEnd&&) = delete;
    ~AtEnd() {
        if (armed_) {
            action_();
        }
    }

private:
    F action_;
    bool armed_ = true;
};

// ---- callables

TEST_F(LifetimeTest, the_destructor_of_a_callback_may_schedule_another) {
    loop->call_soon(
        [end = AtEnd([this] { loop->call_soon(note("second ")); }), this] { notes += "first "; });
    iterate();
    EXPECT_EQ(notes, "first ");
    iterate();
    EXPECT_EQ(notes, "first second ");
}

TEST_F(LifetimeTest, the_destructor_of_a_cancelled_callback_may_schedule_another) {
    const asyncio::TimerHandle handle =
        loop->call_later(1s, [end = AtEnd([this] { loop->call_soon(note("instead ")); })] {});
    handle.cancel();
    iterate();
    EXPECT_EQ(notes, "instead ");
}

TEST_F(LifetimeTest, a_handle_may_be_owned_by_its_own_callback) {
    struct Owner {
        asyncio::Handle handle;
        asyncio::TimerHandle timer;
    };
    auto owner = std::make_shared<Owner>();
    Owner* const raw = owner.get();
    owner->handle = loop->call_soon([owner] {});
    owner->timer = loop->call_later(1s, [owner] {});
    const std::weak_ptr<Owner> seen = owner;
    owner.reset();
    raw->timer.cancel();
    EXPECT_FALSE(seen.expired());
    raw->handle.cancel();  // destroys the callable, and the handle this is called on with it
    EXPECT_TRUE(seen.expired());
    iterate();
}

struct ThrowsWhenMoved {
    explicit ThrowsWhenMoved(int moves) : moves_left(moves) {}
    ThrowsWhenMoved(ThrowsWhenMoved&& other) : moves_left(other.moves_left - 1) {
        if (moves_left < 0) {
            throw std::logic_error("moved too often");
        }
    }
    ThrowsWhenMoved& operator=(ThrowsWhenMoved&&) = delete;
    void operator()() const {}
    int moves_left;
    std::shared_ptr<int> owned = std::make_shared<int>(1);
};

TEST_F(LifetimeTest, a_callable_that_throws_when_it_is_moved_is_not_scheduled) {
    auto future = loop->create_future<void>();
    for (int moves = 0; moves < 2; ++moves) {
        EXPECT_THROW(loop->call_soon(ThrowsWhenMoved(moves)), std::logic_error);
        EXPECT_THROW(loop->call_later(0s, ThrowsWhenMoved(moves)), std::logic_error);
        EXPECT_THROW(loop->call_soon_threadsafe(ThrowsWhenMoved(moves)), std::logic_error);
        EXPECT_THROW(future.add_done_callback(ThrowsWhenMoved(moves)), std::logic_error);
    }
    EXPECT_THROW(loop->run_forever(), asyncio::DeadlockError) << "nothing is scheduled";
}

// ---- runnables of others

struct Foreign : asyncio::Runnable {
    explicit Foreign(std::string& notes) : Runnable(&Foreign::run), notes(notes) {}
    static void run(Runnable& self, Turn turn) {
        static_cast<Foreign&>(self).notes += turn == Turn::run ? "run " : "discarded ";
    }
    std::string& notes;
};

TEST_F(LifetimeTest, a_foreign_runnable_takes_its_turn_and_is_given_back_at_the_end) {
    Foreign first(notes);
    Foreign second(notes);
    loop->call_soon(note("a "));
    loop->call_soon(first);
    loop->call_soon(note("b "));
    EXPECT_TRUE(first.scheduled());
    EXPECT_THROW(loop->call_soon(first), asyncio::RuntimeError) << "it is queued already";
    iterate();
    EXPECT_EQ(notes, "a run b ");
    loop->call_soon(first);
    loop->call_soon(second);
    {
        Foreign third(notes);
        loop->call_soon(third);
    }
    loop->close();
    EXPECT_EQ(notes, "a run b discarded discarded ");
    EXPECT_FALSE(first.scheduled());
    EXPECT_THROW(loop->call_soon(first), asyncio::RuntimeError);
}

// ---- futures and tasks after the loop

TEST_F(LifetimeTest, a_future_completed_after_the_end_of_its_loop_drops_its_callbacks) {
    auto owned = std::make_shared<int>(1);
    auto future = loop->create_future<int>();
    auto cancelled = loop->create_future<int>();
    future.add_done_callback([owned] { FAIL() << "nobody can call it"; });
    cancelled.add_done_callback([owned] { FAIL() << "nobody can call it"; });
    loop.reset();
    future.set_result(1);
    EXPECT_TRUE(cancelled.cancel());
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_EQ(future.result(), 1);
    EXPECT_THROW(future.add_done_callback([owned] {}), asyncio::RuntimeError);
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(LifetimeTest, an_error_that_nobody_retrieves_is_reported_after_the_end_of_the_loop_too) {
    auto first = loop->create_future<int>();
    auto second = loop->create_future<int>();
    first.set_exception(std::logic_error("first"));
    second.set_exception(std::logic_error("second"));
    loop->close();
    first = {};
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(asyncio::describe_exception(reports[0].exception), "logic_error: first");
    loop.reset();
    second = {};
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("second"), std::string::npos);
}

Coro<int> wait_inside(asyncio::Future<int> future) { co_return co_await future; }
Coro<int> wait_outside(asyncio::Future<int> future) { co_return co_await wait_inside(future); }

TEST_F(LifetimeTest, a_task_that_its_loop_destroyed_can_still_be_looked_at) {
    auto future = loop->create_future<int>();
    const auto waiting = loop->create_task({.name = "waiting"}, wait_outside(future));
    const auto unstarted_context = asyncio::Context();
    iterate();
    const auto unstarted = loop->create_task({.context = unstarted_context}, wait_outside(future));
    loop.reset();
    EXPECT_EQ(take_reports().size(), 2U);
    for (const auto& task : {waiting, unstarted}) {
        EXPECT_FALSE(task.done());
        EXPECT_NE(repr(task).find("coro=<wait_outside()"), std::string::npos) << repr(task);
        EXPECT_TRUE(task.get_stack().empty());
        EXPECT_FALSE(task.get_coro());
        EXPECT_THROW(task.result(), asyncio::InvalidStateError);
        EXPECT_TRUE(task.cancel());
        EXPECT_EQ(task.cancelling(), 1);
        EXPECT_EQ(task.uncancel(), 0);
        EXPECT_FALSE(task.done());
    }
    EXPECT_EQ(waiting.get_name(), "waiting");
    EXPECT_EQ(unstarted.get_context(), unstarted_context);
    future.set_result(1);
    EXPECT_FALSE(waiting.done());
}

// ---- tearing down

TEST_F(LifetimeTest, tasks_are_destroyed_newest_first_and_their_coroutines_innermost_first) {
    const auto inner = [this](std::string name) -> Coro<void> {
        const AtEnd end([this, name] { notes += name + ".inner "; });
        co_await asyncio::sleep(1h);
    };
    const auto outer = [&](std::string name) -> Coro<void> {
        const AtEnd end([this, name] { notes += name + ".outer "; });
        co_await inner(name);
    };
    loop->create_task(outer("old"));
    loop->create_task(outer("new"));
    iterate();
    loop->close();
    EXPECT_EQ(notes, "new.inner new.outer old.inner old.outer ");
    EXPECT_EQ(take_reports().size(), 2U);
}

TEST_F(LifetimeTest, a_long_chain_of_suspended_coroutines_is_destroyed_without_recursion) {
    struct Chain {
        static Coro<void> depth(int left) {
            if (left == 0) {
                co_await asyncio::sleep(1h);
            } else {
                co_await depth(left - 1);
            }
        }
    };
    loop->create_task(Chain::depth(100'000));
    iterate();
    loop->close();
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(LifetimeTest, destructors_that_run_at_close_may_complete_and_cancel_things) {
    auto future = loop->create_future<int>();
    future.add_done_callback([] { FAIL() << "the loop is closed"; });
    const auto other = loop->create_task(wait_outside(loop->create_future<int>()));
    const auto waits_for_other =
        loop->create_task([&]() -> Coro<int> { co_return co_await other; });
    const auto sleeper = loop->create_task([]() -> Coro<void> { co_await asyncio::sleep(1h); });
    loop->create_task([&]() -> Coro<void> {
        const AtEnd end([&] {
            future.set_result(1);
            EXPECT_TRUE(waits_for_other.cancel());
            EXPECT_TRUE(sleeper.cancel());
            loop->close();
            EXPECT_THROW(loop->call_soon([] {}), asyncio::RuntimeError);
        });
        co_await asyncio::sleep(1h);
    });
    iterate(2);
    loop->close();
    EXPECT_EQ(take_reports().size(), 4U);
    EXPECT_EQ(future.result(), 1);
    EXPECT_FALSE(sleeper.done());
}

TEST_F(LifetimeTest, destructors_of_dropped_callbacks_may_complete_and_cancel_things) {
    auto future = loop->create_future<int>();
    const auto task = loop->create_task(wait_outside(future));
    iterate();
    asyncio::TimerHandle timer = loop->call_later(1h, note("never"));
    loop->call_soon([end = AtEnd([&] {
                         future.set_result(1);
                         timer.cancel();
                     })] {});
    loop->close();
    EXPECT_EQ(take_reports().size(), 1U);
    EXPECT_TRUE(timer.cancelled());
    EXPECT_FALSE(task.done()) << "the result came too late";
}

TEST_F(LifetimeTest, the_exception_handler_may_look_at_a_task_that_is_being_destroyed) {
    loop->set_exception_handler(
        [this](asyncio::EventLoop& of, const asyncio::ErrorContext& report) {
            notes += report.message + " ";
            EXPECT_NE(repr(report.future).find("wait_outside"), std::string::npos);
            report.future.cancel();
            EXPECT_THROW(of.call_soon([] {}), asyncio::RuntimeError);
            throw asyncio::KeyboardInterrupt();  // cannot leave close()
        });
    loop->create_task(wait_outside(loop->create_future<int>()));
    iterate();
    loop->close();
    EXPECT_EQ(notes, "Task was destroyed but it is pending! ");
    captured.take();
}

// ---- destructors in the middle of a step

TEST_F(LifetimeTest, an_argument_that_goes_with_its_coroutine_may_look_at_the_task) {
    asyncio::Task<void> task;
    const auto holds = [](auto) -> Coro<void> { co_await asyncio::sleep(0s); };
    task = loop->create_task(holds(AtEnd([&] {
        EXPECT_FALSE(task.done()) << "callbacks run later";
        EXPECT_NE(repr(task).find("coro=<"), std::string::npos);
        EXPECT_TRUE(task.get_stack().empty());
        task.set_name("ending");
        loop->call_soon(note("scheduled "));
        task = {};
    })));
    const asyncio::AnyTask kept = task;
    iterate(3);
    EXPECT_TRUE(kept.done());
    EXPECT_EQ(kept.get_name(), "ending");
    EXPECT_EQ(notes, "scheduled ");
}

TEST_F(LifetimeTest, a_coroutine_that_was_never_awaited_is_reported_and_destroyed) {
    auto owned = std::make_shared<int>(1);
    const auto holds = [](std::shared_ptr<int>) -> Coro<void> { co_return; };
    {
        const Coro<void> dropped = holds(owned);
    }
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_EQ(captured.take().size(), 1U);
    {
        Coro<void> replaced = holds(owned);
        replaced = holds(owned);
        replaced.close();
        EXPECT_FALSE(replaced);
    }
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_EQ(captured.take().size(), 1U) << "the one that was replaced";
}

// Notes whose task destroys it.
struct NotesItsTask {
    std::string* name;
    explicit NotesItsTask(std::string& name) : name(&name) {}
    NotesItsTask(NotesItsTask&& other) noexcept : name(std::exchange(other.name, nullptr)) {}
    ~NotesItsTask() {
        if (name != nullptr) {
            const asyncio::AnyTask task = asyncio::current_task();
            *name = task ? task.get_name() : "no task";
        }
    }
};

TEST_F(LifetimeTest, arguments_are_destroyed_inside_their_task) {
    std::string argument_of_coroutine;
    std::string argument_of_function;
    auto take = [](NotesItsTask) -> Coro<void> { co_return; };
    const auto first =
        loop->create_task({.name = "first"}, take(NotesItsTask(argument_of_coroutine)));
    const auto second =
        loop->create_task({.name = "second"}, take, NotesItsTask(argument_of_function));
    iterate(2);
    EXPECT_EQ(argument_of_coroutine, "first");
    EXPECT_EQ(argument_of_function, "second");
}

TEST_F(LifetimeTest, what_the_hooks_refer_to_goes_with_the_loop_though_a_future_stays) {
    const auto owned = std::make_shared<int>(1);
    loop->set_block_hooks([owned] {}, [owned] {});
    const auto future = loop->create_future<void>();
    loop.reset();
    EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
