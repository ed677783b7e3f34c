// Cancels programs at every step they have, and random programs at random steps, and checks that
// nothing is lost or left behind: every task ends, no timer stays, nothing is reported that was not
// meant to be, no coroutine leaks.
#include <asyncio/gather.hpp>
#include <asyncio/shield.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/task.hpp>

#include "loop_fixture.hpp"
#include "random_seed.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::AnyFuture;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Future;
using asyncio::Task;
using asyncio::detail::LoopAccess;

struct Boom : std::runtime_error {
    Boom() : std::runtime_error("boom") {}
};

constexpr int iterations_max = 10'000;

// Counts coroutines that are alive.
int alive = 0;
struct Alive {
    Alive() { ++alive; }
    Alive(const Alive&) = delete;
    Alive& operator=(const Alive&) = delete;
    ~Alive() { --alive; }
};

// ---- what every program must leave behind

class Trial {
public:
    Trial() : loop(make_loop()) {}

    // Runs one iteration. False when nothing is left that could run.
    bool step() const {
        if (LoopAccess::ready(*loop).empty() && LoopAccess::timers(*loop).empty()) {
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
        EXPECT_TRUE(LoopAccess::timers(*loop).empty());
        EXPECT_TRUE(LoopAccess::ready(*loop).empty());
        EXPECT_TRUE(LoopAccess::composites(*loop).empty()) << "a gather or shield still listens";
        EXPECT_EQ(alive, 0);
    }

    asyncio::testing::VirtualClock clock;
    std::vector<asyncio::ErrorContext> reports;
    asyncio::EventLoopPtr loop;

private:
    asyncio::EventLoopPtr make_loop() {
        asyncio::LoopOptions options;
        options.clock = &clock;
        options.debug = false;
        asyncio::EventLoopPtr made = asyncio::new_event_loop(std::move(options));
        made->set_exception_handler(
            [this](EventLoop&, const asyncio::ErrorContext& report) { reports.push_back(report); });
        return made;
    }
};

// ---- programs to be cancelled at every step

Coro<int> sleep_once() {
    const Alive counted;
    co_await asyncio::sleep(1s);
    co_return 1;
}

Coro<int> give_way(int times) {
    const Alive counted;
    for (int i = 0; i < times; ++i) {
        co_await asyncio::sleep(0s);
    }
    co_return times;
}

Coro<int> await_a_timed_future() {
    const Alive counted;
    EventLoop& loop = asyncio::get_running_loop();
    const Future<int> future = loop.create_future<int>();
    loop.call_later(1s, [future] {
        if (!future.done()) {
            future.set_result(1);
        }
    });
    const int first = co_await future;
    co_return first + co_await future;
}

Coro<int> chain_of_coroutines(int levels) {
    const Alive counted;
    co_return levels == 0 ? co_await sleep_once() : co_await chain_of_coroutines(levels - 1);
}

Coro<int> chain_of_tasks(int levels) {
    const Alive counted;
    if (levels == 0) {
        co_return co_await sleep_once();
    }
    co_return 1 + co_await asyncio::create_task(chain_of_tasks, levels - 1);
}

Coro<int> gather_some() {
    const Alive counted;
    const auto [a, b, c] = co_await asyncio::gather(sleep_once(), give_way(3), chain_of_tasks(2));
    co_return a + b + c;
}

Coro<int> fail_later() {
    const Alive counted;
    co_await asyncio::sleep(500ms);
    throw Boom();
}

Coro<int> gather_outcomes() {
    const Alive counted;
    const auto [a, b, c] = co_await asyncio::gather(asyncio::return_exceptions, sleep_once(),
                                                    fail_later(), give_way(2));
    co_return a.value() + c.value() + (b.has_value() ? 100 : 0);
}

Coro<int> gather_with_a_failure() {
    const Alive counted;
    bool failed = false;
    try {
        co_await asyncio::gather(sleep_once(), fail_later(), give_way(2));
    } catch (const Boom&) {
        failed = true;
    }
    co_await asyncio::sleep(0s);
    co_return failed ? 1 : 0;
}

Coro<int> shield_something() {
    const Alive counted;
    co_return co_await asyncio::shield(chain_of_tasks(1));
}

Coro<int> nested() {
    const Alive counted;
    const Task<int> shared = asyncio::create_task(sleep_once);
    const auto [a, b, c] = co_await asyncio::gather(
        asyncio::shield(shared), asyncio::gather(gather_some(), shield_something()), shared);
    co_return a + std::get<0>(b) + std::get<1>(b) + c;
}

Coro<int> clean_up_slowly() {
    const Alive counted;
    std::exception_ptr interruption;
    try {
        co_await sleep_once();
    } catch (const CancelledError&) {
        interruption = std::current_exception();
    }
    co_await asyncio::sleep(1s);
    co_await give_way(2);
    if (interruption != nullptr) {
        std::rethrow_exception(interruption);
    }
    co_return 1;
}

Coro<int> eager_children() {
    const Alive counted;
    asyncio::TaskOptions options;
    options.eager_start = true;
    const Task<int> first = asyncio::create_task(options, give_way, 0);
    const Task<int> second = asyncio::create_task(options, chain_of_tasks, 1);
    co_return co_await first + co_await second;
}

struct Program {
    const char* name;
    Coro<int> (*body)();
    // Whether the message of the request reaches whoever reads the result.
    bool keeps_message = true;
    // Whether a request can never be overtaken by another error, which the program handles.
    bool always_cancelled = true;
};

const std::vector<Program> programs{
    {"sleep_once", sleep_once},
    {"give_way", [] { return give_way(4); }},
    {"await_a_timed_future", await_a_timed_future},
    {"chain_of_coroutines", [] { return chain_of_coroutines(5); }},
    {"chain_of_tasks", [] { return chain_of_tasks(4); }},
    {"gather_some", gather_some},
    // With return_exceptions the message is lost on the way, as in CPython.
    {"gather_outcomes", gather_outcomes, false},
    // A child that has failed, but not reported yet, decides how a cancelled gather ends, as in
    // CPython.
    {"gather_with_a_failure", gather_with_a_failure, true, false},
    {"shield_something", shield_something},
    {"nested", nested},
    {"clean_up_slowly", clean_up_slowly},
    {"eager_children", eager_children},
};

std::string message_of(const Task<int>& task) {
    try {
        task.result();
    } catch (const CancelledError& error) {
        return error.message();
    }
    return "a result";
}

enum class Way { once, twice, twice_in_one_step, withdrawn };

void expect_end(const Program& program, Way way, const Task<int>& task) {
    ASSERT_TRUE(task.done());
    if (way == Way::withdrawn) {
        EXPECT_EQ(task.cancelling(), 0);
        return;  // whether it was delivered depends on what the task waited for
    }
    EXPECT_EQ(task.cancelling(), way == Way::once ? 1 : 2);
    if (!program.always_cancelled && !task.cancelled()) {
        return;
    }
    EXPECT_TRUE(task.cancelled()) << "the request was lost";
    if (program.keeps_message && way == Way::once) {
        EXPECT_EQ(message_of(task), "fuzz");
    }
}

// Cancels the program when it has run for `steps` iterations. False if it had ended before.
bool cancel_after(const Program& program, int steps, Way way, bool eager, bool debug) {
    SCOPED_TRACE(std::string(program.name) + ", step " + std::to_string(steps) + ", way " +
                 std::to_string(static_cast<int>(way)) + (eager ? ", eager" : "") +
                 (debug ? ", debug" : ""));
    Trial trial;
    trial.loop->set_debug(debug);
    if (eager) {
        trial.loop->set_task_factory(asyncio::eager_task_factory);
    }
    const Task<int> task = trial.loop->create_task(program.body());
    for (int i = 0; i < steps && !task.done(); ++i) {
        trial.step();
    }
    const bool was_running = !task.done();
    if (was_running) {
        EXPECT_TRUE(task.cancel("fuzz"));
        EXPECT_FALSE(task.done()) << "cancel ran code of the task";
        if (way == Way::twice) {
            trial.step();
        }
        if (way == Way::withdrawn) {
            EXPECT_EQ(task.uncancel(), 0);
        } else if (way != Way::once && !task.done()) {
            EXPECT_TRUE(task.cancel("again"));
        }
    }
    const int asked = task.cancelling();
    trial.run_to_the_end();
    if (was_running) {
        expect_end(program, asked == 1 ? Way::once : way, task);
    } else {
        EXPECT_NO_THROW(task.result());
    }
    trial.expect_nothing_left();
    EXPECT_TRUE(trial.reports.empty()) << trial.reports.front().message;
    return was_running;
}

class CancelFuzz : public ::testing::TestWithParam<std::size_t> {
protected:
    static void cancel_at_every_step(Way way, bool eager, bool debug) {
        const Program& program = programs[GetParam()];
        int steps = 0;
        while (!HasFatalFailure() && cancel_after(program, steps, way, eager, debug)) {
            ASSERT_LT(++steps, iterations_max);
        }
        EXPECT_GT(steps, 0);
    }
};

TEST_P(CancelFuzz, a_request_at_any_step_ends_the_program) {
    cancel_at_every_step(Way::once, false, false);
    cancel_at_every_step(Way::once, true, false);
    cancel_at_every_step(Way::once, false, true);
}

TEST_P(CancelFuzz, two_requests_at_any_step_end_the_program) {
    cancel_at_every_step(Way::twice, false, false);
    cancel_at_every_step(Way::twice_in_one_step, false, false);
    cancel_at_every_step(Way::twice_in_one_step, true, true);
}

TEST_P(CancelFuzz, a_request_withdrawn_at_once_restores_the_count) {
    cancel_at_every_step(Way::withdrawn, false, false);
    cancel_at_every_step(Way::withdrawn, true, false);
}

TEST_P(CancelFuzz, the_loop_closed_at_any_step_leaves_nothing) {
    const Program& program = programs[GetParam()];
    for (int steps = 0;; ++steps) {
        SCOPED_TRACE(std::string(program.name) + ", step " + std::to_string(steps));
        Trial trial;
        const Task<int> task = trial.loop->create_task(program.body());
        for (int i = 0; i < steps && !task.done(); ++i) {
            trial.step();
        }
        const bool done = task.done();
        trial.loop->close();
        trial.expect_nothing_left();
        EXPECT_EQ(task.done(), done);
        if (done || HasFailure()) {
            break;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Programs, CancelFuzz, ::testing::Range(std::size_t{0}, programs.size()),
                         [](const auto& tested) { return programs[tested.param].name; });

// ---- random programs

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
