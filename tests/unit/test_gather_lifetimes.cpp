// What a gather survives: results that are gone, handles that are dropped, a loop that is closed,
// children that answer a cancellation in their own way.
#include <asyncio/gather.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/testing/gtest.hpp>
#include <asyncio/waiter.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Future;
using asyncio::gather;
using asyncio::InvalidStateError;
using asyncio::return_exceptions;
using asyncio::Task;

class GatherLifetimes : public LoopFixture {
protected:
    Future<int> future() { return loop->create_future<int>(); }
};

TEST_F(GatherLifetimes, a_result_that_was_moved_out_before_is_an_error) {
    Future<int> moved = future();
    const Future<int> other = future();
    const auto values = gather(moved, other);
    const auto outcomes = gather(return_exceptions, moved, other);
    moved.set_result(1);
    EXPECT_EQ(std::move(moved).result(), 1);
    other.set_result(2);
    iterate();
    EXPECT_THROW(values.result(), InvalidStateError);
    ASSERT_TRUE(outcomes.done());
    EXPECT_THROW(std::get<0>(outcomes.result()).value(), InvalidStateError);
    EXPECT_EQ(std::get<1>(outcomes.result()).value(), 2);
}

TEST_F(GatherLifetimes, a_result_moved_out_between_two_reports_is_an_error) {
    Future<int> moved = future();
    const Future<int> other = future();
    const auto values = gather(moved, other);
    moved.set_result(1);
    iterate();
    EXPECT_EQ(std::move(moved).result(), 1);
    other.set_result(2);
    iterate();
    EXPECT_THROW(values.result(), InvalidStateError);
}

struct FragileCopy {
    FragileCopy() = default;
    FragileCopy(FragileCopy&&) = default;
    FragileCopy(const FragileCopy&) { throw std::length_error("cannot be copied now"); }
};

TEST_F(GatherLifetimes, a_result_whose_copy_throws_fails_the_gather) {
    const auto fragile = loop->create_future<FragileCopy>();
    const auto all = gather(fragile, future());
    const auto alone = gather(fragile);
    fragile.set_result(FragileCopy());
    iterate();
    EXPECT_FALSE(all.done());
    EXPECT_THROW(alone.result(), std::length_error);
}

TEST_F(GatherLifetimes, results_of_children_nobody_else_knows_are_moved) {
    int copies = 0;
    struct Counted {
        explicit Counted(int& copies) : copies(&copies) {}
        Counted(const Counted& other) : copies(other.copies) { ++*copies; }
        Counted(Counted&& other) noexcept : copies(other.copies) {}
        int* copies;
    };
    auto make = [](int& count) -> Coro<Counted> { co_return Counted(count); };
    auto body = [](auto function, int& count) -> Coro<void> {
        co_await gather(function(count), function(count));
        std::vector<Coro<Counted>> coros;
        coros.push_back(function(count));
        co_await gather(coros);
    };
    loop->run_until_complete(body(make, copies));
    EXPECT_EQ(copies, 0);
}

TEST_F(GatherLifetimes, a_dropped_gather_still_retrieves_its_children) {
    Future<int> first = future();
    Future<int> second = future();
    (void)gather(return_exceptions, first, second);
    first.set_exception(std::runtime_error("first"));
    second.set_exception(std::runtime_error("second"));
    first = second = {};
    iterate();
}

TEST_F(GatherLifetimes, a_dropped_gather_that_fails_is_reported_by_its_name) {
    (void)gather(loop->create_task([]() -> Coro<int> {
        throw std::runtime_error("lost");
        co_return 0;
    }));
    iterate(2);
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "_GatheringFuture exception was never retrieved");
}

TEST_F(GatherLifetimes, closing_the_loop_lets_go_of_pending_gathers) {
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = value;
    const auto child = loop->create_future<std::shared_ptr<int>>();
    const auto kept = gather(child, future());
    {
        const auto dropped = gather(kept, gather(child), gather(return_exceptions, child));
    }
    child.set_result(std::move(value));
    loop->close();
    EXPECT_FALSE(kept.done());
    EXPECT_THROW(kept.result(), InvalidStateError);
    EXPECT_TRUE(kept.cancel());  // its other child is pending for ever
    EXPECT_FALSE(watched.expired());
}

TEST_F(GatherLifetimes, closing_the_loop_while_a_failed_gather_has_unfinished_children) {
    const Future<int> bad = future();
    const auto all = gather(bad, future(), future());
    bad.set_exception(std::runtime_error("bad"));
    iterate();
    EXPECT_NE(all.exception(), nullptr);
    loop->close();
}

TEST_F(GatherLifetimes, a_task_destroyed_by_close_may_complete_the_children_of_a_gather) {
    struct Completes {
        Future<int> target;
        ~Completes() { target.set_result(1); }
    };
    const Future<int> child = future();
    const auto all = gather(child, future());
    loop->create_task(
        [](Future<int> target) -> Coro<void> {
            const Completes guard{target};
            co_await asyncio::sleep(1h);
        },
        child);
    iterate();
    loop->close();
    EXPECT_EQ(child.result(), 1);
    EXPECT_FALSE(all.done());
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Task was destroyed but it is pending!");
}

// Accepts a cancellation and completes with a value all the same, as an operation does that the
// kernel has finished already.
struct Unstoppable final : asyncio::Waiter {
    static bool await_ready() { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        suspend(handle, asyncio::WaitKind::io);
    }
    static int await_resume() {
        resumed();
        return 7;
    }
    bool cancel(const asyncio::CancelMessage&) override {
        set_result();
        return true;
    }
};

Coro<int> wait_unstoppably() { co_return co_await Unstoppable(); }

TEST_F(GatherLifetimes, a_child_whose_wait_took_the_request_is_not_interrupted_again) {
    const Task<int> child = loop->create_task(wait_unstoppably);
    const auto all = gather(child);
    iterate();
    EXPECT_TRUE(all.cancel());
    iterate();
    EXPECT_EQ(child.result(), 7);
    iterate();
    EXPECT_THROW(all.result(), asyncio::CancelledError);
}

TEST_F(GatherLifetimes, a_task_whose_wait_took_the_request_is_not_interrupted_again) {
    const Task<int> task = loop->create_task(wait_unstoppably);
    iterate();
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(loop->run_until_complete(task), 7);
}

}  // namespace
