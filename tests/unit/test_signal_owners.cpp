// To whom a signal belongs: loops, Runners, forked children and the generator of signals.
#include <asyncio/runners.hpp>
#include <asyncio/signals.hpp>
#include <asyncio/sleep.hpp>

#include "signal_fixture.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::EventLoopPtr;
using asyncio::KeyboardInterrupt;
using asyncio::RuntimeError;

// ---- forked children

// What a child finds that was forked while its parent's loop handled SIGTERM and ran; a number for
// its exit status.
int check_forked_child() {
    if (asyncio::get_running_loop_or_null() != nullptr || !is_default(SIGTERM)) {
        return 1;
    }
    const EventLoopPtr own = asyncio::new_event_loop();
    int calls = 0;
    own->add_signal_handler(SIGTERM, [&] {
        ++calls;
        own->stop();
    });
    own->call_soon([] { ::raise(SIGTERM); });
    own->run_forever();
    return calls == 1 ? 0 : 2;
}

TEST_F(Signals, S309_a_forked_child_has_handlers_of_its_own) {
    loop->add_signal_handler(SIGTERM, note("parent "));
    int status = -1;
    loop->call_soon([&] {
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(check_forked_child());
        }
        EXPECT_EQ(::waitpid(child, &status, 0), child);
    });
    iterate(3);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(notes, "");
    EXPECT_FALSE(is_default(SIGTERM));
}

TEST_F(Signals, S309_a_signal_of_a_forked_child_does_not_wake_its_parent) {
    loop->add_signal_handler(SIGTERM, note("parent "));
    const pid_t child = ::fork();
    if (child == 0) {
        ::raise(SIGTERM);
        ::_exit(1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child swallowed it";
    loop->prepare_to_block();
    pollfd wake_up{loop->fileno(), POLLIN, 0};
    EXPECT_EQ(::poll(&wake_up, 1, 0), 0);
    iterate(2);
    EXPECT_EQ(notes, "");
}

TEST_F(Signals, S309_a_child_may_close_its_parents_loop) {
    loop->add_signal_handler(SIGTERM, note("parent "));
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGTERM, SIG_IGN);
        loop->close();
        ::_exit(disposition(SIGTERM).sa_handler == SIG_IGN ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    ::raise(SIGTERM);
    iterate(2);
    EXPECT_EQ(notes, "parent ");
}

// ---- together with a Runner

TEST_F(Signals, S307_a_handler_of_SIGINT_takes_the_place_of_the_runners) {
    const auto main = [this]() -> Coro<int> {
        EventLoop& running = asyncio::get_running_loop();
        const auto interrupted = running.create_future<int>();
        int left = 4;  // more than end a program
        running.add_signal_handler(SIGINT, [&] {
            notes += "handler ";
            if (--left == 0) {
                interrupted.set_result(3);
            }
        });
        for (int i = 0; i < 4; ++i) {
            ::raise(SIGINT);
        }
        co_return co_await interrupted;
    };
    EXPECT_EQ(asyncio::run(main()), 3);
    EXPECT_EQ(notes, "handler handler handler handler ");
    EXPECT_TRUE(is_default(SIGINT));
}

TEST_F(Signals, S307_removing_the_handler_of_SIGINT_gives_the_runner_its_own_back) {
    const auto main = [this]() -> Coro<void> {
        EventLoop& running = asyncio::get_running_loop();
        running.add_signal_handler(SIGINT, note("handler "));
        running.remove_signal_handler(SIGINT);
        ::raise(SIGINT);
        try {
            co_await running.create_future<void>();
        } catch (const CancelledError&) {
            notes += "cancelled ";
            throw;
        }
    };
    EXPECT_THROW(asyncio::run(main()), KeyboardInterrupt);
    EXPECT_EQ(notes, "cancelled ");
    EXPECT_TRUE(is_default(SIGINT));
}

TEST_F(Signals, S219_a_handler_of_SIGINT_outlives_the_run_that_added_it) {
    asyncio::Runner runner;
    const auto add = [this]() -> Coro<void> {
        asyncio::get_running_loop().add_signal_handler(SIGINT, note("handler "));
        co_return;
    };
    const auto raise = []() -> Coro<void> {
        ::raise(SIGINT);
        co_await asyncio::sleep(1ms);
    };
    runner.run(add());
    EXPECT_FALSE(is_default(SIGINT));
    runner.run(raise());
    EXPECT_EQ(notes, "handler ");
    runner.close();
    EXPECT_TRUE(is_default(SIGINT));
}

TEST_F(Signals, S216_handlers_of_other_signals_do_not_disturb_the_runners) {
    const auto main = [this]() -> Coro<void> {
        EventLoop& running = asyncio::get_running_loop();
        running.add_signal_handler(SIGTERM, note("term "));
        ::raise(SIGTERM);
        co_await asyncio::sleep(1ms);
        running.remove_signal_handler(SIGTERM);
        ::raise(SIGINT);
        co_await running.create_future<void>();
    };
    EXPECT_THROW(asyncio::run(main()), KeyboardInterrupt);
    EXPECT_EQ(notes, "term ");
}

TEST_F(Signals, S218_what_an_interrupt_breaks_keeps_the_calls_of_other_signals) {
    asyncio::Runner runner;
    const auto main = [this]() -> Coro<void> {
        asyncio::get_running_loop().add_signal_handler(SIGUSR1, note("handler "));
        ::raise(SIGINT);
        ::raise(SIGINT);
        ::raise(SIGUSR1);
        co_await asyncio::get_running_loop().create_future<void>();
    };
    EXPECT_THROW(runner.run(main()), KeyboardInterrupt);
    runner.close();
    EXPECT_EQ(notes, "handler ");
}

// ---- as a generator

TEST_F(Signals, the_generator_yields_the_signals_that_come_from_its_call_on) {
    const auto main = [this]() -> Coro<void> {
        auto arrivals = asyncio::signals({SIGUSR1, SIGUSR2});
        ::raise(SIGUSR2);
        ::raise(SIGUSR1);
        EXPECT_EQ(co_await arrivals.next(), SIGUSR2);
        EXPECT_EQ(co_await arrivals.next(), SIGUSR1);
        loop->call_soon([] { ::raise(SIGUSR1); });
        EXPECT_EQ(co_await arrivals.next(), SIGUSR1);
        co_await arrivals.aclose();
        EXPECT_TRUE(is_default(SIGUSR1));
        EXPECT_TRUE(is_default(SIGUSR2));
    };
    loop->run_until_complete(main());
}

TEST_F(Signals, a_generator_that_never_began_gives_its_signals_up) {
    const auto main = []() -> Coro<void> {
        {
            const auto arrivals = asyncio::signals({SIGUSR1});
            EXPECT_FALSE(is_default(SIGUSR1));
        }
        EXPECT_TRUE(is_default(SIGUSR1));
        EXPECT_THROW((void)asyncio::signals({SIGUSR1, SIGKILL}), RuntimeError);
        EXPECT_TRUE(is_default(SIGUSR1));
        co_return;
    };
    loop->run_until_complete(main());
}

TEST_F(Signals, a_generator_may_outlive_its_loop) {
    std::optional<asyncio::AsyncGenerator<int>> arrivals;
    const auto main = [&]() -> Coro<void> {
        arrivals.emplace(asyncio::signals({SIGUSR1}));
        co_return;
    };
    loop->run_until_complete(main());
    loop.reset();
    EXPECT_TRUE(is_default(SIGUSR1));
    arrivals.reset();
}

TEST_F(Signals, a_cancelled_wait_of_the_generator_ends_it_and_gives_the_signals_up) {
    const auto main = []() -> Coro<void> {
        auto arrivals = asyncio::signals({SIGUSR1});
        const auto listener = asyncio::create_task(
            [](asyncio::AsyncGenerator<int>& from) -> Coro<void> { co_await from.next(); },
            std::ref(arrivals));
        co_await asyncio::sleep(0s);
        listener.cancel();
        co_await asyncio::sleep(0s);
        EXPECT_TRUE(listener.cancelled());
        EXPECT_TRUE(is_default(SIGUSR1));
    };
    loop->run_until_complete(main());
}

}  // namespace
