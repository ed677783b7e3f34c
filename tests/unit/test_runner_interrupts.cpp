// Ctrl-C while a Runner runs. Every test is a process of its own, so signals disturb no other.
#include <asyncio/runners.hpp>
#include <asyncio/sleep.hpp>

#include "loop_fixture.hpp"

#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::KeyboardInterrupt;
using asyncio::Runner;
using asyncio::Task;

class RunnerInterrupts : public ::testing::Test {
protected:
    // Shells start what runs in the background without Ctrl-C.
    RunnerInterrupts() { std::signal(SIGINT, SIG_DFL); }
};

Coro<void> wait_for_ever() { co_await asyncio::get_running_loop().create_future<void>(); }

void* sigint_handler() {
    struct sigaction current{};
    ::sigaction(SIGINT, nullptr, &current);
    return reinterpret_cast<void*>(current.sa_handler);
}

void* default_handler() { return reinterpret_cast<void*>(SIG_DFL); }

TEST_F(RunnerInterrupts, S216_the_first_interrupt_cancels_main_and_run_throws) {
    std::string notes;
    auto main = [](std::string& out) -> Coro<void> {
        ::raise(SIGINT);
        out += "not torn out ";
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            out += "cancelled ";
            throw;
        }
    };
    EXPECT_THROW(asyncio::run(main(notes)), KeyboardInterrupt);
    EXPECT_EQ(notes, "not torn out cancelled ");
}

TEST_F(RunnerInterrupts, S216_an_interrupt_from_outside_wakes_a_loop_that_waits) {
    auto main = []() -> Coro<void> {
        std::thread([] { ::kill(::getpid(), SIGINT); }).detach();
        co_await wait_for_ever();
    };
    EXPECT_THROW(asyncio::run(main()), KeyboardInterrupt);
}

TEST_F(RunnerInterrupts, S216_only_main_is_cancelled_until_it_has_ended) {
    std::string notes;
    auto other = [](std::string& out) -> Coro<void> {
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            out += "other ";
            throw;
        }
    };
    auto main = [](auto function, std::string& out) -> Coro<void> {
        const Task<void> background = asyncio::create_task(function, std::ref(out));
        co_await asyncio::sleep(0s);
        ::raise(SIGINT);
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            EXPECT_EQ(background.cancelling(), 0);
            out += "main ";
            throw;
        }
    };
    EXPECT_THROW(asyncio::run(main(other, notes)), KeyboardInterrupt);
    EXPECT_EQ(notes, "main other ");
}

TEST_F(RunnerInterrupts, S216_a_main_that_swallows_the_interrupt_returns) {
    auto main = []() -> Coro<int> {
        ::raise(SIGINT);
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
        }
        co_return 5;
    };
    EXPECT_EQ(asyncio::run(main()), 5);
}

TEST_F(RunnerInterrupts, S216_a_future_that_is_run_is_cancelled_too) {
    Runner runner;
    const Future<int> future = runner.get_loop().create_future<int>();
    runner.get_loop().call_soon([] { ::raise(SIGINT); });
    EXPECT_THROW(runner.run(future), KeyboardInterrupt);
    EXPECT_TRUE(future.cancelled());
}

Coro<int> two_turns() {
    co_await asyncio::sleep(0s);
    co_await asyncio::sleep(0s);
    co_return 2;
}

TEST_F(RunnerInterrupts, S216_an_interrupt_when_main_has_ended_is_not_lost) {
    Runner runner;
    auto main = []() -> Coro<int> {
        // It runs behind the callback that ends the loop, as the last thing of the last iteration.
        asyncio::current_task().add_done_callback([] { ::raise(SIGINT); });
        co_return 1;
    };
    EXPECT_THROW(runner.run(main()), KeyboardInterrupt);
    EXPECT_EQ(runner.run(two_turns()), 2);  // it does not reach the next run
}

TEST_F(RunnerInterrupts, S216_an_interrupt_in_the_last_step_ends_the_run_and_not_the_next_one) {
    Runner runner;
    auto main = []() -> Coro<int> {
        ::raise(SIGINT);
        co_return 1;
    };
    EXPECT_THROW(runner.run(main()), KeyboardInterrupt);
    EXPECT_EQ(runner.run(two_turns()), 2);
}

TEST_F(RunnerInterrupts, S217_if_main_was_cancelled_by_others_too_it_is_a_cancellation) {
    auto main = []() -> Coro<void> {
        asyncio::get_running_loop().call_soon(
            [task = asyncio::current_task()] { task.cancel("by another"); });
        ::raise(SIGINT);
        co_await wait_for_ever();
    };
    try {
        asyncio::run(main());
        ADD_FAILURE() << "it returned";
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "by another");
    }
}

TEST_F(RunnerInterrupts, S218_the_second_interrupt_leaves_the_loop_at_once) {
    std::string notes;
    auto main = [](std::string& out) -> Coro<void> {
        ::raise(SIGINT);
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            out += "first ";
        }
        ::raise(SIGINT);
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            out += "teardown ";  // the loop was left, and is torn down
            throw;
        }
    };
    EXPECT_THROW(asyncio::run(main(notes)), KeyboardInterrupt);
    EXPECT_EQ(notes, "first teardown ");
}

TEST_F(RunnerInterrupts, S218_two_interrupts_in_one_step_leave_the_loop) {
    auto main = []() -> Coro<void> {
        ::raise(SIGINT);
        ::raise(SIGINT);
        co_await wait_for_ever();
    };
    EXPECT_THROW(asyncio::run(main()), KeyboardInterrupt);
}

TEST_F(RunnerInterrupts, S219_the_handler_is_there_during_the_run_only) {
    EXPECT_EQ(sigint_handler(), default_handler());
    auto main = []() -> Coro<void> {
        EXPECT_NE(sigint_handler(), default_handler());
        co_return;
    };
    Runner runner;
    runner.run(main());
    EXPECT_EQ(sigint_handler(), default_handler());
    auto failing = []() -> Coro<void> {
        throw std::runtime_error("main");
        co_return;
    };
    EXPECT_THROW(runner.run(failing()), std::runtime_error);
    EXPECT_EQ(sigint_handler(), default_handler());
}

volatile std::sig_atomic_t own_signals = 0;
void count_signal(int) { own_signals = own_signals + 1; }

TEST_F(RunnerInterrupts, S219_a_handler_of_the_program_stays) {
    std::signal(SIGINT, &count_signal);
    auto main = []() -> Coro<int> {
        ::raise(SIGINT);
        co_await asyncio::sleep(0s);
        co_return 1;
    };
    EXPECT_EQ(asyncio::run(main()), 1);
    EXPECT_EQ(own_signals, 1);
    EXPECT_EQ(sigint_handler(), reinterpret_cast<void*>(&count_signal));
}

TEST_F(RunnerInterrupts, S219_a_handler_set_during_the_run_stays) {
    auto main = []() -> Coro<void> {
        std::signal(SIGINT, &count_signal);
        co_return;
    };
    asyncio::run(main());
    EXPECT_EQ(sigint_handler(), reinterpret_cast<void*>(&count_signal));
}

TEST_F(RunnerInterrupts, S219_an_ignored_signal_stays_ignored) {
    std::signal(SIGINT, SIG_IGN);
    auto main = []() -> Coro<int> {
        ::raise(SIGINT);
        co_await asyncio::sleep(0s);
        co_return 1;
    };
    EXPECT_EQ(asyncio::run(main()), 1);
}

TEST_F(RunnerInterrupts, S219_other_threads_leave_the_signal_alone) {
    void* seen = nullptr;
    std::thread([&seen] {
        auto main = []() -> Coro<void*> { co_return sigint_handler(); };
        seen = asyncio::run(main());
    }).join();
    EXPECT_EQ(seen, default_handler());
}

TEST_F(RunnerInterrupts, the_third_interrupt_ends_a_program_that_never_returns_to_its_loop) {
    EXPECT_EXIT(
        {
            auto main = []() -> Coro<void> {
                for (;;) {
                    ::raise(SIGINT);
                }
                co_return;
            };
            asyncio::run(main());
        },
        ::testing::KilledBySignal(SIGINT), "");
}

TEST_F(RunnerInterrupts, S218_an_interrupt_while_the_runner_closes_breaks_the_loop) {
    std::string notes;
    auto clean_up = [](std::string& out) -> Coro<void> {
        try {
            co_await wait_for_ever();
        } catch (const CancelledError&) {
            out += "cancelled ";
        }
        ::raise(SIGINT);
        co_await asyncio::sleep(1h);
        out += "never";
    };
    auto main = [&](std::string& out) -> Coro<void> {
        asyncio::get_running_loop().set_exception_handler([](auto&, const auto&) {});
        const Task<void> background = asyncio::create_task(clean_up, std::ref(out));
        co_await asyncio::sleep(0);
    };
    EXPECT_THROW(asyncio::run(main(notes)), KeyboardInterrupt);
    EXPECT_EQ(notes, "cancelled ");
    EXPECT_EQ(sigint_handler(), default_handler());
}

}  // namespace
