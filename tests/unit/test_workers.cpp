// run_workers, what holds for threads and for processes, and for threads alone.
#include "exec/workers.hpp"
#include "workers_fixture.hpp"

#include <pthread.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

namespace {

std::string thread_name() {
    char name[16];
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    return name;
}

INSTANTIATE_TEST_SUITE_P(As, Workers, ::testing::Bool(), [](const auto& info) -> std::string {
    return info.param ? "processes" : "threads";
});

// ---- what they are

TEST_P(Workers, each_has_a_loop_a_name_and_a_number) {
    run_workers(3,
                [this](std::size_t index) -> Coro<void> {
                    notes.add(std::to_string(index) + " " + thread_name() + " " +
                              asyncio::current_task().get_name());
                    co_return;
                },
                {.processes = GetParam(), .name = "mine"});
    EXPECT_EQ(notes.sorted(), (Notes{"0 mine_0 mine_0", "1 mine_1 mine_1", "2 mine_2 mine_2"}));
}

TEST_P(Workers, they_run_at_the_same_time) {
    const Notebook come;
    const Notebook go;
    run_workers(
        3,
        [&](std::size_t index) -> Coro<void> {
            if (index != 0) {
                come.add("come");
                go.wait(1);
            } else {
                come.wait(2);
                go.add("go");
                go.add("go");
            }
            notes.add("met");
            co_return;
        },
        options());
    EXPECT_EQ(notes.sorted(), (Notes{"met", "met", "met"}));
}

TEST_P(Workers, without_a_number_there_is_one_for_each_processor) {
    run_workers(
        [this]() -> Coro<void> {
            notes.add("x");
            co_return;
        },
        options());
    cpu_set_t usable;
    ASSERT_EQ(::sched_getaffinity(0, sizeof usable, &usable), 0);
    EXPECT_EQ(notes.sorted().size(), static_cast<std::size_t>(CPU_COUNT(&usable)));
}

TEST_P(Workers, each_has_a_copy_of_the_function) {
    run_workers(
        2,
        [this, count = 0]() mutable -> Coro<void> {
            notes.add(std::to_string(++count));
            co_return;
        },
        options());
    EXPECT_EQ(notes.sorted(), (Notes{"1", "1"}));
}

asyncio::ContextVar<int> number("number", 0);

TEST_P(Workers, they_see_the_context_of_the_caller) {
    number.set(7);
    run_workers(
        1,
        [this]() -> Coro<void> {
            notes.add(std::to_string(number.get()));
            number.set(8);
            co_return;
        },
        options());
    EXPECT_EQ(notes.sorted(), Notes{"7"});
    EXPECT_EQ(number.get(), 7);
}

TEST_P(Workers, debug_mode_is_that_of_their_loops) {
    for (const bool debug : {true, false}) {
        run_workers(1,
                    [this]() -> Coro<void> {
                        notes.add(asyncio::get_running_loop().get_debug() ? "on" : "off");
                        co_return;
                    },
                    {.processes = GetParam(), .debug = debug});
    }
    EXPECT_EQ(notes.sorted(), (Notes{"off", "on"}));
}

TEST_P(Workers, tasks_that_are_left_are_cancelled_as_by_run) {
    run_workers(
        1,
        [this]() -> Coro<void> {
            asyncio::create_task(waiting(), std::size_t{5});
            co_await asyncio::sleep(0);
        },
        options());
    EXPECT_EQ(notes.sorted(), Notes{"cancelled 5"});
}

TEST_P(Workers, what_cannot_work_is_refused) {
    const auto nothing = []() -> Coro<void> { co_return; };
    EXPECT_THROW(run_workers(0, nothing, options()), ValueError);
    EXPECT_THROW(run_workers(1, nothing, {.restart = true}), ValueError);
    const auto inside = [&]() -> Coro<void> {
        EXPECT_THROW(run_workers(1, nothing, options()), asyncio::RuntimeError);
        co_return;
    };
    asyncio::run(inside());
}

// ---- connections

// Several servers may listen at it, but this socket does not.
class SharedPort {
public:
    SharedPort() : socket_(asyncio::AddressFamily::inet, SOCK_STREAM) {
        const int on = 1;
        EXPECT_EQ(::setsockopt(socket_.fileno(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        socket_.bind(asyncio::Address("127.0.0.1", 0));
    }
    std::uint16_t number() const { return socket_.getsockname().port(); }

private:
    asyncio::Socket socket_;
};

Coro<void> serve(std::uint16_t port, std::string answer, const Notebook& ready) {
    auto server = co_await asyncio::start_server(
        [answer](asyncio::StreamReader, asyncio::StreamWriter writer) {
            writer.write(answer);
            writer.close();
        },
        "127.0.0.1", port, {.reuse_port = true});
    ready.add("listening");
    co_await server.serve_forever();
}

TEST_P(Workers, the_kernel_spreads_connections_over_all_that_listen) {
    const SharedPort port;
    const auto main = [&](std::size_t index) -> Coro<void> {
        if (index != 0) {
            co_await serve(port.number(), std::to_string(index), ready);
        }
        ready.wait(3);
        std::string answers;
        for (int i = 0; i < 90; ++i) {
            auto [reader, writer] = co_await asyncio::open_connection("127.0.0.1", port.number());
            answers += co_await reader.read();
            writer.close();
        }
        std::ranges::sort(answers);
        notes.add(std::to_string(answers.size()));
        const auto repeated = std::ranges::unique(answers);
        answers.erase(repeated.begin(), repeated.end());
        throw ValueError(answers);
    };
    try {
        run_workers(4, main, options());
        ADD_FAILURE() << "it returned";
    } catch (const ValueError& error) {
        EXPECT_STREQ(error.what(), "123");
    }
    EXPECT_EQ(notes.sorted(), Notes{"90"});
}

// ---- exceptions

TEST_P(Workers, an_exception_of_one_cancels_the_others_and_is_thrown_as_it_is) {
    const auto fail = [] { throw std::out_of_range("too far"); };
    try {
        run_workers(3, waiting_but_one(2, fail), options());
        ADD_FAILURE() << "it returned";
    } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "too far");
    }
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 1", "cancelled 2"}));
}

TEST_P(Workers, they_are_cancelled_once_whoever_ends_meanwhile) {
    const auto first = waiting_but_one(2, [] { throw ValueError("an end"); });
    const auto main = [&](std::size_t index) -> Coro<void> {
        try {
            co_await first(index);
        } catch (const CancelledError&) {
        }
        if (index == 1) {
            throw std::runtime_error("another end");
        }
        co_await asyncio::sleep(0.02);  // a clean-up that takes longer
        notes.add("cleaned up");
    };
    EXPECT_THROW(run_workers(3, main, options()), asyncio::ExceptionGroup);
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 1", "cancelled 2", "cleaned up"}));
}

TEST_P(Workers, several_exceptions_are_thrown_as_a_group) {
    const auto main = [this](std::size_t index) -> Coro<void> {
        if (index == 0) {
            ready.wait(2);
            throw ValueError("first");
        }
        try {
            co_await waiting()(index);
        } catch (const CancelledError&) {
        }
        throw std::runtime_error("while cleaning up");
    };
    try {
        run_workers(3, main, options());
        ADD_FAILURE() << "it returned";
    } catch (const asyncio::ExceptionGroup& group) {
        ASSERT_EQ(group.exceptions().size(), 3U);
        EXPECT_TRUE(asyncio::is_exception<ValueError>(group.exceptions()[0]));
        EXPECT_TRUE(asyncio::is_exception<std::runtime_error>(group.exceptions()[1]));
        EXPECT_STREQ(group.what(), "unhandled errors of workers (3 sub-exceptions)");
    }
}

TEST_P(Workers, one_that_is_cancelled_has_just_ended) {
    const auto main = [this](std::size_t index) -> Coro<void> {
        if (index == 0) {
            asyncio::current_task().cancel();
            co_await asyncio::sleep(0);
        }
        notes.add("end " + std::to_string(index));
    };
    run_workers(2, main, options());
    EXPECT_EQ(notes.sorted(), Notes{"end 1"});
}

TEST_P(Workers, SystemExit_goes_before_other_exceptions) {
    const auto main = [this](std::size_t index) -> Coro<void> {
        if (index == 0) {
            ready.wait(1);
            throw ValueError("first");
        }
        try {
            co_await waiting()(index);
        } catch (const CancelledError&) {
        }
        throw asyncio::SystemExit(3);
    };
    try {
        run_workers(2, main, options());
        ADD_FAILURE() << "it returned";
    } catch (const asyncio::SystemExit& exit) {
        EXPECT_EQ(exit.code(), 3);
    }
}

// ---- signals

TEST_P(Workers, an_interrupt_cancels_all_main_tasks) {
    EXPECT_THROW(run_workers(3, waiting_but_one(2, send(SIGINT)), options()),
                 asyncio::KeyboardInterrupt);
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 0", "cancelled 1", "cancelled 2"}));
}

TEST_P(Workers, SIGTERM_cancels_all_main_tasks) {
    try {
        run_workers(3, waiting_but_one(2, send(SIGTERM)), options());
        ADD_FAILURE() << "it returned";
    } catch (const asyncio::SystemExit& exit) {
        EXPECT_EQ(exit.code(), 128 + SIGTERM);
    }
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 0", "cancelled 1", "cancelled 2"}));
}

TEST_P(Workers, main_tasks_that_swallow_the_interrupt_return) {
    const auto first = waiting_but_one(1, send(SIGINT));
    const auto main = [&](std::size_t index) -> Coro<void> {
        try {
            co_await first(index);
        } catch (const CancelledError&) {
        }
    };
    run_workers(2, main, options());
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 0", "cancelled 1"}));
}

TEST_P(Workers, an_exception_after_an_interrupt_is_thrown) {
    const auto first = waiting_but_one(1, send(SIGINT));
    const auto main = [&](std::size_t index) -> Coro<void> {
        try {
            co_await first(index);
        } catch (const CancelledError&) {
            if (index == 1) {
                throw ValueError("while cleaning up");
            }
            throw;
        }
    };
    EXPECT_THROW(run_workers(2, main, options()), ValueError);
}

TEST_P(Workers, the_second_interrupt_breaks_all_loops) {
    const auto interrupt = send(SIGINT);
    const auto main = [&](std::size_t index) -> Coro<void> {
        try {
            co_await waiting_but_one(1, interrupt)(index);
        } catch (const CancelledError&) {
        }
        if (index == 0) {
            ready.wait(2);  // both have been cancelled
            interrupt();
        }
        co_await waiting()(index + 10);
    };
    EXPECT_THROW(run_workers(2, main, options()), asyncio::KeyboardInterrupt);
    EXPECT_EQ(notes.sorted(),
              (Notes{"cancelled 0", "cancelled 1", "cancelled 10", "cancelled 11"}));
}

TEST_P(Workers, an_interrupt_while_they_close_breaks_all_loops) {
    const auto interrupt = send(SIGINT);
    const auto clean_up = [&](std::size_t index) -> Coro<void> {
        asyncio::get_running_loop().set_exception_handler([](auto&, const auto&) {});
        try {
            co_await waiting_but_one(1, interrupt)(index);
        } catch (const CancelledError&) {
        }
        ready.add("closing");
        if (index == 0) {
            ready.wait(3);
            interrupt();
        }
        co_await wait_for_ever();
    };
    const auto main = [&](std::size_t index) -> Coro<void> {
        asyncio::create_task(clean_up, index);
        co_await asyncio::sleep(0);
        if (index == 0) {
            throw ValueError("an end");
        }
        co_await wait_for_ever();
    };
    EXPECT_THROW(run_workers(2, main, options()), asyncio::KeyboardInterrupt);
}

volatile std::sig_atomic_t own_signals = 0;
void count_signal(int) { own_signals = own_signals + 1; }

TEST_P(Workers, signals_that_the_program_handles_stay_with_it) {
    for (const int signal : {SIGINT, SIGTERM}) {
        std::signal(signal, &count_signal);
        run_workers(
            1,
            [send_it = send(signal)]() -> Coro<void> {
                send_it();
                co_return;
            },
            options());
        EXPECT_EQ(std::signal(signal, SIG_DFL), &count_signal);
    }
    EXPECT_EQ(own_signals, 2);
}

TEST_P(Workers, signals_and_descriptors_are_as_before) {
    std::signal(SIGCHLD, SIG_IGN);
    const std::set<int> descriptors = open_descriptors();
    run_workers(2, []() -> Coro<void> { co_return; }, options());
    EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_DFL);
    EXPECT_EQ(std::signal(SIGTERM, SIG_DFL), SIG_DFL);
    EXPECT_EQ(std::signal(SIGCHLD, SIG_DFL), SIG_IGN);
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_TRUE(::sigisemptyset(&blocked));
    EXPECT_EQ(open_descriptors(), descriptors);
}

// ---- threads

// The thread of a worker may get its turn later than another one has failed.
TEST(WorkerThreads, one_that_is_cancelled_before_it_begins_never_does) {
    bool has_begun = false;
    const asyncio::detail::WorkerMain main = [&](std::size_t) -> Coro<void> {
        has_begun = true;
        co_return;
    };
    asyncio::detail::Worker worker(0, main, {});
    worker.loop().call_soon([&] { worker.cancel(); });
    const std::exception_ptr end = worker.run();
    EXPECT_FALSE(has_begun);
    ASSERT_NE(end, nullptr);
    EXPECT_THROW(std::rethrow_exception(end), CancelledError);
}

TEST(WorkerThreads, signals_are_not_for_workers_of_another_thread_than_the_main_one) {
    std::thread([] {
        run_workers(2, []() -> Coro<void> {
            EXPECT_EQ(std::signal(SIGTERM, SIG_DFL), SIG_DFL);
            co_return;
        });
    }).join();
}

TEST(WorkerThreads, they_cannot_handle_signals) {
    run_workers(1, []() -> Coro<void> {
        EXPECT_THROW(asyncio::get_running_loop().add_signal_handler(SIGTERM, [] {}),
                     asyncio::RuntimeError);
        co_return;
    });
}

}  // namespace
