// The tools for users' tests: the virtual clock and ASYNC_TEST.
#include <asyncio/asyncio.hpp>
#include <asyncio/testing/gtest.hpp>
#include <asyncio/testing/virtual_clock.hpp>

using namespace std::chrono_literals;

namespace {

ASYNC_TEST(VirtualClock, an_hour_passes_at_once) {
    const auto before = std::chrono::steady_clock::now();
    co_await asyncio::sleep(1h);
    EXPECT_EQ(clock().seconds(), 3600.0);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 1h);
}

ASYNC_TEST(VirtualClock, concurrent_sleeps_end_at_their_own_times) {
    auto sleeper = [](std::chrono::seconds delay) -> asyncio::Coro<double> {
        co_await asyncio::sleep(delay);
        co_return asyncio::get_running_loop().time_seconds();
    };
    auto [first, second] = co_await asyncio::gather(sleeper(2s), sleeper(1s));
    EXPECT_EQ(first, 2.0);
    EXPECT_EQ(second, 1.0);
}

asyncio::Coro<void> wait_for_ever() { co_await asyncio::get_running_loop().create_future<void>(); }

TEST(VirtualClock, a_program_that_can_never_go_on_is_a_deadlock_that_names_the_tasks) {
    asyncio::testing::VirtualClock clock;
    asyncio::LoopOptions options;
    options.clock = &clock;
    const auto loop = asyncio::new_event_loop(std::move(options));
    try {
        loop->run_until_complete(wait_for_ever());
        FAIL() << "no error";
    } catch (const asyncio::DeadlockError& error) {
        EXPECT_NE(std::string(error.what()).find("wait_for_ever"), std::string::npos)
            << error.what();
    }
    loop->set_exception_handler([](asyncio::EventLoop&, const asyncio::ErrorContext&) {});
}

}  // namespace
