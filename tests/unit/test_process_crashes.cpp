// What a pool does when processes end: its own, their server, and the program.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>
#include <asyncio/testing/gtest.hpp>

#include "exec/process_pool.hpp"
#include "outcome.hpp"
#include "process_pool_fixture.hpp"
#include "sanitizers.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::BrokenProcessPool;
using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;

void end_by(int number) { ::raise(number); }
void leave(int code) { std::exit(code); }
void ignore_sigterm() {
    ::signal(SIGTERM, SIG_IGN);
    compute_for_ever();
}
void crash_when_told(int number) {
    compute_until_told();
    ::raise(number);
}
void count_and_crash() {
    ++page().started;
    ::raise(SIGSEGV);
}

// ---- a pool that is broken

TEST(ProcessCrashes, without_restart_break_the_pool_for_all_calls_and_it_can_be_destroyed) {
    const std::vector<std::pair<int, std::string>> ways{
        {SIGKILL, "SIGKILL (Killed)"}, {SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"},
        {SIGTERM, "SIGTERM"},          {SIGBUS, "SIGBUS"},   {SIGRTMIN, "signal 34"}};
    for (const auto& [number, name] : ways) {
        page().may_end = false;
        ProcessPoolExecutor pool(2);
        auto stuck = pool.submit(function<&compute_for_ever>);
        auto crashing = pool.submit(function<&crash_when_told>, number);
        auto waiting = pool.submit(function<&add>, 1, 2);
        page().may_end = true;
        const std::string text = outcome_of(crashing);
        EXPECT_TRUE(text.starts_with("BrokenProcessPool: process ")) << text;
        EXPECT_NE(text.find(name), std::string::npos) << text;
        EXPECT_TRUE(outcome_of(stuck).starts_with("BrokenProcessPool: process "));
        const std::string broken = outcome_of(waiting);
        EXPECT_TRUE(broken.starts_with("BrokenProcessPool: the pool is broken")) << broken;
        EXPECT_NE(broken.find(name), std::string::npos) << broken;
        EXPECT_THROW((void)pool.submit(function<&add>, 1, 2), BrokenProcessPool);
    }
}

TEST(ProcessCrashes, by_exit_name_the_code) {
    ProcessPoolExecutor pool(1);
    EXPECT_NE(outcome_of(pool.submit(function<&leave>, 3)).find("has exited with code 3"),
              std::string::npos);
}

TEST(ProcessCrashes, in_the_initializer_break_the_pool_even_one_that_restarts) {
    (void)page();
    ProcessPoolExecutor pool(
        {.max_workers = 1, .initializer = {function<&count_and_crash>}, .restart = true});
    EXPECT_NE(outcome_of(pool.submit(function<&add>, 1, 2)).find("SIGSEGV"), std::string::npos);
    EXPECT_THROW((void)pool.submit(function<&add>, 1, 2), BrokenProcessPool);
    EXPECT_EQ(page().started, 1);
}

// ---- messages that are never whole

struct Bomb {};
template <class Archive>
void serialize(Archive& archive, Bomb&) {
    std::string bytes(std::size_t{20} << 20, 'x');
    archive(bytes);
    if constexpr (std::is_same_v<Archive, asyncio::Reader>) {
        ::raise(SIGKILL);
    }
}
void take_bomb(const Bomb&) {}
struct LateBomb {};
template <class Archive>
void serialize(Archive& archive, LateBomb&) {
    std::string bytes(std::size_t{20} << 20, 'x');
    archive(bytes);
    ::raise(SIGKILL);
}
LateBomb make_bomb() { return {}; }

ASYNC_TEST(ProcessCrashes, while_a_message_is_read_or_written_leave_no_memory) {
    {
        ProcessPoolExecutor pool({.max_workers = 1, .restart = true});
        for (int i = 0; i < 3; ++i) {
            const std::string early =
                co_await outcome(run_in_executor(pool, function<&take_bomb>, Bomb()));
            EXPECT_TRUE(early.find("SIGKILL") < early.find("take_bomb")) << early;
            const std::string late = co_await outcome(run_in_executor(pool, function<&make_bomb>));
            EXPECT_TRUE(late.find("SIGKILL") < late.find("make_bomb")) << late;
            EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
        }
        EXPECT_EQ(census::messages_of(::getpid()), 2);
    }
    EXPECT_EQ(census::messages_of(::getpid()), 0);
}

// Messages that are taken back, because they cannot be written to their end.
struct Half {};
template <class Archive>
void serialize(Archive& archive, Half&) {
    std::string bytes(std::size_t{100} << 20, 'x');
    archive(bytes);
    throw asyncio::ValueError("no more");
}
void take_half(const Half&) {}
Half make_half() { return {}; }

std::size_t shared_bytes() {
    std::size_t size = 0;
    for (const int fd : open_descriptors()) {
        const auto path = "/proc/self/fd/" + std::to_string(fd);
        struct stat status{};
        if (std::filesystem::read_symlink(path).string().starts_with("/memfd:asyncio-message") &&
            ::fstat(fd, &status) == 0) {
            size += static_cast<std::size_t>(status.st_blocks) * 512;
        }
    }
    return size;
}

ASYNC_TEST(ProcessPools, keep_no_memory_of_large_messages) {
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(co_await outcome(run_in_executor(pool, function<&take_half>, Half())),
              "ValueError: no more");
    EXPECT_EQ(co_await outcome(run_in_executor(pool, function<&make_half>)), "ValueError: no more");
    EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
    EXPECT_LE(shared_bytes(), std::size_t{2 * 17} << 20);
    EXPECT_GT(shared_bytes(), 0);
}

struct Unwritable {};
template <class Archive>
void serialize(Archive&, Unwritable&) {
    throw asyncio::ValueError("not this");
}
void take_unwritable(const Unwritable&) {}

TEST(ProcessPoolCalls, fail_if_the_argument_of_the_initializer_cannot_be_written) {
    ProcessPoolExecutor pool(
        {.max_workers = 1, .initializer = {function<&take_unwritable>, Unwritable()}});
    try {
        (void)pool.submit(function<&add>, 1, 2);
        FAIL();
    } catch (const BrokenProcessPool& error) {
        EXPECT_NE(std::string(error.what()).find("ValueError: not this"), std::string::npos)
            << error.what();
    }
}

// ---- ending processes

TEST(ProcessCrashes, kill_workers_ends_those_that_ignored_terminate_workers) {
    ProcessPoolExecutor pool(1);
    auto call = pool.submit(function<&ignore_sigterm>);
    const census::Watch process(all_processes(pool, 1).front());
    await([&] { return (census::ignored_signals_of(process.pid()) >> (SIGTERM - 1) & 1) != 0; });
    pool.terminate_workers();
    pool.kill_workers();
    EXPECT_NE(outcome_of(call).find("SIGKILL"), std::string::npos);
}

// The call has ended, but the pool does not know yet, when somebody stops waiting for it.
ASYNC_TEST(ProcessCrashes, a_process_that_was_killed_for_one_call_gets_no_other) {
    (void)page();
    for (int i = 0; i < 20; ++i) {
        ProcessPoolExecutor pool(1);
        page().running = 0;
        page().may_end = false;
        auto unwanted = run_in_executor(pool, function<&compute_until_told>.killable());
        await([] { return page().running != 0; });
        page().may_end = true;
        // Until it waits for another call.
        await([] { return !census::status(page().running).starts_with('R'); });
        unwanted.cancel();
        CO_ASSERT_EQ(co_await outcome(run_in_executor(pool, function<&add>, 1, 2)), "none");
    }
}

TEST(ProcessCrashes, of_a_process_that_was_stopped_end_with_a_time_out) {
    asyncio::run([]() -> Coro<void> {
        ProcessPoolExecutor pool(1);
        EXPECT_EQ(co_await outcome(asyncio::wait_for(
                      run_in_executor(pool, function<&end_by>.killable(), SIGSTOP), 20ms)),
                  "TimeoutError: timed out");
        EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
    });
}

// ---- functions that the processes do not have

// One of a library that was loaded after the server had started lies where they have nothing.
class MissingCall final : public asyncio::detail::ThreadFutureStateOf<void>,
                          public asyncio::detail::RemoteCall {
public:
    MissingCall(const asyncio::detail::RemoteFunction& function, asyncio::detail::ProcessPool& pool)
        : RemoteCall(function, pool, {}) {}
    asyncio::detail::ThreadFutureState& state() noexcept override { return *this; }
    void write_arguments(asyncio::Writer&) override {}
    void read_result(asyncio::Reader&) override {}
};

TEST(ProcessPoolCalls, of_a_function_from_a_library_that_was_loaded_later_say_so) {
    const auto pool = std::make_shared<asyncio::detail::ProcessPool>(
        asyncio::ProcessPoolOptions{.max_workers = 1});
    const auto function = std::make_unique<asyncio::detail::RemoteFunction>(
        asyncio::detail::remote_function<&end_by>);
    auto* const call = new MissingCall(*function, *pool);
    const auto future = asyncio::detail::ThreadFutureAccess::make<void>(call);
    asyncio::detail::RemoteCall* const calls[] = {call};
    pool->watch_by_thread();
    pool->add(calls);
    EXPECT_TRUE(outcome_of(future).starts_with("RuntimeError: the function is in a library"))
        << outcome_of(future);
    pool->shut_down(false);
    pool->wait_ended();
}

// ---- processes that cannot be made

TEST(ProcessCrashes, a_server_without_descriptors_says_so) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    const rlimit few{8, 1024};
    const rlimit more{1024, 1024};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    asyncio::start_process_server();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
    ProcessPoolExecutor pool({.max_workers = 1, .restart = true});
    EXPECT_NE(outcome_of(pool.submit(function<&add>, 1, 2))
                  .find("could not be started: Too many open files"),
              std::string::npos);
}

TEST(ProcessCrashes, a_pool_without_processes_fails_its_calls_even_if_it_restarts) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0) {
        ASSERT_EQ(::setresuid(nobody, nobody, nobody), 0);  // root may have as many as it likes
        ::prctl(PR_SET_DUMPABLE, 1);
    }
    asyncio::start_process_server();
    const rlimit one{1, 1};
    ASSERT_EQ(::prlimit(census::server_of(::getpid()), RLIMIT_NPROC, &one, nullptr), 0);
    ProcessPoolExecutor pool({.max_workers = 2, .restart = true});
    asyncio::run([&]() -> Coro<void> {
        for (int i = 0; i < 3; ++i) {
            const std::string text = co_await outcome(run_in_executor(pool, function<&add>, 1, 2));
            EXPECT_TRUE(text.starts_with("BrokenProcessPool: ")) << text;
            EXPECT_NE(text.find("could not be started: Resource temporarily unavailable"),
                      std::string::npos)
                << text;
        }
    });
}

// ---- the server

TEST(ProcessCrashes, of_the_server_break_its_pools_and_a_new_pool_has_a_new_server) {
    for (int i = 0; i < 3; ++i) {
        std::vector<census::Watch> watches;
        asyncio::run([&]() -> Coro<void> {
            ProcessPoolExecutor pool({.max_workers = 2, .restart = true});
            auto first = run_in_executor(pool, function<&compute_for_ever>);
            auto second = run_in_executor(pool, function<&compute_for_ever>);
            auto third = run_in_executor(pool, function<&add>, 1, 2);
            co_await asyncio::sleep(0);
            while (pool.processes().size() < 2) {
                co_await asyncio::sleep(1ms);
            }
            for (const int pid : pool.processes()) {
                watches.emplace_back(pid);
            }
            ::kill(census::server_of(::getpid()), SIGKILL);
            const std::string running = co_await outcome(first);
            EXPECT_TRUE(running.starts_with("BrokenProcessPool: process ") &&
                        running.find("ended with the server of process pools") < std::string::npos)
                << running;
            EXPECT_NE(co_await outcome(second), "none");
            EXPECT_EQ(co_await outcome(third), "BrokenProcessPool: the pool is broken: the server "
                                               "of process pools has ended");
            EXPECT_THROW((void)run_in_executor(pool, function<&add>, 1, 2), BrokenProcessPool);
        });
        for (const census::Watch& watch : watches) {
            EXPECT_TRUE(watch.has_ended(patience_ms));
        }
        ProcessPoolExecutor pool(1);
        EXPECT_EQ(asyncio::run([&]() -> Coro<int> {
                      co_return co_await run_in_executor(pool, function<&add>, 1, 2);
                  }),
                  3);
        EXPECT_EQ(census::children_of(::getpid()).size(), 1);
    }
}

TEST(ProcessCrashes, of_the_server_are_told_to_a_pool_that_waits_in_a_thread) {
    {
        ProcessPoolExecutor pool(1);
        auto call = pool.submit(function<&compute_for_ever>);
        (void)all_processes(pool, 1);
        ::kill(census::server_of(::getpid()), SIGKILL);
        EXPECT_NE(outcome_of(call).find("the server of process pools"), std::string::npos);
    }
    // The pool's thread has ended with it.
    EXPECT_EQ(ProcessPoolExecutor(1).submit(function<&add>, 1, 2).result(), 3);
}

TEST(ProcessCrashes, of_the_server_cannot_be_mended_by_a_program_with_threads) {
    asyncio::start_process_server();
    ::kill(census::server_of(::getpid()), SIGKILL);
    await_end(census::server_of(::getpid()));
    std::atomic<bool> may_end = false;
    std::thread other([&] { await([&] { return may_end.load(); }); });
    try {
        ProcessPoolExecutor pool(1);
        ADD_FAILURE();
    } catch (const asyncio::RuntimeError& error) {
        EXPECT_NE(std::string(error.what()).find("has ended, and no other can be started"),
                  std::string::npos)
            << error.what();
    }
    may_end = true;
    other.join();
    EXPECT_EQ(ProcessPoolExecutor(1).submit(function<&add>, 1, 2).result(), 3);
}

// ---- the program, and forks of it

// A fork of the test that is a program with a pool of three busy processes and ends somehow.
void expect_nothing_left_after(const std::function<void()>& end) {
    PipeEnds told;
    PipeEnds may_end;
    const pid_t program = ::fork();
    ASSERT_GE(program, 0);
    if (program == 0) {
        may_end.writer = asyncio::detail::UniqueFd();
        ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would say what is wanted here
        ProcessPoolExecutor pool({.max_workers = 3, .restart = true});
        for (int i = 0; i < 5; ++i) {
            pool.submit(function<&compute_for_ever>);
        }
        std::vector<int> pids = all_processes(pool, 3);
        pids.push_back(census::parent_of(pids.front()));
        (void)!::write(told.writer.get(), pids.data(), pids.size() * sizeof(int));
        read_all(may_end.reader.get());
        end();
        std::abort();
    }
    told.writer = asyncio::detail::UniqueFd();
    may_end.reader = asyncio::detail::UniqueFd();
    int pids[4]{};
    ASSERT_EQ(::read(told.reader.get(), pids, sizeof pids), sizeof pids);
    std::vector<census::Watch> watches;
    for (const int pid : pids) {
        watches.emplace_back(pid);
    }
    may_end.writer = asyncio::detail::UniqueFd();
    for (const census::Watch& watch : watches) {
        EXPECT_TRUE(watch.has_ended(patience_ms));
    }
    EXPECT_EQ(::waitpid(program, nullptr, 0), program);
}

TEST(ProcessPoolOrphans, end_when_the_program_is_killed) {
    expect_nothing_left_after([] { ::raise(SIGKILL); });
}
TEST(ProcessPoolOrphans, end_when_the_program_crashes) {
    expect_nothing_left_after([] { ::raise(SIGSEGV); });
}
TEST(ProcessPoolOrphans, end_when_the_program_leaves_by__exit) {
    expect_nothing_left_after([] { ::_exit(0); });
}
TEST(ProcessPoolOrphans, end_when_the_program_leaves_by_exit) {
    expect_nothing_left_after([] { std::exit(0); });
}
TEST(ProcessPoolOrphans, end_when_the_thread_that_made_the_pool_is_the_only_one_to_end) {
    expect_nothing_left_after([] { std::thread([] { ::raise(SIGKILL); }).join(); });
}

// A pool ends though a fork of the program lives on with copies of its descriptors.
TEST(ProcessPoolForks, do_not_keep_a_pool_from_ending_nor_use_it) {
    PipeEnds may_end;
    ProcessPoolExecutor pool(1);
    asyncio::run([&]() -> Coro<void> {
        const int first = co_await run_in_executor(pool, function<&process_number>);
        const pid_t fork = ::fork();
        if (fork == 0) {
            may_end.writer = asyncio::detail::UniqueFd();
            read_all(may_end.reader.get());
            EXPECT_THROW((void)pool.submit(function<&add>, 1, 2), asyncio::RuntimeError);
            EXPECT_THROW(pool.shutdown(), asyncio::RuntimeError);
            EXPECT_EQ(census::messages_of(::getpid()), 0);
            pool.~ProcessPoolExecutor();
            ::_exit(::testing::Test::HasFailure() ? 1 : 0);
        }
        EXPECT_EQ(co_await run_in_executor(pool, function<&process_number>), first);
        pool.shutdown();
        may_end.writer = asyncio::detail::UniqueFd();
        int status = 0;
        EXPECT_EQ(::waitpid(fork, &status, 0), fork);
        EXPECT_EQ(status, 0);
    });
}

}  // namespace
