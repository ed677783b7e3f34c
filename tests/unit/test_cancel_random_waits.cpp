// Random programs that share locks, queues and the like, with deadlines, groups and tasks that wait
// for each other, while random tasks are cancelled at random moments.
#include "cancel_fixture.hpp"
#include "random_seed.hpp"

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Duration;
using asyncio::Task;

// What the tasks of a program share, and what they do with it.
//
// Whoever holds a lock or a permit gives it back in finite time, so at the end only those may wait
// whose item, notification or event never came.
class World {
public:
    World(asyncio::EventLoop& loop, std::mt19937_64& random) : loop_(loop), random_(random) {}

    int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

    // A few random operations, one after the other.
    Coro<void> act(int depth) {
        const Alive counted;
        for (int i = pick(3); i >= 0; --i) {
            if (depth > 0 && pick(2) == 0) {
                co_await combine(depth - 1);
            } else {
                co_await operate();
            }
            maybe_cancel();
        }
    }

    // At a random moment: a random task, perhaps the one that runs.
    void maybe_cancel() {
        if (!may_cancel_ || pick(8) != 0) {
            return;
        }
        const std::vector<asyncio::AnyTask> tasks = asyncio::all_tasks(loop_);
        if (!tasks.empty()) {
            const auto& task =
                tasks[static_cast<std::size_t>(pick(static_cast<int>(tasks.size())))];
            EXPECT_TRUE(task.cancel());
            if (pick(5) == 0) {
                task.uncancel();
            }
        }
    }

    // Nothing can run any more.
    void expect_nobody_forgotten() const {
        const asyncio::QueueStatistics queue = queue_.statistics();
        EXPECT_TRUE(queue.getters_waiting == 0 || queue.size == 0) << "a getter was not woken";
        EXPECT_TRUE(queue.putters_waiting == 0 || queue_.full()) << "a putter was not woken";
        EXPECT_TRUE(condition_.statistics().tasks_waiting == 0 || items_ == 0)
            << "a notification was lost";
        EXPECT_TRUE(event_.statistics().tasks_waiting == 0 || !event_.is_set());
        expect_free();
    }

    Coro<void> dismiss() {
        const Alive counted;
        may_cancel_ = false;
        queue_.shutdown();
        event_.set();
        event_is_final_ = true;
        const auto guard = co_await condition_.scoped();
        closed_ = true;
        condition_.notify_all();
    }

    void expect_conserved() const {
        expect_free();
        EXPECT_EQ(put_, got_ + static_cast<int>(queue_.qsize()));
        EXPECT_EQ(queue_.statistics().getters_waiting + queue_.statistics().putters_waiting, 0U);
        EXPECT_EQ(made_, used_ + items_);
        EXPECT_EQ(condition_.statistics().tasks_waiting, 0U);
        EXPECT_EQ(event_.statistics().tasks_waiting, 0U);
    }

private:
    Duration delay() { return std::chrono::seconds(pick(3)); }

    void expect_free() const {
        EXPECT_FALSE(lock_.locked());
        EXPECT_FALSE(condition_.locked());
        EXPECT_EQ(lock_.statistics().tasks_waiting, 0U);
        EXPECT_EQ(semaphore_.statistics().tasks_waiting, 0U);
        EXPECT_EQ(semaphore_.statistics().value, 2U);
    }

    Coro<void> operate() {
        switch (pick(8)) {
        case 0:
            return hold(lock_);
        case 1:
            return hold(semaphore_);
        case 2:
            return put();
        case 3:
            return get();
        case 4:
            return make();
        case 5:
            return use();
        case 6:
            return wait_for_event();
        default:
            return set_event();
        }
    }
    Coro<void> combine(int depth) {
        switch (pick(6)) {
        case 0:
            return limit(depth);
        case 1:
            return act_as_task(depth);
        case 2:
            return group(depth);
        case 3:
            return failing_group(depth);
        case 4:
            return wait_for_some(depth);
        default:
            return one_after_the_other(depth);
        }
    }

    template <class Primitive>
    Coro<void> hold(Primitive& primitive) {
        const Alive counted;
        const auto guard = co_await primitive.scoped();
        maybe_cancel();
        co_await asyncio::sleep(delay());
    }
    Coro<void> put() {
        const Alive counted;
        try {
            co_await queue_.put(put_);
            ++put_;
        } catch (const asyncio::QueueShutDown&) {
        }
    }
    Coro<void> get() {
        const Alive counted;
        try {
            co_await queue_.get();
            ++got_;
        } catch (const asyncio::QueueShutDown&) {
        }
    }
    Coro<void> make() {
        const Alive counted;
        const auto guard = co_await condition_.scoped();
        ++items_;
        ++made_;
        condition_.notify();
        maybe_cancel();
        co_await asyncio::sleep(delay());
    }
    Coro<void> use() {
        const Alive counted;
        const auto guard = co_await condition_.scoped();
        co_await condition_.wait_for([this] { return items_ > 0 || closed_; });
        if (items_ > 0) {
            --items_;
            ++used_;
        }
    }
    Coro<void> wait_for_event() {
        const Alive counted;
        co_await event_.wait();
    }
    Coro<void> set_event() {
        const Alive counted;
        co_await asyncio::sleep(delay());
        event_.set();
        maybe_cancel();
        if (!event_is_final_) {
            event_.clear();
        }
    }

    Coro<void> limit(int depth) {
        const Alive counted;
        try {
            co_await asyncio::timeout(delay(), [this, depth] { return act(depth); });
        } catch (const asyncio::TimeoutError&) {
        }
    }
    Coro<void> act_as_task(int depth) {
        const Alive counted;
        const Task<void> task = asyncio::create_task([this, depth] { return act(depth); });
        try {
            co_await asyncio::wait_for(task, delay());
        } catch (const asyncio::TimeoutError&) {
        }
    }
    Coro<void> group(int depth) {
        const Alive counted;
        co_await asyncio::task_group([this, depth](asyncio::TaskGroup& group) -> Coro<void> {
            group.create_task([this, depth] { return act(depth); });
            group.create_task([this, depth] { return act(depth); });
            co_await asyncio::sleep(delay());
            if (pick(3) == 0) {
                group.cancel();
            }
        });
    }
    Coro<void> failing_group(int depth) {
        const Alive counted;
        try {
            co_await asyncio::task_group([this, depth](asyncio::TaskGroup& group) -> Coro<void> {
                group.create_task([this, depth] { return act(depth); });
                co_await asyncio::sleep(delay());
                throw Boom();
            });
        } catch (const asyncio::ExceptionGroup&) {
        }
    }
    std::vector<Task<void>> tasks(int depth) {
        std::vector<Task<void>> made;
        for (int i = pick(2); i >= 0; --i) {
            made.push_back(asyncio::create_task([this, depth] { return act(depth); }));
        }
        return made;
    }
    Coro<void> wait_for_some(int depth) {
        const Alive counted;
        asyncio::WaitOptions options;
        options.return_when = static_cast<asyncio::ReturnWhen>(pick(3));
        options.timeout = delay();
        co_await asyncio::wait(tasks(depth), options);
    }
    Coro<void> one_after_the_other(int depth) {
        const Alive counted;
        auto completions = asyncio::as_completed(tasks(depth), delay());
        try {
            while (co_await completions.next()) {
                maybe_cancel();
            }
        } catch (const asyncio::TimeoutError&) {
        }
    }

    asyncio::EventLoop& loop_;
    std::mt19937_64& random_;
    asyncio::Lock lock_;
    asyncio::Semaphore semaphore_{2};
    asyncio::Queue<int> queue_{2};
    asyncio::Condition condition_;
    asyncio::Event event_;
    int put_ = 0;
    int got_ = 0;
    int items_ = 0;
    int made_ = 0;
    int used_ = 0;
    bool closed_ = false;
    bool event_is_final_ = false;
    bool may_cancel_ = true;
};

// A program that has begun; the tasks refer to the world, which the loop must not outlive.
struct Program {
    explicit Program(std::mt19937_64& random) : world(*trial.loop, random) {
        trial.loop->set_debug(world.pick(4) == 0);
        if (world.pick(3) == 0) {
            trial.loop->set_task_factory(asyncio::eager_task_factory);
        }
        for (int i = world.pick(5); i >= 0; --i) {
            trial.loop->create_task([this] { return world.act(2); });
        }
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() { trial.loop->close(); }

    Trial trial;
    World world;
};

void run_to_the_end(std::mt19937_64& random) {
    Program program(random);
    const Trial& trial = program.trial;
    for (int i = 0; trial.step(); ++i) {
        ASSERT_LT(i, iterations_max) << "it never ends";
        program.world.maybe_cancel();
    }
    program.world.expect_nobody_forgotten();
    trial.loop->create_task([&program] { return program.world.dismiss(); });
    trial.run_to_the_end();
    program.world.expect_conserved();
    program.trial.expect_nothing_left();
    for (const asyncio::ErrorContext& report : trial.reports) {
        ADD_FAILURE() << "reported: " << report.message;
    }
}

void abandon(std::mt19937_64& random) {
    Program program(random);
    for (int steps = program.world.pick(20); steps > 0 && program.trial.step(); --steps) {
        program.world.maybe_cancel();
    }
    program.trial.loop->close();
    program.world.expect_conserved();
    program.trial.expect_nothing_left();
}

template <class Run>
void repeat(Run run) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    for (int i = 0; i < 1000 && !::testing::Test::HasFailure(); ++i) {
        SCOPED_TRACE("program " + std::to_string(i));
        run(random);
    }
}

TEST(CancelRandomWaits, random_programs_end_and_lose_nothing) { repeat(run_to_the_end); }

TEST(CancelRandomWaits, random_programs_can_be_abandoned_at_any_time) { repeat(abandon); }

}  // namespace
