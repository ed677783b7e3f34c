// Waiting without falling asleep, where that is worth it, and pools and loops that wait.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include "base/processors.hpp"
#include "base/spinner.hpp"
#include "sanitizers.hpp"
#include "thread_states.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <latch>
#include <map>
#include <random>
#include <semaphore>
#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;
using asyncio::ThreadPoolExecutor;
using asyncio::detail::Spinner;
using thread_states::await_sleep;
using thread_states::Path;
using thread_states::threads_of;
using thread_states::times_of;

// How often it looks at something that does not come; 0 if it thinks that it is not worth it.
int looks_in_vain(Spinner& spinner, std::size_t busy = 0) {
    int looks = 0;
    const auto is_there = [&] {
        ++looks;
        return false;
    };
    EXPECT_FALSE(spinner.is_worth_it() && spinner.spin(is_there, busy));
    return looks;
}

class Spinning : public ::testing::Test {
protected:
    void SetUp() override {
        if (asyncio::detail::usable_processors() < 2) {
            GTEST_SKIP() << "nobody spins where there is one processor";
        }
    }
};

TEST_F(Spinning, what_is_there_is_seen_by_the_first_look) {
    Spinner spinner;
    int looks = 0;
    const auto is_there = [&] {
        ++looks;
        return true;
    };
    EXPECT_TRUE(spinner.spin(is_there, 0));
    EXPECT_EQ(looks, 1);
}

TEST_F(Spinning, after_each_time_in_vain_more_times_are_left_out) {
    Spinner spinner;
    std::vector<int> left_out;
    for (int spins = 0; spins < 5; ++spins) {
        int count = 0;
        while (looks_in_vain(spinner) == 0) {
            ++count;
        }
        left_out.push_back(count);
    }
    EXPECT_EQ(left_out, (std::vector{0, 1, 3, 7, 15}));
}

TEST_F(Spinning, what_comes_in_time_makes_it_spin_again) {
    Spinner spinner;
    EXPECT_GT(looks_in_vain(spinner), 1);
    EXPECT_EQ(looks_in_vain(spinner), 0);
    EXPECT_TRUE(spinner.is_worth_it());
    EXPECT_TRUE(spinner.spin([] { return true; }, 0));
    EXPECT_GT(looks_in_vain(spinner), 1);
}

TEST_F(Spinning, nobody_spins_while_others_need_all_processors) {
    Spinner spinner;
    EXPECT_EQ(looks_in_vain(spinner, asyncio::detail::usable_processors()), 1);
    EXPECT_EQ(looks_in_vain(spinner), 0);
}

TEST_F(Spinning, no_more_threads_spin_than_there_are_processors) {
    Spinner spinners[2];
    const std::size_t others = asyncio::detail::usable_processors() - 1;
    const auto look = [&] {
        EXPECT_EQ(looks_in_vain(spinners[1], others), 1);
        return true;
    };
    EXPECT_TRUE(spinners[0].spin(look, 0));
}

// ---- pools

int identity(int value) { return value; }

Coro<void> count_to(ThreadPoolExecutor& pool, int last, unsigned seed) {
    std::minstd_rand random(seed);
    for (int i = 0; i < last; ++i) {
        EXPECT_EQ(co_await run_in_executor(pool, identity, i), i);
        if (random() % 16 == 0) {  // so that everybody falls asleep now and then
            co_await asyncio::sleep(std::chrono::microseconds(random() % 100));
        }
    }
}

TEST(PoolsOfSpinners, no_call_and_no_result_is_missed) {
    ThreadPoolExecutor pool(2);
    std::vector<std::thread> loops;
    for (unsigned seed = 1; seed <= 3; ++seed) {
        loops.emplace_back([&pool, seed] { asyncio::run(count_to(pool, 2000, seed)); });
    }
    for (std::thread& loop : loops) {
        loop.join();
    }
}

TEST(PoolsOfSpinners, a_loop_that_waits_for_short_calls_sees_its_descriptors) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ThreadPoolExecutor pool(1);
    asyncio::run([](ThreadPoolExecutor& threads, int reader, int writer) -> Coro<void> {
        bool is_readable = false;
        asyncio::get_running_loop().add_reader(reader, [&is_readable] { is_readable = true; });
        for (int i = 0; i < 10; ++i) {
            co_await run_in_executor(threads, identity, i);
        }
        EXPECT_EQ(::write(writer, "", 1), 1);
        while (!is_readable) {
            co_await run_in_executor(threads, identity, 1);
        }
        asyncio::get_running_loop().remove_reader(reader);
    }(pool, ends[0], ends[1]));
    ::close(ends[0]);
    ::close(ends[1]);
}

// ---- what waits

TEST(PoolsOfSpinners, a_loop_on_a_virtual_clock_is_woken_once_no_call_is_under_way) {
    asyncio::testing::VirtualClock clock;
    const auto loop = asyncio::new_event_loop({.clock = &clock});
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    loop->add_reader(ends[0], [&loop] { loop->stop(); });  // so it waits for that, or for a thread
    ThreadPoolExecutor pool(1);
    const Path own = "/proc/self/task/" + std::to_string(::gettid());
    const auto task = loop->create_task([](ThreadPoolExecutor& threads, Path thread) -> Coro<void> {
        co_await run_in_executor(threads, await_sleep, thread);
    }(pool, own));
    std::binary_semaphore woken(0);
    std::thread other;
    task.add_done_callback([&] {
        other = std::thread([&] {
            await_sleep(own);
            loop->call_soon_threadsafe([&woken] { woken.release(); });
            EXPECT_TRUE(woken.try_acquire_for(10s)) << "the loop sleeps on";
            EXPECT_EQ(::write(ends[1], "", 1), 1);
        });
    });
    loop->run_forever();
    other.join();
    loop->close();
    ::close(ends[0]);
    ::close(ends[1]);
}

// There comes a time when none of them runs for 200 ms. It need not be now: one that sleeps may be
// waiting for a mutex, whose owner has lost its processor, and then it runs once more.
void expect_rest(const std::vector<Path>& threads) {
    std::map<Path, std::string> before;
    std::map<Path, std::string> after;
    for (int tries = 0; tries < 20 && (tries == 0 || after != before); ++tries) {
        std::ranges::for_each(threads, await_sleep);
        before = times_of(threads);
        std::this_thread::sleep_for(200ms);
        after = times_of(threads);
    }
    EXPECT_EQ(after, before);
}

// Nothing runs in them that the tests have not started.
class WhatWaits : public ::testing::Test {
protected:
    void SetUp() override {
        if (built_with_tsan) {
            GTEST_SKIP() << "the sanitizer has a thread, which runs now and then";
        }
    }
};

TEST_F(WhatWaits, idle_pools_do_not_run_at_all) {
    ProcessPoolExecutor processes(2);
    ThreadPoolExecutor threads(2);
    asyncio::run([](ProcessPoolExecutor& far, ThreadPoolExecutor& near) -> Coro<void> {
        for (int i = 0; i < 100; ++i) {
            co_await asyncio::gather(run_in_executor(near, identity, i),
                                     run_in_executor(near, identity, i));
            co_await run_in_executor(far, function<&identity>, i);
        }
        while (far.processes().empty()) {  // results may be here before the number of the process
            co_await asyncio::sleep(0);
        }
    }(processes, threads));
    std::vector<Path> waiting = threads_of("self");
    for (const int process : processes.processes()) {
        const std::vector<Path> more = threads_of(std::to_string(process));
        waiting.insert(waiting.end(), more.begin(), more.end());
    }
    ASSERT_GE(waiting.size(), 3U);
    expect_rest(waiting);
}

TEST_F(WhatWaits, a_loop_does_not_run_while_a_call_takes_long) {
    ThreadPoolExecutor pool(1);
    std::latch begun(1);
    std::latch released(1);
    std::thread loop([&] {
        const auto take_long = [&] {
            begun.count_down();
            released.wait();
        };
        asyncio::run([](ThreadPoolExecutor& threads, auto last) -> Coro<void> {
            for (int i = 0; i < 100; ++i) {
                co_await run_in_executor(threads, identity, i);
            }
            co_await run_in_executor(threads, last);
        }(pool, take_long));
    });
    begun.wait();
    const std::vector<Path> waiting = threads_of("self");
    EXPECT_EQ(waiting.size(), 2U);
    expect_rest(waiting);
    released.count_down();
    loop.join();
}

}  // namespace
