// Coroutines that are destroyed where they wait, while others go on: what a driver that is no Task
// can do at any time.
#include "foreign_fixture.hpp"

#include <memory>
#include <ostream>

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using foreign::Stepper;
using namespace std::chrono_literals;

class ForeignDestruction : public foreign::Fixture {
protected:
    // Destroys a coroutine that waits.
    void destroy_waiting(Coro<void> coro) {
        Stepper<void> stepper(loop(), std::move(coro));
        stepper.advance();
        turn(9);
        EXPECT_FALSE(stepper.ended);
    }
    // Runs a coroutine that does not wait.
    void at_once(Coro<void> coro) {
        Stepper<void> stepper(loop(), std::move(coro));
        stepper.advance();
        EXPECT_TRUE(stepper.ended);
    }
};

// ---- wake-ups

struct Primitives {
    asyncio::Queue<int> empty;
    asyncio::Queue<int> full = asyncio::Queue<int>(1);
    asyncio::Lock lock;
    asyncio::Event event;
    asyncio::Semaphore semaphore = asyncio::Semaphore(0);
    asyncio::Condition condition;
};

struct Waiting {
    const char* name;
    Coro<void> (*wait)(Primitives&);
    // Wakes one of those who wait.
    Coro<void> (*wake)(Primitives&);

    friend void PrintTo(const Waiting& all, std::ostream* out) { *out << all.name; }
};

const Waiting waits[] = {
    {.name = "get",
     .wait = [](Primitives& all) -> Coro<void> { co_await all.empty.get(); },
     .wake = [](Primitives& all) -> Coro<void> { co_await all.empty.put(1); }},
    {.name = "put",
     .wait = [](Primitives& all) -> Coro<void> { co_await all.full.put(1); },
     .wake = [](Primitives& all) -> Coro<void> { co_await all.full.get(); }},
    {.name = "lock",
     .wait = [](Primitives& all) -> Coro<void> { co_await all.lock.acquire(); },
     .wake = [](Primitives& all) -> Coro<void> {
         all.lock.release();
         co_return;
     }},
    {.name = "scoped_lock",
     .wait = [](Primitives& all) -> Coro<void> { const auto guard = co_await all.lock.scoped(); },
     .wake = [](Primitives& all) -> Coro<void> {
         all.lock.release();
         co_return;
     }},
    {.name = "event",
     .wait = [](Primitives& all) -> Coro<void> { co_await all.event.wait(); },
     .wake = [](Primitives& all) -> Coro<void> {
         all.event.set();
         co_return;
     }},
    {.name = "semaphore",
     .wait = [](Primitives& all) -> Coro<void> { co_await all.semaphore.acquire(); },
     .wake = [](Primitives& all) -> Coro<void> {
         all.semaphore.release();
         co_return;
     }},
    {.name = "condition",
     .wait = [](Primitives& all) -> Coro<void> {
         const auto guard = co_await all.condition.scoped();
         co_await all.condition.wait();
     },
     .wake = [](Primitives& all) -> Coro<void> {
         const auto guard = co_await all.condition.scoped();
         all.condition.notify();
     }},
};

class ForeignWaits : public ForeignDestruction, public ::testing::WithParamInterface<Waiting> {
protected:
    ForeignWaits() {
        at_once([](Primitives& all) -> Coro<void> {
            co_await all.full.put(1);
            co_await all.lock.acquire();
        }(primitives_));
    }
    Primitives primitives_;
};

TEST_P(ForeignWaits, a_wake_up_of_one_that_is_destroyed_goes_to_the_next) {
    auto first = std::make_unique<Stepper<void>>(loop(), GetParam().wait(primitives_));
    first->advance();
    const auto second = loop().create_task(GetParam().wait(primitives_));
    turn(2);
    at_once(GetParam().wake(primitives_));
    EXPECT_TRUE(first->scheduled());
    first.reset();
    loop().run_until_complete(second);  // which throws if nothing can wake it any more
}

TEST_P(ForeignWaits, one_that_is_destroyed_before_it_is_woken_leaves_the_line) {
    destroy_waiting(GetParam().wait(primitives_));
    const auto second = loop().create_task(GetParam().wait(primitives_));
    turn(2);
    EXPECT_FALSE(second.done());
    at_once(GetParam().wake(primitives_));
    loop().run_until_complete(second);
}

INSTANTIATE_TEST_SUITE_P(All, ForeignWaits, ::testing::ValuesIn(waits),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(ForeignDestruction, one_that_was_notified_and_waits_for_the_lock_passes_both_on) {
    asyncio::Condition condition;
    const auto wait = [&]() -> Coro<void> {
        const auto guard = co_await condition.scoped();
        co_await condition.wait();
    };
    auto first = std::make_unique<Stepper<void>>(loop(), wait());
    first->advance();
    const auto second = loop().create_task(wait);
    turn(2);
    at_once([](auto& given) -> Coro<void> {
        co_await given.acquire();
        given.notify();
    }(condition));
    turn();
    condition.release();
    EXPECT_TRUE(first->scheduled());
    first.reset();
    loop().run_until_complete(second);
}

TEST_F(ForeignDestruction, the_last_one_to_leave_a_barrier_lets_those_in_who_wait) {
    asyncio::Barrier barrier(2);
    const auto pass = [&]() -> Coro<void> { co_await barrier.wait(); };
    auto slow = std::make_unique<Stepper<void>>(loop(), pass());
    slow->on_turn = [] {};
    slow->advance();
    loop().run_until_complete(loop().create_task(pass));
    const auto next = loop().create_task(pass);  // while the barrier drains
    turn(2);
    slow.reset();
    turn(2);
    EXPECT_EQ(barrier.n_waiting(), 1U);
    loop().run_until_complete(loop().create_task(pass));
    loop().run_until_complete(next);
}

// ---- scopes

TEST_F(ForeignDestruction, a_deadline_ends_with_its_coroutine) {
    asyncio::Timeout scope(1s);
    destroy_waiting(asyncio::timeout(scope, [] { return asyncio::sleep(1h); }));
    loop().run_until_complete(asyncio::sleep(2s));
    EXPECT_EQ(repr(scope), "<Timeout [finished]>");
    EXPECT_TRUE(reports_.empty());
}

TEST_F(ForeignDestruction, a_task_group_cancels_its_children_with_its_coroutine) {
    asyncio::TaskGroup group;
    destroy_waiting(asyncio::task_group(group, [this](asyncio::TaskGroup& tasks) -> Coro<void> {
        tasks.create_task([this]() -> Coro<void> {
            try {
                co_await asyncio::sleep(1s);
            } catch (const CancelledError&) {
                log_.push_back("cancelled");
                throw;
            }
        });
        tasks.create_task([]() -> Coro<void> {
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
            }
            throw asyncio::ValueError("nobody is interrupted by this");
        });
        co_await asyncio::sleep(1h);
    }));
    turn(3);
    EXPECT_EQ(log_, std::vector<std::string>{"cancelled"});
    EXPECT_EQ(reports_.size(), 1U);
    EXPECT_THROW(group.create_task(asyncio::sleep(1s)), asyncio::RuntimeError);
}

TEST_F(ForeignDestruction, a_race_cancels_its_attempts_with_its_coroutine) {
    std::vector<std::function<Coro<int>()>> attempts(2, [this]() -> Coro<int> {
        try {
            co_await asyncio::sleep(3s);
        } catch (const CancelledError&) {
            log_.push_back("cancelled");
        }
        co_return 1;
    });
    destroy_waiting([](auto all) -> Coro<void> {
        co_await asyncio::staggered_race(std::move(all), 0s);
    }(std::move(attempts)));
    loop().run_until_complete(asyncio::sleep(9s));
    EXPECT_EQ(log_, std::vector<std::string>(2, "cancelled"));
    EXPECT_TRUE(reports_.empty());
}

}  // namespace
