// Cancels random programs of sleeps, tasks, gathers and shields at random steps, and checks that
// nothing is lost or left behind.
#include "cancel_fixture.hpp"
#include "random_seed.hpp"

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Future;
using asyncio::Task;

// Builds coroutines at random: trees of sleeps, tasks, gathers and shields.
class Builder {
public:
    Builder(EventLoop& loop, std::mt19937_64& random) : loop_(loop), random_(random) {}

    // Returns the coroutine of a random tree with at most `depth` levels.
    Coro<int> tree(int depth) {
        const int kind = pick(depth == 0 ? 4 : 10);
        switch (kind) {
        case 0:
            return sleep_for(std::chrono::seconds(pick(4)));
        case 1:
            return give_way(pick(4));
        case 2:
            return await_shared(pick_shared());
        case 3:
            return fail_guarded(std::chrono::seconds(pick(3)));
        case 4:
            return await_coroutine(tree(depth - 1));
        case 5:
            return await_as_task(tree(depth - 1));
        case 6:
            return await_gather(trees(depth - 1));
        case 7:
            return await_outcomes(trees(depth - 1));
        case 8:
            return await_shield(tree(depth - 1));
        default:
            return swallow_once(tree(depth - 1));
        }
    }

    int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

private:
    static Coro<int> sleep_for(std::chrono::seconds delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        co_return 1;
    }
    static Coro<int> await_shared(Future<int> future) {
        const Alive counted;
        co_return co_await future;
    }
    static Coro<int> fail_guarded(std::chrono::seconds delay) {
        const Alive counted;
        try {
            co_await asyncio::sleep(delay);
            throw Boom();
        } catch (const Boom&) {
        }
        co_return 0;
    }
    static Coro<int> await_coroutine(Coro<int> child) {
        const Alive counted;
        co_return co_await std::move(child);
    }
    static Coro<int> await_as_task(Coro<int> child) {
        const Alive counted;
        const Task<int> task = asyncio::create_task(std::move(child));
        co_await asyncio::sleep(0s);
        co_return co_await task;
    }
    static Coro<int> await_gather(std::vector<Coro<int>> children) {
        const Alive counted;
        const std::vector<int> results = co_await asyncio::gather(children);
        co_return static_cast<int>(results.size());
    }
    static Coro<int> await_outcomes(std::vector<Coro<int>> children) {
        const Alive counted;
        const auto results = co_await asyncio::gather(asyncio::return_exceptions, children);
        co_return static_cast<int>(results.size());
    }
    static Coro<int> await_shield(Coro<int> child) {
        const Alive counted;
        co_return co_await asyncio::shield(std::move(child));
    }
    static Coro<int> swallow_once(Coro<int> child) {
        const Alive counted;
        try {
            co_return co_await std::move(child);
        } catch (const CancelledError&) {
        }
        co_await asyncio::sleep(1s);
        co_return 0;
    }

    std::vector<Coro<int>> trees(int depth) {
        std::vector<Coro<int>> result;
        for (int i = pick(4); i >= 0; --i) {
            result.push_back(tree(depth));
        }
        return result;
    }

    // A future that several coroutines may wait for.
    Future<int> pick_shared() {
        if (shared_.empty() || pick(2) == 0) {
            const Future<int> future = loop_.create_future<int>();
            loop_.call_later(std::chrono::seconds(pick(5)), [future] {
                if (!future.done()) {
                    future.set_result(1);
                }
            });
            shared_.push_back(future);
        }
        return shared_[static_cast<std::size_t>(pick(static_cast<int>(shared_.size())))];
    }

    EventLoop& loop_;
    std::mt19937_64& random_;
    std::vector<Future<int>> shared_;
};

void run_random_program(std::mt19937_64& random) {
    Trial trial;
    Builder builder(*trial.loop, random);
    trial.loop->set_debug(builder.pick(4) == 0);
    if (builder.pick(3) == 0) {
        trial.loop->set_task_factory(asyncio::eager_task_factory);
    }
    for (int i = builder.pick(3); i >= 0; --i) {
        trial.loop->create_task(builder.tree(4));
    }
    int iterations = 0;
    while (trial.step()) {
        ASSERT_LT(++iterations, iterations_max);
        const auto tasks = asyncio::all_tasks(*trial.loop);
        if (tasks.empty() || builder.pick(3) != 0) {
            continue;
        }
        const auto& task =
            tasks[static_cast<std::size_t>(builder.pick(static_cast<int>(tasks.size())))];
        const int before = task.cancelling();
        EXPECT_TRUE(task.cancel());
        // More often than once if it is reached by several ways.
        EXPECT_GT(task.cancelling(), before);
        if (builder.pick(5) == 0) {
            EXPECT_EQ(task.uncancel(), task.cancelling());
        }
    }
    trial.expect_nothing_left();
    // Errors are caught where they arise; the CancelledError of a child may be lost with a gather.
    for (const asyncio::ErrorContext& report : trial.reports) {
        EXPECT_EQ(report.message, "_GatheringFuture exception was never retrieved");
    }
}

// A task that is cancelled early never awaits the coroutines it was given, which is logged.
void expect_only_warnings_of_coroutines(LogCapture& captured) {
    for (const std::string& line : captured.take()) {
        EXPECT_NE(line.find("was never awaited"), std::string::npos) << line;
    }
}

TEST(CancelFuzzRandom, random_programs_end_and_leave_nothing_behind) {
    const RandomSeed seed;
    LogCapture captured;
    std::mt19937_64 random(seed.value());
    for (int program = 0; program < 300 && !testing::Test::HasFailure(); ++program) {
        SCOPED_TRACE("program " + std::to_string(program));
        run_random_program(random);
    }
    expect_only_warnings_of_coroutines(captured);
}

TEST(CancelFuzzRandom, random_programs_can_be_abandoned_at_any_time) {
    const RandomSeed seed;
    LogCapture captured;
    std::mt19937_64 random(seed.value());
    for (int program = 0; program < 300 && !testing::Test::HasFailure(); ++program) {
        SCOPED_TRACE("program " + std::to_string(program));
        Trial trial;
        Builder builder(*trial.loop, random);
        trial.loop->create_task(builder.tree(4));
        for (int steps = builder.pick(20); steps > 0 && trial.step(); --steps) {
            const auto tasks = asyncio::all_tasks(*trial.loop);
            if (!tasks.empty() && builder.pick(2) == 0) {
                tasks[static_cast<std::size_t>(builder.pick(static_cast<int>(tasks.size())))]
                    .cancel();
            }
        }
        trial.loop->close();
        trial.expect_nothing_left();
    }
    expect_only_warnings_of_coroutines(captured);
}

}  // namespace
