// GoogleTest for coroutines: a test whose body may co_await, on a fresh loop in virtual time.
#pragma once

#include <asyncio/runners.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include <gtest/gtest.h>

/// A test whose body is a coroutine:
///
///     ASYNC_TEST(Cache, entries_expire_after_an_hour) {
///         co_await asyncio::sleep(1h);
///         EXPECT_FALSE(cache.contains("key"));
///     }
///
/// It runs by `run` on a loop with a VirtualClock (`clock()`), so that sleeping takes no time, and
/// fails if the body throws, deadlocks, or leaves reports behind (an exception never retrieved, a
/// task that fails at the end). ASSERT_* macros return and so do not work in a coroutine: use
/// EXPECT_*, or CO_ASSERT_TRUE and its like.
#define ASYNC_TEST(suite, name)                                           \
    class suite##_##name##_Async : public ::asyncio::testing::AsyncTest { \
    protected:                                                            \
        ::asyncio::Coro<void> body() override;                            \
    };                                                                    \
    TEST_F(suite##_##name##_Async, name) { run_body(); }                  \
    ::asyncio::Coro<void> suite##_##name##_Async::body()

/// Ends the coroutine if the condition does not hold.
#define CO_ASSERT_TRUE(condition)                                  \
    do {                                                           \
        const bool co_assert_holds = static_cast<bool>(condition); \
        EXPECT_TRUE(co_assert_holds) << #condition;                \
        if (!co_assert_holds) {                                    \
            co_return;                                             \
        }                                                          \
    } while (false)
#define CO_ASSERT_EQ(a, b)                   \
    do {                                     \
        EXPECT_EQ(a, b);                     \
        if (::testing::Test::HasFailure()) { \
            co_return;                       \
        }                                    \
    } while (false)

namespace asyncio::inline v0 {
namespace testing {

/// The fixture behind ASYNC_TEST; derive from it for fixtures of your own.
class AsyncTest : public ::testing::Test {
protected:
    virtual Coro<void> body() = 0;

    void run_body() {
        RunOptions options;
        options.loop_factory = [this] {
            LoopOptions loop_options;
            loop_options.clock = &clock_;
            EventLoopPtr loop = new_event_loop(std::move(loop_options));
            loop->set_exception_handler(
                [this](EventLoop&, const ErrorContext& context) { reports_.push_back(context); });
            return loop;
        };
        try {
            asyncio::run(body(), std::move(options));
        } catch (const CancelledError& error) {
            ADD_FAILURE() << "the test's body was cancelled: " << error.message();
        } catch (...) {
            ADD_FAILURE() << "the test's body threw "
                          << describe_exception(std::current_exception());
        }
        for (const ErrorContext& report : reports_) {
            ADD_FAILURE() << "reported to the exception handler: " << report.message << " "
                          << describe_exception(report.exception);
        }
        reports_.clear();
    }

    VirtualClock& clock() noexcept { return clock_; }
    /// What went to the loop's exception handler; a test that expects reports clears it.
    std::vector<ErrorContext>& reports() noexcept { return reports_; }

private:
    VirtualClock clock_;
    std::vector<ErrorContext> reports_;
};

}  // namespace testing
}  // namespace asyncio::inline v0
