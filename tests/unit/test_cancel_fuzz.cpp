// Cancels programs at every step they have and checks that nothing is lost or left behind: every
// task ends, no timer stays, nothing is reported that was not meant to be, no coroutine leaks.
#include "cancel_fixture.hpp"

#include <exception>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Future;
using asyncio::Task;

Coro<int> sleep_once() {
    const Alive counted;
    co_await asyncio::sleep(1s);
    co_return 1;
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

}  // namespace
