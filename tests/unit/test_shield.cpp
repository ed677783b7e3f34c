// shield: what passes through it, and what it holds back.
#include <asyncio/gather.hpp>
#include <asyncio/shield.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/testing/gtest.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::gather;
using asyncio::shield;
using asyncio::Task;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Coro<int> number_after(std::chrono::seconds delay, int number) {
    co_await asyncio::sleep(delay);
    co_return number;
}

class Shield : public LoopFixture {
protected:
    Future<int> future() { return loop->create_future<int>(); }

    std::vector<std::string> messages() {
        std::vector<std::string> result;
        for (const asyncio::ErrorContext& report : take_reports()) {
            result.push_back(report.message);
        }
        return result;
    }
};

using Messages = std::vector<std::string>;

TEST_F(Shield, S173_a_result_passes_through) {
    const Future<int> inner = future();
    const Future<int> outer = shield(inner);
    EXPECT_FALSE(outer == inner);
    inner.set_result(42);
    EXPECT_FALSE(outer.done());
    iterate();
    EXPECT_EQ(outer.result(), 42);
    EXPECT_EQ(inner.result(), 42);
}

TEST_F(Shield, S173_an_exception_passes_through) {
    Future<int> inner = future();
    const Future<int> outer = shield(inner);
    inner.set_exception(Boom("through"));
    iterate();
    EXPECT_THROW(outer.result(), Boom);
    inner = {};  // it counts as retrieved, or the fixture fails
}

ASYNC_TEST(Shield, S173_a_coroutine_is_made_a_task) {
    EXPECT_EQ(co_await shield(number_after(1s, 5)), 5);
    co_await shield(asyncio::sleep(1s));
    EXPECT_EQ(clock().seconds(), 2.0);
}

TEST_F(Shield, S173_a_result_that_was_moved_out_is_an_error) {
    Future<int> inner = future();
    const Future<int> outer = shield(inner);
    inner.set_result(1);
    EXPECT_EQ(std::move(inner).result(), 1);
    iterate();
    EXPECT_THROW(outer.result(), asyncio::InvalidStateError);
}

TEST_F(Shield, S174_a_cancelled_inner_cancels_the_outer) {
    const Future<int> inner = future();
    const Future<int> outer = shield(inner);
    inner.cancel("inner");
    iterate();
    EXPECT_TRUE(outer.cancelled());
}

TEST_F(Shield, S175_a_cancelled_outer_leaves_the_inner_alone) {
    const Future<int> inner = future();
    const Future<int> outer = shield(inner);
    EXPECT_TRUE(outer.cancel());
    iterate();
    EXPECT_TRUE(outer.cancelled());
    EXPECT_FALSE(inner.done());
    inner.set_result(1);
    iterate();
    EXPECT_EQ(inner.result(), 1);
}

ASYNC_TEST(Shield, S175_a_cancelled_awaiter_gets_the_error_and_the_inner_goes_on) {
    const Task<int> inner = asyncio::create_task(number_after(10s, 7));
    auto body = [](Task<int> task) -> Coro<void> { co_await shield(task); };
    const Task<void> awaiter = asyncio::create_task(body, inner);
    co_await asyncio::sleep(1s);
    awaiter.cancel("only the awaiter");
    std::string message;
    try {
        co_await awaiter;
    } catch (const CancelledError& error) {
        message = error.message();
    }
    EXPECT_EQ(message, "only the awaiter");
    EXPECT_EQ(inner.cancelling(), 0);
    EXPECT_EQ(co_await inner, 7);
    EXPECT_EQ(clock().seconds(), 10.0);
}

TEST_F(Shield, S176_a_done_inner_is_returned_as_it_is) {
    const Future<int> value = future();
    value.set_result(1);
    EXPECT_TRUE(shield(value) == value);
    const Future<int> failed = future();
    failed.set_exception(Boom("x"));
    EXPECT_TRUE(shield(failed) == failed);
    EXPECT_THROW(failed.result(), Boom);
    const Future<int> cancelled = future();
    cancelled.cancel();
    EXPECT_TRUE(shield(cancelled) == cancelled);
}

TEST_F(Shield, S177_a_failure_after_the_outer_was_cancelled_is_reported) {
    Future<int> inner = future();
    const Future<int> outer = shield(inner);
    outer.cancel();
    iterate();
    inner.set_exception(Boom("too late"));
    EXPECT_EQ(messages(), Messages());
    iterate();
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].message.find("Boom exception in shielded future"), std::string::npos)
        << reports[0].message;
    EXPECT_TRUE(reports[0].future == inner);
    EXPECT_EQ(reports[0].exception, inner.exception());
    inner = {};  // not reported a second time
}

TEST_F(Shield, S177_a_failure_is_reported_once_however_many_shields_there_were) {
    const Future<int> inner = future();
    std::vector<Future<int>> outers;
    for (int i = 0; i < 5; ++i) {
        outers.push_back(shield(inner));
        outers.back().cancel();
        iterate();
    }
    inner.set_exception(asyncio::ValueError("late"));
    iterate();
    EXPECT_EQ(messages(), Messages{"ValueError exception in shielded future"});
}

TEST_F(Shield, S177_a_late_result_or_cancellation_is_silent) {
    const Future<int> first = future();
    const Future<int> second = future();
    shield(first).cancel();
    shield(second).cancel();
    iterate();
    first.set_result(1);
    second.cancel();
    iterate();
    EXPECT_EQ(messages(), Messages());
}

// Trace W5: the report comes even if somebody retrieves the exception, because the shield looks at
// the moment of the failure. Only a shield that was never cancelled leaves it to the others.
TEST_F(Shield, S178_a_failure_is_reported_even_if_somebody_else_retrieves_it) {
    const Future<int> inner = future();
    shield(inner).cancel();
    iterate();
    const auto other = loop->create_task(
        [](Future<int> awaited) -> Coro<int> { co_return co_await awaited; }, inner);
    iterate();
    inner.set_exception(asyncio::ValueError("seen"));
    EXPECT_THROW(loop->run_until_complete(other), asyncio::ValueError);
    EXPECT_EQ(messages(), Messages{"ValueError exception in shielded future"});
}

TEST_F(Shield, S178_a_failure_that_the_outer_passed_on_is_reported_by_who_loses_it) {
    Future<int> inner = future();
    Future<int> outer = shield(inner);
    inner.set_exception(asyncio::ValueError("lost"));
    iterate();
    inner = {};
    EXPECT_EQ(messages(), Messages());
    iterate();  // the outer one's last callback
    outer = {};
    EXPECT_EQ(messages(), Messages{"Future exception was never retrieved"});
}

TEST_F(Shield, S178_of_a_dropped_shield_the_failure_is_reported) {
    const Future<int> inner = future();
    (void)shield(inner);
    inner.set_exception(asyncio::ValueError("lost"));
    iterate(2);
    EXPECT_EQ(messages(), Messages{"Future exception was never retrieved"});
}

TEST_F(Shield, S179_a_completed_outer_removes_its_callback_from_the_inner) {
    Future<int> inner = future();
    const asyncio::detail::FutureState& state = asyncio::detail::HandleAccess::state(inner);
    const auto refs = state.refs();
    for (int i = 0; i < 1000; ++i) {
        shield(inner).cancel();
        iterate();
    }
    // A shield that still listened would hold the inner future.
    EXPECT_EQ(state.refs(), refs);
    EXPECT_EQ(inner.remove_done_callback(asyncio::CallbackId{0}), 0U);
    inner.set_result(1);
    iterate();
}

TEST_F(Shield, S180_a_shielded_gather_goes_on_when_its_awaiter_is_cancelled) {
    const Future<int> a = future();
    const Future<int> b = future();
    const auto all = gather(a, b);
    auto body = [](auto awaited) -> Coro<void> { co_await shield(awaited); };
    const Task<void> awaiter = loop->create_task(body, all);
    iterate();
    awaiter.cancel();
    iterate();
    EXPECT_TRUE(awaiter.cancelled());
    EXPECT_FALSE(a.done() || b.done() || all.done());
    a.set_result(1);
    b.set_result(2);
    iterate();
    EXPECT_EQ(all.result(), std::make_tuple(1, 2));
}

TEST_F(Shield, S180_a_gather_of_shields_cancels_the_shields_only) {
    const Future<int> a = future();
    const Future<int> b = future();
    const Future<int> outer_a = shield(a);
    const auto all = gather(outer_a, shield(b));
    EXPECT_TRUE(all.cancel());
    EXPECT_TRUE(outer_a.cancelled());
    EXPECT_FALSE(a.done() || b.done());
    iterate();
    EXPECT_THROW(all.result(), CancelledError);
    a.set_result(1);
    b.set_result(2);
    iterate();
    EXPECT_EQ(a.result() + b.result(), 3);
}

TEST(ShieldAtTheEnd, S181_a_shield_does_not_protect_from_the_end_of_the_run) {
    asyncio::testing::VirtualClock clock;
    asyncio::RunOptions options;
    options.loop_factory = [&clock] {
        asyncio::LoopOptions loop_options;
        loop_options.clock = &clock;
        return asyncio::new_event_loop(std::move(loop_options));
    };
    std::string notes;
    auto inner = [](std::string& out) -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            out += "cancelled";
            throw;
        }
    };
    auto main = [](auto function, std::string& out) -> Coro<void> {
        (void)shield(function(out));
        co_await asyncio::sleep(0s);
    };
    asyncio::run(main(inner, notes), std::move(options));
    EXPECT_EQ(notes, "cancelled");
    EXPECT_EQ(clock.seconds(), 0.0);
}

// ---- lifetimes

TEST_F(Shield, closing_the_loop_lets_go_of_pending_shields) {
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = value;
    {
        const auto inner = loop->create_future<std::shared_ptr<int>>();
        const auto kept = shield(inner);
        (void)shield(shield(inner));
        const auto cancelled = shield(inner);
        cancelled.cancel();
        inner.set_result(std::move(value));
        loop->close();
        EXPECT_FALSE(kept.done());
    }
    EXPECT_TRUE(watched.expired());
}

TEST_F(Shield, a_pending_future_of_a_closed_loop_is_refused) {
    const Future<int> inner = future();
    loop->close();
    EXPECT_THROW((void)shield(inner), asyncio::RuntimeError);
}

TEST_F(Shield, a_handler_that_keeps_the_reported_future_may_use_it_later) {
    std::vector<asyncio::AnyFuture> kept;
    loop->set_exception_handler([&](asyncio::EventLoop&, const asyncio::ErrorContext& report) {
        kept.push_back(report.future);
    });
    {
        const Future<int> inner = future();
        shield(inner).cancel();
        iterate();
        inner.set_exception(Boom("kept"));
        iterate();
    }
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_NE(kept[0].exception(), nullptr);
}

}  // namespace
