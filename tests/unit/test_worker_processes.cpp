// run_workers with processes: what does not hold for threads.
#include <asyncio/process_pool.hpp>

#include "loop_fixture.hpp"
#include "process_census.hpp"
#include "sanitizers.hpp"
#include "workers_fixture.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>

namespace {

class WorkerProcesses : public Workers {
protected:
    // What the test expects to end by an exception, and its text.
    template <class F>
    std::string error_of(std::size_t n, F main, bool restart = false) {
        try {
            run_workers(n, main, {.processes = true, .restart = restart});
            return "it returned";
        } catch (const std::exception& error) {
            return error.what();
        }
    }
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(WorkerProcesses, they_are_copies_of_the_program) {
    int variable = 1;
    run_workers(2,
                [&, program = ::getpid()]() -> Coro<void> {
                    EXPECT_NE(::getpid(), program);
                    notes.add(::getppid() == program ? "child " + std::to_string(++variable)
                                                     : "stranger");
                    co_return;
                },
                {.processes = true});
    EXPECT_EQ(notes.sorted(), (Notes{"child 2", "child 2"}));
    EXPECT_EQ(variable, 1);
}

TEST_F(WorkerProcesses, the_program_must_have_no_other_thread) {
    std::latch end(1);
    std::thread other([&end] { end.wait(); });
    const std::string error = error_of(1, []() -> Coro<void> { co_return; });
    end.count_down();
    other.join();
    EXPECT_TRUE(has(error, "must not have other threads, and it has 2")) << error;
}

TEST_F(WorkerProcesses, the_cause_of_an_exception_names_the_worker) {
    try {
        run_workers(1,
                    []() -> Coro<void> {
                        throw ValueError("wrong");
                        co_return;
                    },
                    {.processes = true});
        ADD_FAILURE() << "it returned";
    } catch (const ValueError& error) {
        ASSERT_TRUE(asyncio::is_exception<asyncio::RemoteError>(error.cause()));
        try {
            std::rethrow_exception(error.cause());
        } catch (const asyncio::RemoteError& cause) {
            EXPECT_TRUE(cause.where().starts_with("worker_0, process ")) << cause.where();
        }
    }
}

TEST_F(WorkerProcesses, an_exception_may_have_a_long_text) {
    const std::string text(1 << 20, 'x');
    EXPECT_EQ(error_of(1,
                       [&text]() -> Coro<void> {
                           throw ValueError(text);
                           co_return;
                       }),
              text);
}

TEST_F(WorkerProcesses, one_that_crashes_ends_the_others_and_the_error_names_the_signal) {
    const std::string error = error_of(3, waiting_but_one(2, [] { ::raise(SIGKILL); }));
    EXPECT_TRUE(error.starts_with("worker_0, process ")) << error;
    EXPECT_TRUE(error.ends_with(", was ended by SIGKILL (Killed)")) << error;
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 1", "cancelled 2"}));
}

TEST_F(WorkerProcesses, one_that_exits_ends_the_others_and_the_error_has_its_code) {
    const std::string error = error_of(2, waiting_but_one(1, [] { std::exit(3); }));
    EXPECT_TRUE(error.ends_with(", has exited with code 3")) << error;
    EXPECT_EQ(notes.sorted(), Notes{"cancelled 1"});
}

TEST_F(WorkerProcesses, what_the_program_does_at_its_exit_is_not_done_by_a_worker) {
    static const Notebook* shared = nullptr;
    static const pid_t program = ::getpid();
    shared = &notes;
    std::atexit([] {
        if (::getpid() != program) {
            shared->add("at exit");
        }
    });
    error_of(1, []() -> Coro<void> {
        std::exit(3);
        co_return;
    });
    run_workers(1, []() -> Coro<void> { co_return; }, {.processes = true});
    EXPECT_EQ(notes.sorted(), Notes());
}

TEST_F(WorkerProcesses, what_was_printed_is_written_once) {
    const PipeEnds out;
    const pid_t program = ::fork();
    if (program == 0) {
        ::dup2(out.writer.get(), STDOUT_FILENO);
        std::printf("program ");
        run_workers(1,
                    []() -> Coro<void> {
                        std::printf("worker ");
                        co_return;
                    },
                    {.processes = true});
        std::printf("end");
        std::fflush(stdout);
        ::_exit(0);
    }
    await_end(program);
    ::waitpid(program, nullptr, 0);
    char text[64] = {};
    EXPECT_GT(::read(out.reader.get(), text, sizeof text - 1), 0);
    EXPECT_STREQ(text, "program worker end");
}

TEST_F(WorkerProcesses, they_end_with_a_program_that_is_killed) {
    PipeEnds alive;
    const pid_t program = ::fork();
    if (program == 0) {
        run_workers(3, waiting(), {.processes = true});
    }
    ready.wait(3);
    ::kill(program, SIGKILL);
    await_end(program);
    ::waitpid(program, nullptr, 0);
    alive.writer = asyncio::detail::UniqueFd();
    EXPECT_EQ(read_all(alive.reader.get()), "");  // returns when no process has the other end
    EXPECT_EQ(notes.sorted(), Notes());
}

TEST_F(WorkerProcesses, one_that_has_changed_its_user_ends_with_the_program_too) {
    const pid_t program = ::fork();
    if (program == 0) {
        run_workers(1,
                    [this]() -> Coro<void> {
                        ::prctl(PR_SET_PDEATHSIG, 0);  // as the kernel does then
                        ready.add(std::to_string(::getpid()));
                        co_await wait_for_ever();
                    },
                    {.processes = true});
    }
    const census::Watch worker(std::stoi(ready.next()));
    ::kill(program, SIGKILL);
    ::waitpid(program, nullptr, 0);
    constexpr int patience = 20'000;
    if (!worker.has_ended(patience)) {
        ADD_FAILURE() << "it goes on";
        ::kill(worker.pid(), SIGKILL);
    }
}

// As a terminal does, and a service manager.
TEST_F(WorkerProcesses, a_signal_that_all_get_cancels_each_once) {
    ::setpgid(0, 0);
    for (const int signal : {SIGINT, SIGTERM}) {
        const auto main = [&](std::size_t index) -> Coro<void> {
            const auto signal_all = [signal] { ::kill(0, signal); };
            try {
                co_await waiting_but_one(2, signal_all)(index);
            } catch (const CancelledError&) {
                notes.add(std::to_string(asyncio::current_task().cancelling()) + " time");
                throw;
            }
        };
        EXPECT_THROW(run_workers(3, main, {.processes = true}), asyncio::LoopBreak);
        ready.wait(1);
    }
    EXPECT_EQ(notes.sorted(),
              (Notes{"1 time", "1 time", "1 time", "1 time", "1 time", "1 time", "cancelled 0",
                     "cancelled 0", "cancelled 1", "cancelled 1", "cancelled 2", "cancelled 2"}));
}

TEST_F(WorkerProcesses, an_interrupt_of_one_alone_does_nothing) {
    const auto main = [this]() -> Coro<void> {
        ::raise(SIGINT);
        co_await asyncio::sleep(0);
        co_await asyncio::sleep(0);
        notes.add("end");
    };
    run_workers(1, main, {.processes = true});
    EXPECT_EQ(notes.sorted(), Notes{"end"});
}

TEST_F(WorkerProcesses, one_that_gets_SIGTERM_ends_alone) {
    const auto main = [this](std::size_t index) -> Coro<void> {
        if (index == 0) {
            ::raise(SIGTERM);
            co_await waiting()(index);
        }
        notes.add("end " + std::to_string(index));
    };
    run_workers(2, main, {.processes = true});
    EXPECT_EQ(notes.sorted(), (Notes{"cancelled 0", "end 1"}));
}

TEST_F(WorkerProcesses, they_may_handle_signals) {
    run_workers(1,
                [this]() -> Coro<void> {
                    auto endings = asyncio::signals({SIGTERM, SIGINT});
                    ::raise(SIGTERM);
                    notes.add(co_await endings.next() == SIGTERM ? "SIGTERM" : "SIGINT");
                },
                {.processes = true});
    EXPECT_EQ(notes.sorted(), Notes{"SIGTERM"});
}

TEST_F(WorkerProcesses, the_third_interrupt_kills_those_that_are_stuck) {
    const auto interrupt = send(SIGINT);
    const Notebook come;
    const auto main = [&](std::size_t index) -> Coro<void> {
        if (index == 0) {
            ready.add("ready");
            come.wait(1);  // it does not get back to its loop
        }
        ready.wait(1);
        interrupt();
        for (int i = 0; i < 2; ++i) {
            try {
                co_await wait_for_ever();
            } catch (const CancelledError&) {
                interrupt();
            }
        }
    };
    EXPECT_THROW(run_workers(2, main, {.processes = true}), asyncio::KeyboardInterrupt);
}

TEST_F(WorkerProcesses, with_restart_one_that_ends_by_itself_is_replaced) {
    LogCapture log;
    const Notebook todo;
    for (const char* const what : {"crash", "SIGTERM", "throw"}) {
        todo.add(what);
    }
    const auto main = [&](std::size_t index) -> Coro<void> {
        const std::string what = index == 0 ? todo.next() : "wait";
        notes.add(what);
        if (what == "crash") {
            ::raise(SIGKILL);
        } else if (what == "SIGTERM") {
            ::raise(SIGTERM);
        } else if (what == "throw") {
            throw ValueError("enough");
        }
        co_await wait_for_ever();
    };
    EXPECT_EQ(error_of(2, main, true), "enough");
    EXPECT_EQ(notes.sorted(), (Notes{"SIGTERM", "crash", "throw", "wait"}));
    const Notes lines = log.take();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(lines[0].starts_with("worker_0, process ")) << lines[0];
    EXPECT_TRUE(lines[0].ends_with(", was ended by SIGKILL (Killed), and is replaced")) << lines[0];
    EXPECT_TRUE(lines[1].ends_with(", was asked to end, and is replaced")) << lines[1];
}

TEST_F(WorkerProcesses, with_restart_one_that_cannot_be_replaced_now_is_replaced_later) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "it needs descriptors of its own";
    }
    rlimit descriptors{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    Notes lines;
    auto outer = asyncio::set_log_sink([&](asyncio::LogLevel, std::string_view text) {
        lines.emplace_back(text);
        if (lines.size() == 2) {
            ::setrlimit(RLIMIT_NOFILE, &descriptors);
        }
    });
    const Notebook todo;
    todo.add("crash");
    todo.add("throw");
    const auto main = [&](std::size_t index) -> Coro<void> {
        const std::string what = index == 0 ? todo.next() : "wait";
        notes.add(what);
        if (what == "crash") {
            const rlimit none{0, descriptors.rlim_max};
            ::prlimit(::getppid(), RLIMIT_NOFILE, &none, nullptr);
            ::raise(SIGKILL);
        } else if (what == "throw") {
            throw ValueError("enough");
        }
        co_await wait_for_ever();
    };
    EXPECT_EQ(error_of(2, main, true), "enough");
    asyncio::set_log_sink(std::move(outer));
    EXPECT_EQ(notes.sorted(), (Notes{"crash", "throw", "wait"}));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(lines[1].starts_with("worker_0 cannot be replaced now: ")) << lines[1];
}

}  // namespace
