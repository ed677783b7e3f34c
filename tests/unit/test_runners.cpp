// run and Runner: results, repeated runs, and how a run ends.
#include <asyncio/context.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include "loop_fixture.hpp"

#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Future;
using asyncio::Runner;
using asyncio::RunOptions;
using asyncio::Task;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Runners on loops in virtual time, whose reports are kept.
class Runners : public ::testing::Test {
protected:
    RunOptions options() {
        RunOptions result;
        result.loop_factory = [this] {
            ++loops_made;
            asyncio::LoopOptions loop_options;
            loop_options.clock = &clock;
            asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(loop_options));
            loop->set_exception_handler([this](EventLoop&, const asyncio::ErrorContext& report) {
                reports.push_back(report.message + " | " +
                                  asyncio::describe_exception(report.exception));
            });
            return loop;
        };
        return result;
    }

    template <class T>
    T run(Coro<T> main) {
        return asyncio::run(std::move(main), options());
    }

    void TearDown() override {
        for (const std::string& line : captured.take()) {
            ADD_FAILURE() << "logged: " << line;
        }
    }

    LogCapture captured;
    asyncio::testing::VirtualClock clock;
    std::vector<std::string> reports;
    std::string notes;
    int loops_made = 0;
};

Coro<int> give(int number) {
    co_await asyncio::sleep(0s);
    co_return number;
}

Coro<void> note_cancellation(std::string& notes, const char* text) {
    try {
        co_await asyncio::sleep(1h);
    } catch (const CancelledError&) {
        notes += text;
        throw;
    }
}

// ---- run

TEST_F(Runners, S206_run_returns_the_result) {
    EXPECT_EQ(asyncio::run(give(42)), 42);
    EXPECT_EQ(asyncio::run(give, 43), 43);
    auto unique = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(44); };
    EXPECT_EQ(*asyncio::run(unique), 44);
    asyncio::run([]() -> Coro<void> { co_return; });
}

TEST_F(Runners, S206_run_throws_what_the_coroutine_throws) {
    auto fail = []() -> Coro<int> {
        co_await asyncio::sleep(1s);
        throw Boom("main");
    };
    EXPECT_THROW(run(fail()), Boom);
    EXPECT_EQ(reports, std::vector<std::string>());
}

template <class Argument>
concept Runnable = requires(Argument argument) { asyncio::run(std::move(argument)); };

TEST_F(Runners, S206_run_takes_only_coroutines) {
    static_assert(Runnable<Coro<int>>);
    static_assert(Runnable<Coro<int> (*)()>);
    static_assert(!Runnable<int>);
    static_assert(!Runnable<int (*)()>);
}

TEST_F(Runners, S206_run_inside_a_running_loop_is_an_error_and_closes_the_coroutine) {
    auto main = []() -> Coro<void> {
        EXPECT_THROW(asyncio::run(give(1)), asyncio::RuntimeError);
        Runner runner;
        EXPECT_THROW(runner.run(give(1)), asyncio::RuntimeError);
        EXPECT_THROW(runner.run(give, 1), asyncio::RuntimeError);
        co_await asyncio::sleep(0s);  // this loop is unharmed
    };
    run(main());  // the fixture fails if a coroutine is reported as never awaited
}

// ---- the end of a run

TEST_F(Runners, S207_leftover_tasks_are_cancelled_awaited_reported_then_the_loop_is_closed) {
    EventLoop* loop = nullptr;
    Task<void> leftover;
    auto slow_end = [this](EventLoop*& used) -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            notes += "cancelled ";
        }
        co_await asyncio::sleep(5s);
        notes += used->is_closed() ? "closed too early" : "ended ";
        throw Boom("at the end");
    };
    auto main = [&]() -> Coro<int> {
        loop = &asyncio::get_running_loop();
        leftover = asyncio::create_task(slow_end(loop));
        co_await asyncio::sleep(0s);
        notes += "main ";
        co_return 1;
    };
    EXPECT_EQ(run(main()), 1);
    EXPECT_EQ(notes, "main cancelled ended ");
    EXPECT_EQ(clock.seconds(), 5.0);
    EXPECT_TRUE(leftover.done());
    EXPECT_TRUE(loop->is_closed());
    ASSERT_EQ(reports.size(), 1U);
}

TEST_F(Runners, S207_leftover_tasks_are_cancelled_also_when_main_fails) {
    auto main = [this]() -> Coro<void> {
        asyncio::create_task(note_cancellation, std::ref(notes), "cancelled");
        co_await asyncio::sleep(0s);
        throw Boom("main");
    };
    EXPECT_THROW(run(main()), Boom);
    EXPECT_EQ(notes, "cancelled");
}

TEST_F(Runners, S208_a_leftover_task_that_fails_is_reported_and_not_thrown) {
    auto failing = []() -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            throw asyncio::ValueError("clean-up");
        }
    };
    auto main = [&]() -> Coro<int> {
        asyncio::create_task(failing);
        co_await asyncio::sleep(0s);
        co_return 5;
    };
    EXPECT_EQ(run(main()), 5);
    EXPECT_EQ(reports,
              std::vector<std::string>{"unhandled exception during asyncio.run() shutdown | "
                                       "ValueError: clean-up"});
}

TEST_F(Runners, S210_tasks_started_by_dying_tasks_are_swept_too) {
    struct Spawner {
        static Coro<void> live(std::string& notes, int generation) {
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
                notes += std::to_string(generation);
                if (generation < 3) {
                    asyncio::create_task(live, std::ref(notes), generation + 1);
                }
            }
        }
    };
    auto main = [this]() -> Coro<void> {
        asyncio::create_task(Spawner::live, std::ref(notes), 0);
        co_await asyncio::sleep(0s);
    };
    run(main());
    EXPECT_EQ(notes, "0123");
    EXPECT_EQ(reports, std::vector<std::string>());
}

TEST_F(Runners, S210_the_sweep_is_repeated_until_no_task_is_left) {
    struct Heir {
        std::string* notes;
        int generation;
        Heir(std::string& notes, int generation) : notes(&notes), generation(generation) {}
        Heir(Heir&& other) noexcept
            : notes(std::exchange(other.notes, nullptr)), generation(other.generation) {}
        // The argument of a task dies with it, whether or not it ever ran.
        ~Heir() {
            if (notes != nullptr && generation < 3) {
                *notes += std::to_string(generation);
                asyncio::create_task(live, Heir(*notes, generation + 1));
            }
        }
        static Coro<void> live(Heir) { co_await asyncio::sleep(1h); }
    };
    auto main = [this]() -> Coro<void> {
        asyncio::create_task(Heir::live, Heir(notes, 0));
        co_await asyncio::sleep(0s);
    };
    run(main());
    EXPECT_EQ(notes, "012");
    EXPECT_EQ(reports, std::vector<std::string>());
}

struct Undying {
    bool alive = true;
    Undying() = default;
    Undying(Undying&& other) noexcept : alive(std::exchange(other.alive, false)) {}
    ~Undying() {
        if (alive && asyncio::get_running_loop_or_null() != nullptr) {
            asyncio::create_task(live, Undying());
        }
    }
    static Coro<void> live(Undying) { co_await asyncio::sleep(1h); }
};

TEST_F(Runners, S210_a_program_that_makes_tasks_for_ever_ends_all_the_same) {
    auto main = []() -> Coro<void> {
        asyncio::create_task(Undying::live, Undying());
        co_await asyncio::sleep(0s);
    };
    run(main());
    const std::vector<std::string> lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("tasks were still being created"), std::string::npos) << lines[0];
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0], "Task was destroyed but it is pending! | no exception");
}

TEST_F(Runners, a_loop_breaking_error_of_main_leaves_run_after_the_clean_up) {
    auto main = [this]() -> Coro<void> {
        asyncio::create_task(note_cancellation, std::ref(notes), "cleaned up");
        co_await asyncio::sleep(0s);
        throw asyncio::SystemExit(3);
    };
    try {
        run(main());
        ADD_FAILURE() << "no exit";
    } catch (const asyncio::SystemExit& exit) {
        EXPECT_EQ(exit.code(), 3);
    }
    EXPECT_EQ(notes, "cleaned up");
    EXPECT_EQ(reports, std::vector<std::string>());
}

TEST_F(Runners, a_loop_breaking_error_during_the_clean_up_leaves_run_and_closes_the_loop) {
    EventLoop* loop = nullptr;
    Future<void> keeps_the_loop;
    auto breaking = []() -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const CancelledError&) {
            throw asyncio::SystemExit(4);
        }
    };
    auto main = [&]() -> Coro<void> {
        loop = &asyncio::get_running_loop();
        keeps_the_loop = loop->create_future<void>();
        asyncio::create_task(breaking);
        co_await asyncio::sleep(0s);
    };
    EXPECT_THROW(run(main()), asyncio::SystemExit);
    EXPECT_TRUE(loop->is_closed());
    // Nobody waited for the task: its error is reported besides.
    EXPECT_EQ(reports, std::vector<std::string>{"Task exception was never retrieved | SystemExit"});
}

// ---- options

bool debug_of_run(std::optional<bool> debug) {
    RunOptions options;
    options.debug = debug;
    return asyncio::run([]() -> Coro<bool> { co_return asyncio::get_running_loop().get_debug(); }(),
                        std::move(options));
}

TEST_F(Runners, S211_debug_left_open_keeps_the_choice_of_the_environment) {
    ::unsetenv("ASYNCIO_DEBUG");
    EXPECT_FALSE(debug_of_run(std::nullopt));
    EXPECT_TRUE(debug_of_run(true));
    ::setenv("ASYNCIO_DEBUG", "1", 1);
    EXPECT_TRUE(debug_of_run(std::nullopt));
    EXPECT_FALSE(debug_of_run(false));
    ::unsetenv("ASYNCIO_DEBUG");
}

TEST_F(Runners, S212_the_factory_makes_the_loop_once_for_each_runner) {
    Runner runner(options());
    EXPECT_EQ(loops_made, 0);
    EventLoop& loop = runner.get_loop();
    EXPECT_EQ(loops_made, 1);
    auto running = []() -> Coro<EventLoop*> { co_return &asyncio::get_running_loop(); };
    EXPECT_EQ(runner.run(running()), &loop);
    EXPECT_EQ(runner.run(running()), &loop);
    EXPECT_EQ(loops_made, 1);
    EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
}

TEST_F(Runners, S212_without_a_factory_a_new_loop_is_made_and_runs) {
    Runner runner;
    auto running = []() -> Coro<EventLoop*> { co_return &asyncio::get_running_loop(); };
    EXPECT_EQ(runner.run(running()), &runner.get_loop());
}

// ---- several runs

TEST_F(Runners, S213_background_tasks_survive_between_runs_and_end_at_close) {
    Runner runner(options());
    Task<void> background;
    auto start = [&]() -> Coro<void> {
        background = asyncio::create_task(note_cancellation, std::ref(notes), "closed");
        co_await asyncio::sleep(0s);
    };
    runner.run(start());
    EXPECT_FALSE(background.done());
    EXPECT_EQ(runner.run(give(1)), 1);
    EXPECT_FALSE(background.done());
    EXPECT_EQ(notes, "");
    runner.close();
    EXPECT_EQ(notes, "closed");
    EXPECT_TRUE(background.cancelled());
}

asyncio::ContextVar<int> counter("counter", 0);

TEST_F(Runners, S213_the_runs_share_one_context) {
    auto increment = []() -> Coro<int> {
        counter.set(counter.get() + 1);
        co_await asyncio::sleep(0s);
        co_return counter.get();
    };
    counter.set(10);
    {
        Runner runner(options());
        EXPECT_EQ(runner.run(increment()), 11);
        EXPECT_EQ(runner.run(increment), 12);
        const asyncio::Context own;
        EXPECT_EQ(runner.run(increment(), own), 1);
        EXPECT_EQ(runner.run(increment()), 13);
    }
    EXPECT_EQ(counter.get(), 10);
}

TEST_F(Runners, S214_a_runner_takes_coroutines_functions_and_futures) {
    Runner runner(options());
    EXPECT_EQ(runner.run(give(1)), 1);
    EXPECT_EQ(runner.run(give, 2), 2);
    const Future<int> future = runner.get_loop().create_future<int>();
    runner.get_loop().call_later(1s, [&] { future.set_result(3); });
    EXPECT_EQ(runner.run(future), 3);
    const Task<int> task = runner.get_loop().create_task(give, 4);
    EXPECT_EQ(runner.run(task), 4);
    const Future<void> failed = runner.get_loop().create_future<void>();
    failed.set_exception(Boom("future"));
    EXPECT_THROW(runner.run(failed), Boom);
}

TEST_F(Runners, S214_a_future_of_another_loop_is_an_error) {
    Runner runner(options());
    const auto other = asyncio::new_event_loop();
    EXPECT_THROW(runner.run(other->create_future<int>()), asyncio::RuntimeError);
}

TEST_F(Runners, S215_a_closed_runner_refuses_everything) {
    Runner runner(options());
    runner.run(give(1));
    runner.close();
    runner.close();
    EXPECT_THROW(runner.run(give(2)), asyncio::RuntimeError);
    EXPECT_THROW(runner.run(give, 2), asyncio::RuntimeError);
    EXPECT_THROW(runner.get_loop(), asyncio::RuntimeError);
    EXPECT_EQ(loops_made, 1);
}

TEST_F(Runners, S215_a_runner_closed_before_its_first_use_makes_no_loop) {
    Runner runner(options());
    runner.close();
    runner.close();
    EXPECT_THROW(runner.run(give(1)), asyncio::RuntimeError);
    EXPECT_EQ(loops_made, 0);
}

TEST(RunnersAtTheEnd, tasks_that_end_after_main_failed_see_no_exception_on_its_way) {
    int uncaught = -1;
    auto background = [](int& out) -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const asyncio::CancelledError&) {
        }
        out = std::uncaught_exceptions();
    };
    auto main = [&]() -> Coro<void> {
        const auto task = asyncio::create_task(background, std::ref(uncaught));
        co_await asyncio::sleep(0);
        throw std::runtime_error("main failed");
    };
    EXPECT_THROW(asyncio::run(main()), std::runtime_error);
    EXPECT_EQ(uncaught, 0);
}

}  // namespace
