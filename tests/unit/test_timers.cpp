// Timers and clocks: call_later, call_at and sleep.
#include "io/epoll_poller.hpp"
#include "loop_fixture.hpp"
#include "random_seed.hpp"
#include "scripted_poller.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::TimePoint;

namespace {

class TimerTest : public LoopFixture {
protected:
    // Runs until nothing is left to do before the time `end`.
    void run_until(TimePoint end) {
        loop->call_at(end, [this] { loop->stop(); });
        loop->run_forever();
    }
};

TEST_F(TimerTest, S023_call_later_is_call_at_relative_to_now) {
    clock.advance_to(TimePoint(100s));
    const asyncio::TimerHandle later = loop->call_later(5s, note("later "));
    const asyncio::TimerHandle at = loop->call_at(TimePoint(103s), note("at "));
    EXPECT_EQ(later.when(), TimePoint(105s));
    EXPECT_EQ(at.when(), TimePoint(103s));
    run_until(TimePoint(104s));
    EXPECT_EQ(notes, "at ");
    run_until(TimePoint(105s));
    EXPECT_EQ(notes, "at later ");
}

TEST_F(TimerTest, S023_the_default_clock_is_monotonic) {
    const asyncio::EventLoopPtr real = asyncio::new_event_loop();
    TimePoint before = real->time();
    for (int i = 0; i < 1000; ++i) {
        const TimePoint now = real->time();
        ASSERT_GE(now, before);
        before = now;
    }
    EXPECT_NEAR(real->time_seconds(),
                std::chrono::duration<double>(before.time_since_epoch()).count(), 60.0);
}

TEST_F(TimerTest, S023_any_duration_is_accepted_and_huge_ones_are_clamped) {
    using Days = std::chrono::duration<double, std::ratio<86400>>;
    EXPECT_EQ(loop->call_later(0.25s, [] {}).when(), TimePoint(250ms));
    EXPECT_EQ(loop->call_later(Days(0.5), [] {}).when(), TimePoint(12h));
    const auto huge = loop->call_later(std::chrono::hours::max(), [] {});
    const auto infinite = loop->call_later(
        std::chrono::duration<double>(std::numeric_limits<double>::infinity()), [] {});
    const auto long_past = loop->call_later(std::chrono::hours::min(), [] {});
    EXPECT_EQ(huge.when(), infinite.when());
    EXPECT_GT(huge.when(), TimePoint(std::chrono::years(99)));
    EXPECT_LT(long_past.when(), TimePoint());
}

TEST_F(TimerTest, S025_timers_run_in_the_order_of_their_deadlines) {
    loop->call_later(3s, note("3 "));
    loop->call_later(1s, note("1 "));
    loop->call_later(2s, note("2 "));
    run_until(TimePoint(4s));
    EXPECT_EQ(notes, "1 2 3 ");
}

TEST_F(TimerTest, S025_overdue_timers_run_in_the_order_of_their_deadlines_too) {
    loop->call_later(-1s, note("-1 "));
    loop->call_later(0s, note("0 "));
    loop->call_later(-2s, note("-2 "));
    loop->call_at(TimePoint::min(), note("first "));
    iterate();
    EXPECT_EQ(notes, "first -2 -1 0 ");
}

TEST_F(TimerTest, S026_equal_deadlines_run_first_in_first_out) {
    for (int i = 0; i < 20; ++i) {
        loop->call_at(TimePoint(1s), [this, i] { notes += std::to_string(i) + " "; });
    }
    run_until(TimePoint(1s));
    EXPECT_EQ(notes, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
}

TEST_F(TimerTest, S026_random_timers_run_by_deadline_and_age_while_others_are_cancelled) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    struct Timer {
        asyncio::TimerHandle handle;
        std::size_t age = 0;
        bool ran = false;
    };
    std::vector<Timer> timers(500);
    std::vector<std::size_t> ran;
    for (std::size_t age = 0; age < timers.size(); ++age) {
        timers[age].age = age;
        timers[age].handle =
            loop->call_at(TimePoint(std::chrono::seconds(random() % 10)), [&, age] {
                timers[age].ran = true;
                ran.push_back(age);
                // Any other one: a call that cancels itself counts as cancelled though it runs.
                const std::size_t other =
                    (age + 1 + random() % (timers.size() - 1)) % timers.size();
                timers[other].handle.cancel();
                loop->check_invariants();
            });
    }
    run_until(TimePoint(10s));
    std::sort(timers.begin(), timers.end(), [](const Timer& a, const Timer& b) {
        return std::pair(a.handle.when(), a.age) < std::pair(b.handle.when(), b.age);
    });
    std::vector<std::size_t> expected;
    for (const Timer& timer : timers) {
        EXPECT_NE(timer.ran, timer.handle.cancelled());
        if (timer.ran) {
            expected.push_back(timer.age);
        }
    }
    EXPECT_EQ(ran, expected);
    EXPECT_GT(ran.size(), 0U);
    EXPECT_LT(ran.size(), timers.size());
}

TEST_F(TimerTest, S027_call_later_of_zero_runs_behind_what_is_queued) {
    loop->call_soon([this] {
        loop->call_later(0s, note("later "));
        loop->call_soon(note("c "));
        notes += "a ";
    });
    loop->call_later(0s, note("timer "));
    loop->call_soon(note("b "));
    iterate(2);
    EXPECT_EQ(notes, "a b timer c later ");
}

TEST_F(TimerTest, S002_a_timer_that_a_timer_schedules_for_now_runs_in_the_next_iteration) {
    loop->call_later(0s, [this] {
        notes += "a";
        loop->call_later(0s, note("b"));
    });
    iterate();
    EXPECT_EQ(notes, "a");
    iterate();
    EXPECT_EQ(notes, "ab");
}

// ---- cancelling

TEST_F(TimerTest, S028_a_cancelled_timer_lets_go_of_its_callback_at_once) {
    auto owned = std::make_shared<int>(1);
    std::vector<asyncio::TimerHandle> handles;
    for (int i = 0; i < 1000; ++i) {
        handles.push_back(loop->call_later(std::chrono::seconds(i % 97), [owned] {}));
    }
    for (const asyncio::TimerHandle& handle : handles) {
        handle.cancel();
        loop->check_invariants();
    }
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(TimerTest, S028_cancelled_timers_leave_the_others_in_order) {
    std::vector<asyncio::TimerHandle> handles;
    for (int i = 0; i < 10; ++i) {
        handles.push_back(loop->call_later(std::chrono::seconds(10 - i), note(std::to_string(i))));
    }
    for (const int i : {0, 9, 5, 2}) {
        handles[static_cast<std::size_t>(i)].cancel();
    }
    run_until(TimePoint(20s));
    EXPECT_EQ(notes, "876431");
}

TEST_F(TimerTest, S029_handles_tell_their_deadline_and_compare_by_it) {
    const asyncio::TimerHandle early = loop->call_at(TimePoint(1s), [] {});
    const asyncio::TimerHandle late = loop->call_at(TimePoint(2s), [] {});
    const asyncio::TimerHandle also_late = loop->call_at(TimePoint(2s), [] {});
    EXPECT_EQ(late.when(), TimePoint(2s));
    EXPECT_LT(early, late);
    EXPECT_FALSE(late < also_late);
    EXPECT_FALSE(also_late < late);
    EXPECT_NE(late, also_late);
    EXPECT_EQ(late, asyncio::TimerHandle(late));
}

TEST_F(TimerTest, S029_cancel_is_idempotent_and_harmless_after_the_call) {
    const asyncio::TimerHandle cancelled = loop->call_later(1s, note("never"));
    const asyncio::TimerHandle called = loop->call_later(1s, note("called"));
    EXPECT_FALSE(cancelled.cancelled());
    cancelled.cancel();
    cancelled.cancel();
    EXPECT_TRUE(cancelled.cancelled());
    EXPECT_EQ(cancelled.when(), TimePoint(1s)) << "the deadline stays known";
    run_until(TimePoint(2s));
    called.cancel();
    EXPECT_EQ(notes, "called");
    EXPECT_EQ(called.when(), TimePoint(1s));
}

TEST_F(TimerTest, S029_a_timer_that_is_due_may_still_be_cancelled_before_its_turn) {
    asyncio::TimerHandle second;
    loop->call_later(1s, [&] { second.cancel(); });
    second = loop->call_later(1s, note("never"));
    run_until(TimePoint(2s));
    EXPECT_EQ(notes, "");
    EXPECT_TRUE(second.cancelled());
}

TEST_F(TimerTest, S029_a_handle_may_outlive_its_loop) {
    const asyncio::TimerHandle pending = loop->call_later(1s, [] {});
    const asyncio::Handle soon = loop->call_soon([] {});
    loop.reset();
    pending.cancel();
    soon.cancel();
    EXPECT_EQ(pending.when(), TimePoint(1s));
    EXPECT_FALSE(asyncio::TimerHandle().cancelled()) << "an empty handle is no error";
    asyncio::TimerHandle().cancel();
}

// ---- waiting, on clocks that are not virtual

TEST(TimerClocks, S024_a_timer_is_never_early_and_waits_for_the_rest) {
    ManualClock clock;
    auto owned = std::make_unique<ScriptedPoller>(clock);
    ScriptedPoller& poller = *owned;
    asyncio::LoopOptions options;
    options.clock = &clock;
    options.poller = std::move(owned);
    const asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(options));
    TimePoint ran_at;
    loop->call_later(5s, [&] {
        ran_at = clock.time;
        loop->stop();
    });
    // The first poll comes back a nanosecond too soon.
    poller.script.emplace_back([&](auto&) { clock.time += 5s - 1ns; });
    loop->run_forever();
    EXPECT_EQ(ran_at, TimePoint(5s));
    EXPECT_EQ(poller.timeouts, (std::vector<std::optional<asyncio::Duration>>{5s, 1ns}));
}

TEST(TimerClocks, S031_no_poll_is_longer_than_a_day) {
    ManualClock clock;
    auto owned = std::make_unique<ScriptedPoller>(clock);
    ScriptedPoller& poller = *owned;
    asyncio::LoopOptions options;
    options.clock = &clock;
    options.poller = std::move(owned);
    const asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(options));
    TimePoint ran_at;
    loop->call_later(60h, [&] {
        ran_at = clock.time;
        loop->stop();
    });
    loop->run_forever();
    EXPECT_EQ(ran_at, TimePoint(60h));
    EXPECT_EQ(poller.timeouts, (std::vector<std::optional<asyncio::Duration>>{24h, 24h, 12h}));
    loop->call_at(TimePoint::max(), [] {});
    loop->run_once();
    EXPECT_EQ(poller.timeouts.back(), 24h);
}

// The kernel's poller, counting.
class CountingPoller final : public asyncio::Poller {
public:
    explicit CountingPoller(int& polls) : polls_(polls) {}
    void poll(std::optional<asyncio::Duration> timeout, ReadyList& ready) override {
        ++polls_;
        inner_.poll(timeout, ready);
    }
    void wake() noexcept override { inner_.wake(); }
    void start(asyncio::IoOperation& operation) override { inner_.start(operation); }
    bool cancel(asyncio::IoOperation& operation) noexcept override {
        return inner_.cancel(operation);
    }
    asyncio::IoOperation* watching(int fd, asyncio::IoDirection direction) const noexcept override {
        return inner_.watching(fd, direction);
    }
    std::size_t watched() const noexcept override { return inner_.watched(); }
    int fileno() const noexcept override { return inner_.fileno(); }
    void arm(std::optional<asyncio::Duration> timeout) override { inner_.arm(timeout); }

private:
    int& polls_;
    asyncio::detail::EpollPoller inner_;
};

Coro<void> sleep_briefly_and_check() {
    asyncio::EventLoop& loop = asyncio::get_running_loop();
    for (const auto delay : {100us, 10us, 1us, 300us, 100us}) {
        const TimePoint end = loop.time() + delay;
        co_await asyncio::sleep(delay);
        EXPECT_GE(loop.time(), end);
    }
}

TEST(TimerClocks, S030_short_sleeps_neither_spin_nor_return_early) {
    int polls = 0;
    asyncio::LoopOptions options;
    options.poller = std::make_unique<CountingPoller>(polls);
    options.debug = true;
    const asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(options));
    loop->slow_callback_duration = 24h;
    loop->run_until_complete(sleep_briefly_and_check());
    EXPECT_LE(polls, 20);
}

// ---- sleep

TEST_F(TimerTest, S032_a_sleep_of_zero_gives_way_for_one_iteration) {
    for (const auto delay : {0s, -1s}) {
        const auto steps = [this](asyncio::Duration pause) -> Coro<void> {
            notes += "a ";
            co_await asyncio::sleep(pause);
            notes += "b ";
        };
        notes.clear();
        loop->create_task(steps, delay);
        loop->call_soon(note("queued "));
        iterate();
        EXPECT_EQ(notes, "a queued ");
        iterate();
        EXPECT_EQ(notes, "a queued b ");
    }
    EXPECT_EQ(clock.seconds(), 0.0);
}

TEST_F(TimerTest, S032_a_sleep_of_zero_gives_its_result) {
    const auto sleeps = []() -> Coro<int> { co_return co_await asyncio::sleep(0s, 42); };
    EXPECT_EQ(loop->run_until_complete(sleeps()), 42);
}

TEST_F(TimerTest, S032_a_tiny_delay_is_not_rounded_to_zero) {
    const auto sleeps = [this]() -> Coro<void> {
        co_await asyncio::sleep(1e-300);
        notes += "slept ";
    };
    const auto task = loop->create_task(sleeps);
    iterate(2);
    EXPECT_EQ(notes, "");
    loop->run_until_complete(task);
    EXPECT_EQ(clock.now(), TimePoint(1ns));
}

TEST_F(TimerTest, S033_concurrent_sleeps_wake_in_the_order_of_their_deadlines) {
    const auto sleeper = [this](int seconds) -> Coro<int> {
        const int given = co_await asyncio::sleep(std::chrono::seconds(seconds), seconds * 10);
        notes += std::to_string(seconds) + " ";
        co_return given;
    };
    const auto main = [&]() -> Coro<void> {
        const auto [a, b, c] = co_await asyncio::gather(sleeper(3), sleeper(1), sleeper(2));
        EXPECT_EQ(a, 30);
        EXPECT_EQ(b, 10);
        EXPECT_EQ(c, 20);
    };
    loop->run_until_complete(main());
    EXPECT_EQ(notes, "1 2 3 ");
    EXPECT_EQ(clock.seconds(), 3.0);
}

TEST_F(TimerTest, S033_seconds_may_be_a_number) {
    const auto sleeps = []() -> Coro<void> { co_await asyncio::sleep(0.125); };
    loop->run_until_complete(sleeps());
    EXPECT_EQ(clock.now(), TimePoint(125ms));
}

TEST_F(TimerTest, S034_cancelling_a_sleeping_task_cancels_its_timer) {
    const auto sleeps = []() -> Coro<void> { co_await asyncio::sleep(1h); };
    const auto task = loop->create_task(sleeps);
    iterate();
    EXPECT_TRUE(task.cancel());
    EXPECT_THROW(loop->run_until_complete(task), asyncio::CancelledError);
    // With no timer left, waiting for one is a deadlock instead of an hour.
    EXPECT_THROW(loop->run_forever(), asyncio::DeadlockError);
    EXPECT_EQ(clock.seconds(), 0.0);
}

TEST_F(TimerTest, S034_cancelled_when_the_timer_is_due_but_has_not_run) {
    const auto sleeps = []() -> Coro<void> { co_await asyncio::sleep(1s); };
    asyncio::Task<void> task;
    loop->call_at(TimePoint(1s), [&] { EXPECT_TRUE(task.cancel()); });
    task = loop->create_task(sleeps);
    EXPECT_THROW(loop->run_until_complete(task), asyncio::CancelledError);
}

TEST_F(TimerTest, S034_a_suspended_sleep_may_be_destroyed_with_its_loop) {
    const auto sleeps = []() -> Coro<void> { co_await asyncio::sleep(1h); };
    loop->create_task(sleeps);
    iterate();
    loop->close();
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(TimerTest, S035_not_a_number_is_no_delay) {
    const double nan = std::nan("");
    EXPECT_THROW(auto ignored = asyncio::sleep(nan), asyncio::ValueError);
    EXPECT_THROW(loop->call_later(std::chrono::duration<double>(nan), [] {}), asyncio::ValueError);
    const auto sleeps = [nan]() -> Coro<void> {
        co_await asyncio::sleep(std::chrono::duration<double>(nan), 1);
    };
    EXPECT_THROW(loop->run_until_complete(sleeps()), asyncio::ValueError);
}

// Each of them is a hundred years, and the clock counts less than three hundred.
TEST_F(TimerTest, S035_delays_that_lead_beyond_the_end_of_time_end_there) {
    std::string order;
    const auto sleeps = [&order](char name) -> Coro<void> {
        for (int i = 0; i < 4; ++i) {
            co_await asyncio::sleep(1e300);
            order += name;
        }
    };
    const auto a = loop->create_task(sleeps('a'));
    loop->run_until_complete(sleeps('b'));
    EXPECT_EQ(order, "abababab");
    loop->call_later(1e300, [&order] { order += 'c'; });
    EXPECT_EQ(clock.now(), TimePoint::max());
    EXPECT_THROW(loop->run_until_complete(asyncio::timeout(1e300, [&] { return sleeps('d'); })),
                 asyncio::TimeoutError);
}

}  // namespace
