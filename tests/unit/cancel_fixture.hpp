// What the tests of cancellation at every step share: a loop of their own in virtual time, and what
// every program must leave behind.
#pragma once

#include "loop_fixture.hpp"

#include <stdexcept>
#include <utility>
#include <vector>

constexpr int iterations_max = 10'000;

// Counts coroutines that are alive.
struct Alive {
    Alive() { ++count; }
    Alive(const Alive&) = delete;
    Alive& operator=(const Alive&) = delete;
    ~Alive() { --count; }

    static inline int count = 0;
};

// What coroutines fail with.
struct Boom : std::runtime_error {
    Boom() : std::runtime_error("boom") {}
};

// A loop for one run of a program.
class Trial {
public:
    Trial() : loop(make_virtual_loop(clock, reports)) {}

    // Runs one iteration. False when nothing is left that could run.
    bool step() const {
        if (asyncio::detail::LoopAccess::ready(*loop).empty() &&
            asyncio::detail::LoopAccess::timers(*loop).empty()) {
            return false;
        }
        loop->run_once();
        loop->check_invariants();
        return true;
    }

    void run_to_the_end() const {
        int iterations = 0;
        while (step()) {
            ASSERT_LT(++iterations, iterations_max) << "it never ends";
        }
    }

    void expect_nothing_left() {
        EXPECT_EQ(asyncio::all_tasks(*loop).size(), 0U);
        EXPECT_TRUE(asyncio::detail::LoopAccess::timers(*loop).empty());
        EXPECT_TRUE(asyncio::detail::LoopAccess::ready(*loop).empty());
        EXPECT_TRUE(asyncio::detail::LoopAccess::composites(*loop).empty())
            << "a gather or shield still listens";
        EXPECT_EQ(Alive::count, 0);
    }

    asyncio::testing::VirtualClock clock;
    std::vector<asyncio::ErrorContext> reports;
    asyncio::EventLoopPtr loop;
};

// Gives way a number of times.
inline asyncio::Coro<int> give_way(int times) {
    const Alive counted;
    for (int i = 0; i < times; ++i) {
        co_await asyncio::sleep(0);
    }
    co_return times;
}
