// Locks, events, conditions, semaphores and barriers while tasks that use them are cancelled at
// every step.
#include "cancel_scenarios.hpp"

#include <exception>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Duration;

// How many are in a section at a time.
class Section {
public:
    explicit Section(int permitted) : permitted_(permitted) {}
    void enter() {
        ++inside_;
        EXPECT_LE(inside_, permitted_) << "more are inside than may be";
    }
    void leave() { --inside_; }

private:
    int permitted_;
    int inside_ = 0;
};

struct Inside {
    explicit Inside(Section& entered) : section(entered) { section.enter(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { section.leave(); }
    Section& section;
};

template <class Statistics>
void expect_free(const Statistics& lock) {
    EXPECT_FALSE(lock.locked);
    EXPECT_EQ(lock.tasks_waiting, 0U);
}

// ---- Lock

class LockScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(hold(1));
        made.push_back(hold(0));
        made.push_back(hold(2));
        made.push_back(hold_again_soon());
        made.push_back(hold_before(1s));
        return made;
    }
    void expect_conserved() override { expect_free(lock_.statistics()); }

private:
    Coro<void> hold(int turns) {
        const Alive counted;
        const MarkAtEnd after(*this);
        const auto guard = co_await lock_.scoped();
        const MarkAtEnd before(*this);
        const Inside inside(section_);
        co_await give_way(turns);
    }
    Coro<void> hold_again_soon() {
        const Alive counted;
        co_await hold(0);
        co_await hold(1);
    }
    // The wait may be interrupted by its deadline, too.
    Coro<void> hold_before(Duration limit) {
        const Alive counted;
        auto sleeper = asyncio::create_task([this]() -> Coro<void> {
            const auto guard = co_await lock_.scoped();
            const Inside inside(section_);
            co_await asyncio::sleep(2s);
        });
        try {
            co_await asyncio::timeout(limit, [this]() -> Coro<void> {
                co_await give_way(1);
                co_await hold(1);
            });
        } catch (const asyncio::TimeoutError&) {
        }
        co_await sleeper;
    }

    asyncio::Lock lock_;
    Section section_{1};
};

// ---- Event

class EventScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(wait_often(1));
        made.push_back(wait_often(2));
        made.push_back(set_twice());
        made.push_back(wait_often(3));
        return made;
    }
    void expect_nobody_forgotten(std::size_t tasks_left) override {
        EXPECT_EQ(tasks_left, event_.statistics().tasks_waiting);
        EXPECT_TRUE(tasks_left == 0 || !event_.is_set()) << "somebody was not woken";
    }
    Coro<void> dismiss() override {
        event_.set();
        co_return;
    }
    void expect_conserved() override { EXPECT_EQ(event_.statistics().tasks_waiting, 0U); }

private:
    Coro<void> wait_often(int times) {
        const Alive counted;
        for (; times > 0; --times) {
            co_await event_.wait();
            co_await give_way(1);
        }
    }
    Coro<void> set_twice() {
        const Alive counted;
        co_await asyncio::sleep(1s);
        mark();
        event_.set();
        EXPECT_EQ(event_.statistics().tasks_waiting, 0U) << "set wakes everybody at once";
        event_.clear();
        mark();
        co_await asyncio::sleep(1s);
        event_.set();
        mark();
    }

    asyncio::Event event_;
};

// ---- Condition

// Items that are made and used under a lock, which others contend for.
class ConditionScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        // More than there are items, so that a lost notification is missed.
        made.push_back(use());
        made.push_back(use_before(3s));
        made.push_back(use());
        made.push_back(use());
        made.push_back(use());
        made.push_back(make(1, 1s));
        made.push_back(make(2, 1s));
        made.push_back(hold_the_lock(1s));
        return made;
    }
    void expect_nobody_forgotten(std::size_t tasks_left) override {
        EXPECT_EQ(tasks_left, condition_.statistics().tasks_waiting);
        EXPECT_TRUE(items_ == 0 || tasks_left == 0) << "a notification was lost";
    }
    Coro<void> dismiss() override {
        const auto guard = co_await lock_.scoped();
        closed_ = true;
        condition_.notify_all();
    }
    void expect_conserved() override {
        expect_free(condition_.statistics().lock);
        EXPECT_EQ(condition_.statistics().tasks_waiting, 0U);
        EXPECT_EQ(made_, used_ + items_);
    }

private:
    Coro<void> use() {
        const Alive counted;
        const auto guard = co_await condition_.scoped();
        std::optional<Inside> inside(section_);
        while (items_ == 0 && !closed_) {
            inside.reset();
            std::exception_ptr error;
            try {
                co_await condition_.wait();
            } catch (...) {
                error = std::current_exception();
            }
            inside.emplace(section_);  // the lock is held again, also after an error
            if (error != nullptr) {
                std::rethrow_exception(error);
            }
        }
        if (items_ > 0) {
            --items_;
            ++used_;
        }
        mark();
    }
    Coro<void> use_before(Duration limit) {
        const Alive counted;
        try {
            co_await asyncio::timeout(limit, [this]() -> Coro<void> {
                const auto guard = co_await condition_.scoped();
                co_await condition_.wait_for([this] { return items_ > 0; });
                --items_;
                ++used_;
            });
        } catch (const asyncio::TimeoutError&) {
        }
    }
    Coro<void> make(int items, Duration delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        const MarkAtEnd after(*this);
        const auto guard = co_await lock_.scoped();
        const MarkAtEnd before(*this);
        const Inside inside(section_);
        items_ += items;
        made_ += items;
        mark();
        condition_.notify(static_cast<std::size_t>(items));
        mark();
        co_await give_way(2);
    }
    Coro<void> hold_the_lock(Duration delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        const auto guard = co_await lock_.scoped();
        const Inside inside(section_);
        co_await give_way(3);
    }

    asyncio::Lock lock_;
    asyncio::Condition condition_{lock_};
    Section section_{1};
    int items_ = 0;
    int made_ = 0;
    int used_ = 0;
    bool closed_ = false;
};

// ---- Semaphore

template <class S>
class SemaphoreScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (const int turns : {1, 1, 0, 2, 1}) {
            made.push_back(hold(turns));
        }
        made.push_back(hold_before(1s));
        return made;
    }
    void expect_conserved() override {
        EXPECT_EQ(semaphore_.statistics().value, permits);
        EXPECT_EQ(semaphore_.statistics().tasks_waiting, 0U);
        EXPECT_FALSE(semaphore_.locked());
    }

private:
    static constexpr std::size_t permits = 2;

    Coro<void> hold(int turns) {
        const Alive counted;
        co_await semaphore_.acquire();
        struct Release {
            explicit Release(SemaphoreScenario& scenario) : scenario(scenario) {}
            Release(const Release&) = delete;
            Release& operator=(const Release&) = delete;
            ~Release() {
                scenario.section_.leave();
                scenario.mark();
                EXPECT_NO_THROW(scenario.semaphore_.release());
                scenario.mark();
            }
            SemaphoreScenario& scenario;
        } const release(*this);
        section_.enter();
        co_await give_way(turns);
    }
    Coro<void> hold_before(Duration limit) {
        const Alive counted;
        co_await give_way(1);
        try {
            co_await asyncio::timeout(limit, [this]() -> Coro<void> {
                const auto permit = co_await semaphore_.scoped();
                const Inside inside(section_);
                co_await asyncio::sleep(2s);
            });
        } catch (const asyncio::TimeoutError&) {
        }
        co_await hold(0);
    }

    S semaphore_{permits};
    Section section_{permits};
};

// Permits that come several at a time: to those in line, and to those who come before the first of
// them has resumed.
class PermitsScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(take(0s));
        made.push_back(take(0s));
        made.push_back(give(3));
        made.push_back(take(1s));
        made.push_back(take(1s));
        made.push_back(give(1));
        made.push_back(take(1s));
        return made;
    }
    void expect_nobody_forgotten(std::size_t tasks_left) override {
        EXPECT_EQ(tasks_left, semaphore_.statistics().tasks_waiting);
        EXPECT_TRUE(tasks_left == 0 || semaphore_.statistics().value == 0) << "a permit is idle";
    }
    Coro<void> dismiss() override {
        for (std::size_t i = semaphore_.statistics().tasks_waiting; i > 0; --i) {
            release();
        }
        co_return;
    }
    void expect_conserved() override {
        EXPECT_EQ(semaphore_.statistics().value + taken_, given_);
        EXPECT_EQ(semaphore_.statistics().tasks_waiting, 0U);
    }

private:
    Coro<void> take(Duration delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        co_await semaphore_.acquire();
        ++taken_;
        mark();
    }
    Coro<void> give(int count) {
        const Alive counted;
        co_await asyncio::sleep(1s);
        for (; count > 0; --count) {
            mark();
            release();
            mark();
        }
    }
    void release() {
        semaphore_.release();
        ++given_;
    }

    asyncio::Semaphore semaphore_{0};
    std::size_t given_ = 0;
    std::size_t taken_ = 0;
};

// ---- Barrier

class BarrierScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (const auto delay : {0s, 1s, 1s, 1s, 1s, 2s, 2s}) {
            made.push_back(pass(delay));
        }
        return made;
    }
    void expect_nobody_forgotten(std::size_t tasks_left) override {
        EXPECT_EQ(tasks_left, barrier_.n_waiting());
        EXPECT_LT(tasks_left, barrier_.parties());
    }
    Coro<void> dismiss() override { co_await barrier_.abort(); }
    void expect_conserved() override { EXPECT_EQ(barrier_.n_waiting(), 0U); }

protected:
    Coro<void> pass(Duration delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        try {
            mark();
            const std::size_t index = co_await barrier_.wait();
            EXPECT_LT(index, barrier_.parties());
        } catch (const asyncio::BrokenBarrierError&) {
        }
        mark();
    }

    asyncio::Barrier barrier_{3};
};

class BarrierResetScenario : public BarrierScenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(reset());  // while two wait
        for (const auto delay : {0s, 0s, 1s, 1s, 1s, 2s}) {
            made.push_back(pass(delay));
        }
        made.push_back(reset());  // while others leave
        return made;
    }

private:
    Coro<void> reset() {
        const Alive counted;
        co_await asyncio::sleep(1s);
        mark();
        co_await barrier_.reset();
        mark();
    }
};

class CancelLocks : public CancelScenarios {};

TEST_P(CancelLocks, whoever_is_cancelled_at_any_moment_nothing_is_lost) {
    cancel_everybody_everywhere();
}

TEST_P(CancelLocks, the_loop_closed_at_any_step_leaves_nothing) { abandon_everywhere(); }

INSTANTIATE_TEST_SUITE_P(
    Scenarios, CancelLocks,
    ::testing::Values(NamedScenario{"Lock", make_scenario<LockScenario>},
                      NamedScenario{"Event", make_scenario<EventScenario>},
                      NamedScenario{"Condition", make_scenario<ConditionScenario>},
                      NamedScenario{"Semaphore",
                                    make_scenario<SemaphoreScenario<asyncio::Semaphore>>},
                      NamedScenario{"BoundedSemaphore",
                                    make_scenario<SemaphoreScenario<asyncio::BoundedSemaphore>>},
                      NamedScenario{"Permits", make_scenario<PermitsScenario>},
                      NamedScenario{"Barrier", make_scenario<BarrierScenario>},
                      NamedScenario{"BarrierReset", make_scenario<BarrierResetScenario>}),
    name_of_scenario);

}  // namespace
