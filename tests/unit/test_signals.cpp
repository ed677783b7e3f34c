// Signal handlers: delivery, refusals, removal, and what the kernel's handler does.
#include <asyncio/context.hpp>
#include <asyncio/sleep.hpp>

#include "scripted_poller.hpp"
#include "signal_fixture.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::EventLoopPtr;
using asyncio::KeyboardInterrupt;
using asyncio::RuntimeError;
using asyncio::ValueError;

void handler_of_the_program(int) {}

// ---- delivery

// What happens in which iteration when a callback raises a signal.
std::string trace_of_a_signal(asyncio::EventLoop& loop) {
    std::string trace;
    loop.add_signal_handler(SIGUSR1, [&] { trace += "handler "; });
    loop.call_soon([&] {
        ::raise(SIGUSR1);
        trace += "raised ";
        loop.call_soon([&] {
            trace += "woken ";
            loop.call_soon([&] {
                trace += "next ";
                loop.call_soon([&] { trace += "later "; });
            });
        });
    });
    for (int i = 0; i < 4; ++i) {
        loop.run_once(0s);
    }
    return trace;
}

TEST_F(Signals, S305_a_handler_runs_in_the_iteration_after_the_wake_up) {
    EXPECT_EQ(trace_of_a_signal(*loop), "raised woken next handler later ");
    // So it does where the loop puts polling off.
    EXPECT_EQ(trace_of_a_signal(*asyncio::new_event_loop()), "raised woken next handler later ");
}

TEST_F(Signals, S305_a_signal_during_the_poll_wakes_that_iteration) {
    ManualClock manual;
    auto owned = std::make_unique<ScriptedPoller>(manual);
    owned->script.push_back([](auto&) { ::raise(SIGUSR1); });
    asyncio::LoopOptions options;
    options.clock = &manual;
    options.poller = std::move(owned);
    const EventLoopPtr scripted = asyncio::new_event_loop(std::move(options));
    scripted->add_signal_handler(SIGUSR1, note("handler "));
    scripted->run_once();
    EXPECT_EQ(notes, "");
    scripted->run_once();
    EXPECT_EQ(notes, "handler ");
}

TEST_F(Signals, S305_virtual_time_does_not_pass_before_the_handler_has_run) {
    loop->add_signal_handler(SIGUSR1, [this] { notes += std::to_string(clock.seconds()) + " "; });
    loop->call_later(1h, note("an hour later"));
    loop->call_soon([] { ::raise(SIGUSR1); });
    iterate();
    loop->run_once();
    loop->run_once();
    loop->run_once();
    EXPECT_EQ(notes, "0.000000 an hour later");
}

TEST_F(Signals, S305_a_signal_wakes_a_loop_that_waits) {
    const EventLoopPtr waiting = asyncio::new_event_loop();
    waiting->add_signal_handler(SIGUSR1, [&] { waiting->stop(); });
    std::thread thread;
    waiting->call_soon([&] { thread = std::thread([] { ::kill(::getpid(), SIGUSR1); }); });
    waiting->run_forever();
    thread.join();
}

TEST_F(Signals, S305_a_signal_reaches_a_loop_whatever_thread_the_kernel_chooses) {
    const EventLoopPtr waiting = asyncio::new_event_loop();
    waiting->add_signal_handler(SIGUSR1, [&] { waiting->stop(); });
    std::thread thread;
    waiting->call_soon([&] { thread = std::thread([] { ::raise(SIGUSR1); }); });
    waiting->run_forever();
    thread.join();
}

TEST_F(Signals, S305_a_signal_reaches_a_loop_that_is_busy) {
    const EventLoopPtr busy = asyncio::new_event_loop();
    bool arrived = false;
    busy->add_signal_handler(SIGUSR1, [&] { arrived = true; });
    const auto work = [&]() -> Coro<void> {
        const pthread_t main = ::pthread_self();
        const std::jthread thread([main] { ::pthread_kill(main, SIGUSR1); });
        while (!arrived) {
            co_await asyncio::sleep(0s);  // something is always ready
        }
    };
    busy->run_until_complete(work());
}

TEST_F(Signals, S305_a_virtual_clock_waits_for_signals_when_nothing_else_can_happen) {
    loop->add_signal_handler(SIGUSR1, [this] { loop->stop(); });
    std::jthread thread;
    loop->call_later(1h, [&] { thread = std::jthread([] { ::kill(::getpid(), SIGUSR1); }); });
    loop->run_forever();
    EXPECT_EQ(clock.seconds(), 3600);
    loop->remove_signal_handler(SIGUSR1);
    EXPECT_THROW(loop->run_forever(), asyncio::DeadlockError);
}

TEST_F(Signals, S305_every_signal_is_called_for_in_the_order_of_the_first_of_its_number) {
    loop->add_signal_handler(SIGUSR1, note("1"));
    loop->add_signal_handler(SIGUSR2, note("2"));
    for (const int number : {SIGUSR2, SIGUSR1, SIGUSR2, SIGUSR1, SIGUSR1}) {
        ::raise(number);
    }
    iterate(2);
    EXPECT_EQ(notes, "22111");
}

TEST_F(Signals, S305_thousands_of_signals_lose_no_kind) {
    constexpr int each = 5000;
    int first = 0;
    int second = 0;
    loop->add_signal_handler(SIGUSR1, [&] { ++first; });
    loop->add_signal_handler(SIGRTMIN, [&] { ++second; });
    for (int i = 0; i < each; ++i) {
        ::raise(SIGUSR1);
        ::raise(SIGRTMIN);
    }
    iterate(2);
    EXPECT_EQ(first, each);
    EXPECT_EQ(second, each);
    // What is blocked is merged.
    sigset_t both;
    ::sigemptyset(&both);
    ::sigaddset(&both, SIGUSR1);
    ::sigaddset(&both, SIGRTMIN);
    ::pthread_sigmask(SIG_BLOCK, &both, nullptr);
    for (int i = 0; i < 10; ++i) {
        ::raise(SIGUSR1);
        ::raise(SIGRTMIN);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
    iterate(2);
    EXPECT_EQ(first, each + 1);
    EXPECT_GT(second, each);
}

TEST_F(Signals, S305_signals_from_other_threads_are_all_called_for) {
    constexpr int each = 2000;
    constexpr int thread_count = 3;
    int called = 0;
    const EventLoopPtr busy = asyncio::new_event_loop();
    busy->add_signal_handler(SIGUSR1, [&] {
        if (++called == each * thread_count) {
            busy->stop();
        }
    });
    std::vector<std::jthread> threads;
    for (int i = 0; i < thread_count; ++i) {
        threads.emplace_back([] {
            for (int k = 0; k < each; ++k) {
                ::raise(SIGUSR1);
            }
        });
    }
    busy->run_forever();
    EXPECT_EQ(called, each * thread_count);
}

TEST_F(Signals, S305_there_is_one_handler_for_each_signal) {
    loop->add_signal_handler(SIGUSR1, note("first "));
    loop->add_signal_handler(SIGUSR1, note("second "));
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(notes, "second ");
    EXPECT_TRUE(loop->remove_signal_handler(SIGUSR1));
    EXPECT_FALSE(loop->remove_signal_handler(SIGUSR1));
}

TEST_F(Signals, S305_a_signal_on_its_way_goes_to_the_handler_that_replaces) {
    loop->add_signal_handler(SIGUSR1, note("first "));
    ::raise(SIGUSR1);
    iterate();
    loop->add_signal_handler(SIGUSR1, note("second "));
    iterate();
    EXPECT_EQ(notes, "second ");
}

TEST_F(Signals, S305_a_handler_may_remove_or_replace_itself) {
    loop->add_signal_handler(SIGUSR1, [this, owned = std::make_unique<int>(1)] {
        EXPECT_TRUE(loop->remove_signal_handler(SIGUSR1));
        notes += std::to_string(*owned);  // it is alive until it returns
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(notes, "1");
    EXPECT_TRUE(is_default(SIGUSR1));
    loop->add_signal_handler(SIGUSR1, [this, owned = std::make_unique<int>(2)] {
        loop->add_signal_handler(SIGUSR1, note("3"));
        notes += std::to_string(*owned);
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(notes, "123");
}

TEST_F(Signals, S305_an_exception_out_of_a_handler_is_reported_and_the_handler_stays) {
    int calls = 0;
    loop->add_signal_handler(SIGUSR1, [&] {
        ++calls;
        throw ValueError("bad signal");
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(calls, 2);
    const std::vector<asyncio::ErrorContext> reports = take_reports();
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_NE(reports[0].message.find("Exception in callback <Handle created at"),
              std::string::npos);
    EXPECT_NE(reports[0].message.find("test_signals.cpp"), std::string::npos);
    EXPECT_EQ(asyncio::describe_exception(reports[0].exception), "ValueError: bad signal");
}

TEST_F(Signals, S305_a_handler_may_break_the_loop) {
    loop->add_signal_handler(SIGUSR1, [] { throw KeyboardInterrupt(); });
    loop->add_signal_handler(SIGUSR2, note("kept "));
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    iterate();
    EXPECT_THROW(iterate(), KeyboardInterrupt);
    iterate();
    EXPECT_EQ(notes, "kept ");
}

TEST_F(Signals, S305_a_handler_runs_in_the_context_in_which_it_was_added) {
    static asyncio::ContextVar<int> variable("signals", 0);
    int seen = 0;
    const auto main = [&]() -> Coro<void> {
        variable.set(5);
        loop->add_signal_handler(SIGUSR1, [&seen] { seen = variable.get(); });
        co_return;
    };
    loop->run_until_complete(main());
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(seen, 5);
}

TEST_F(Signals, S305_a_handler_may_create_tasks) {
    const auto work = [](std::string& out) -> Coro<void> {
        out += "task ";
        co_return;
    };
    loop->add_signal_handler(SIGUSR1, [&] { asyncio::create_task(work, std::ref(notes)); });
    ::raise(SIGUSR1);
    iterate(3);
    EXPECT_EQ(notes, "task ");
}

// ---- refusals

TEST_F(Signals, S306_numbers_of_no_signal_are_refused) {
    // 32 and 33 belong to the C library.
    for (const int number : {-1, 0, 32, 33, 65, 1 << 20}) {
        EXPECT_THROW(loop->add_signal_handler(number, [] {}), ValueError) << number;
        EXPECT_THROW(loop->remove_signal_handler(number), ValueError) << number;
    }
}

TEST_F(Signals, S306_signals_that_cannot_be_caught_are_refused_without_residue) {
    for (const int number : {SIGKILL, SIGSTOP}) {
        auto owned = std::make_shared<int>();
        EXPECT_THROW(loop->add_signal_handler(number, [owned] {}), RuntimeError) << number;
        EXPECT_EQ(owned.use_count(), 1);
        EXPECT_FALSE(loop->remove_signal_handler(number));
    }
    // Neither does the loop think that something is watched.
    EXPECT_THROW(loop->run_forever(), asyncio::DeadlockError);
}

TEST_F(Signals, S306_other_threads_than_the_main_one_are_refused_without_residue) {
    std::thread([] {
        const EventLoopPtr other = asyncio::new_event_loop();
        EXPECT_THROW(other->add_signal_handler(SIGUSR1, [] {}), RuntimeError);
        EXPECT_FALSE(other->remove_signal_handler(SIGUSR1));
        EXPECT_TRUE(is_default(SIGUSR1));
    }).join();
}

TEST_F(Signals, S306_a_closed_loop_is_refused_without_residue) {
    loop->close();
    EXPECT_THROW(loop->add_signal_handler(SIGUSR1, [] {}), RuntimeError);
    EXPECT_FALSE(loop->remove_signal_handler(SIGUSR1));
    EXPECT_TRUE(is_default(SIGUSR1));
}

// ---- removal

TEST_F(Signals, S307_removing_restores_the_default_disposition) {
    for (const int number : {SIGUSR1, SIGINT, SIGTERM}) {
        loop->add_signal_handler(number, [] {});
        EXPECT_FALSE(is_default(number));
        EXPECT_TRUE(loop->remove_signal_handler(number));
        EXPECT_TRUE(is_default(number));
        EXPECT_FALSE(loop->remove_signal_handler(number));
    }
}

TEST_F(Signals, S307_a_removed_handler_is_not_called_for_a_signal_on_its_way) {
    auto owned = std::make_shared<int>();
    loop->add_signal_handler(SIGUSR1, [this, owned] { notes += "called"; });
    ::raise(SIGUSR1);
    iterate();
    EXPECT_TRUE(loop->remove_signal_handler(SIGUSR1));
    EXPECT_EQ(owned.use_count(), 1);
    iterate();
    EXPECT_EQ(notes, "");
}

TEST_F(Signals, S307_what_the_program_installed_meanwhile_stays) {
    loop->add_signal_handler(SIGUSR1, [] {});
    std::signal(SIGUSR1, &handler_of_the_program);
    EXPECT_TRUE(loop->remove_signal_handler(SIGUSR1));
    EXPECT_EQ(disposition(SIGUSR1).sa_handler, &handler_of_the_program);
}

TEST_F(Signals, S307_closing_removes_all) {
    auto owned = std::make_shared<int>();
    loop->add_signal_handler(SIGUSR1, [owned] {});
    loop->add_signal_handler(SIGTERM, [owned] {});
    ::raise(SIGTERM);
    loop->close();
    EXPECT_TRUE(is_default(SIGUSR1));
    EXPECT_TRUE(is_default(SIGTERM));
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_FALSE(loop->remove_signal_handler(SIGTERM));
}

TEST_F(Signals, S307_a_loop_that_closes_leaves_the_signals_of_another_alone) {
    EventLoopPtr earlier = make_loop();
    earlier->add_signal_handler(SIGUSR1, note("earlier "));
    earlier->add_signal_handler(SIGUSR2, note("earlier "));
    loop->add_signal_handler(SIGUSR1, note("later "));
    earlier.reset();
    EXPECT_TRUE(is_default(SIGUSR2));
    ::raise(SIGUSR1);
    iterate(2);
    EXPECT_EQ(notes, "later ");
}

TEST_F(Signals, S307_loops_may_follow_each_other) {
    for (int i = 0; i < 3; ++i) {
        const EventLoopPtr next = asyncio::new_event_loop();
        next->add_signal_handler(SIGUSR1, [&] { next->stop(); });
        next->call_soon([] { ::raise(SIGUSR1); });
        next->run_forever();
    }
    EXPECT_TRUE(is_default(SIGUSR1));
}

TEST_F(Signals, S307_loops_may_close_while_other_threads_are_in_the_handler) {
    std::atomic<bool> ends{false};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&ends] {
            while (!ends) {
                ::raise(SIGURG);  // ignored while nobody handles it
            }
        });
    }
    for (int i = 0; i < 500; ++i) {
        int calls = 0;
        const EventLoopPtr next = asyncio::new_event_loop();
        next->add_signal_handler(SIGURG, [&] { ++calls; });
        next->run_once(0s);
        next->run_once(0s);
    }
    ends = true;
}

// ---- the kernel's handler

TEST_F(Signals, S308_system_calls_are_restarted) {
    loop->add_signal_handler(SIGUSR1, [] {});
    EXPECT_NE(disposition(SIGUSR1).sa_flags & SA_RESTART, 0);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::jthread thread([main = ::pthread_self(), tid = ::gettid(), fd = ends[1]] {
        char state = '?';
        while (state != 'S') {  // until the main thread sleeps in its read
            std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
            std::string field;
            stat >> field >> field >> state;
        }
        ::pthread_kill(main, SIGUSR1);
        EXPECT_EQ(::write(fd, "x", 1), 1);
    });
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    thread.join();
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(Signals, S308_the_kernels_handler_wakes_the_loop_calls_nothing_and_keeps_errno) {
    ManualClock manual;
    asyncio::LoopOptions options;
    options.clock = &manual;
    auto owned = std::make_unique<ScriptedPoller>(manual);
    ScriptedPoller& poller = *owned;
    options.poller = std::move(owned);
    const EventLoopPtr scripted = asyncio::new_event_loop(std::move(options));
    scripted->add_signal_handler(SIGUSR1, note("called"));
    errno = ENOENT;
    ::raise(SIGUSR1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(poller.wakes, 1);
    EXPECT_EQ(notes, "");
}

}  // namespace
