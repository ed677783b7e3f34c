// What a pool makes of functions that do what they should not, of a system that has nothing left,
// and of programs that fork.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "exec/shared_buffer.hpp"
#include "outcome.hpp"
#include "process_pool_fixture.hpp"
#include "sanitizers.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <latch>
#include <list>
#include <map>
#include <mutex>
#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::BrokenProcessPool;
using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;
using asyncio::ThreadFuture;

// ---- functions that fork

enum class Way { by_exception, by_result };

int fork_and_leave(Way way) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (way == Way::by_exception) {
            throw std::runtime_error("cannot execute the tool");
        }
        return -1;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

TEST(ProcessFaults, a_fork_that_comes_out_of_a_function_neither_answers_nor_takes_calls) {
    ProcessPoolExecutor pool(1);
    for (const Way way : {Way::by_exception, Way::by_result}) {
        EXPECT_EQ(pool.submit(function<&fork_and_leave>, way).result(), 1);
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ(pool.submit(function<&add>, i, i).result(), 2 * i);
        }
    }
}

// Writes to every pipe that there is, as what has gone wild may.
void answer_when_told() {
    if (::fork() != 0) {
        return;
    }
    compute_until_told();
    constexpr int fds_max = 64;
    for (int fd = 0; fd < fds_max; ++fd) {
        struct stat status{};
        const std::uint64_t bell = 64;
        if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && fd > STDERR_FILENO) {
            (void)!::write(fd, &bell, sizeof bell);
        }
    }
    ::_exit(0);
}

TEST(ProcessFaults, an_answer_to_nothing_ends_the_process_and_is_not_taken_for_another) {
    (void)page();
    ProcessPoolExecutor pool({.max_workers = 1, .restart = true});
    const census::Watch process(pool.submit(function<&process_number>).result());
    pool.submit(function<&answer_when_told>).result();
    await([] { return page().running != 0; });
    page().may_end = true;
    EXPECT_TRUE(process.has_ended(patience_ms));
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(pool.submit(function<&add>, i, i).result(), 2 * i);
    }
}

// ---- functions that print

// A thread that waits for input has the file locked.
void leave_a_file_locked() {
    static std::FILE* const file = std::fopen("/dev/null", "r");
    std::latch locked(1);
    std::thread([&locked] {
        ::flockfile(file);
        locked.count_down();
        await([] { return page().may_end.load(); });
        ::funlockfile(file);
    }).detach();
    locked.wait();
}

TEST(ProcessFaults, a_result_does_not_wait_for_a_file_that_a_thread_has_locked) {
    (void)page();
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(outcome_of(pool.submit(function<&leave_a_file_locked>)), "none");
    page().may_end = true;
}

// ---- memory, files, descriptors and processes that are used up

void limit_memory() {
    constexpr rlim_t size = rlim_t{400} << 20;
    const rlimit limit{size, size};
    ::setrlimit(RLIMIT_AS, &limit);
}
void use_memory_up() {
    while (true) {
        volatile char* const kept = new char[100];
        kept[0] = 1;
    }
}

TEST(ProcessFaults, a_function_that_uses_the_memory_up_throws_bad_alloc) {
    if (built_with_asan || built_with_tsan) {
        GTEST_SKIP() << "where a sanitizer looks after memory, it cannot be limited";
    }
    ProcessPoolExecutor pool({.max_workers = 1, .initializer = {function<&limit_memory>}});
    EXPECT_THROW(pool.submit(function<&use_memory_up>).result(), std::bad_alloc);
}

std::size_t length(const std::string& text) { return text.size(); }

TEST(ProcessFaults, an_argument_beyond_the_limit_of_files_is_an_error_and_not_a_signal) {
    ProcessPoolExecutor pool(1);
    const rlimit small{1 << 20, RLIM_INFINITY};
    const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto call = pool.submit(function<&length>, std::string(8 << 20, 'x'));
    EXPECT_NE(outcome_of(call).find("File too large"), std::string::npos) << outcome_of(call);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &large), 0);
    EXPECT_EQ(pool.submit(function<&length>, std::string(8 << 20, 'x')).result(), 8U << 20);
}

// Below it, so many descriptors are free.
rlim_t limit_that_leaves(std::size_t spare, const std::set<int>& open) {
    int limit = 0;
    for (std::size_t free = 0; free < spare || open.contains(limit); ++limit) {
        free += open.contains(limit) ? 0 : 1;
    }
    return static_cast<rlim_t>(limit);
}

// Whatever it is that there is one too few of.
TEST(ProcessFaults, a_program_without_descriptors_gets_an_error_and_the_pool_can_go_on) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    ProcessPoolExecutor pool({.max_workers = 1, .max_tasks_per_child = 1, .restart = true});
    const std::set<int> of_the_pool = open_descriptors();
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    int failures = 0;
    for (std::size_t spare = 0; spare < 12; ++spare) {
        await([&] { return open_descriptors() == of_the_pool; });
        const rlimit few{limit_that_leaves(spare, of_the_pool), before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
        try {
            EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
        } catch (const BrokenProcessPool& error) {
            ++failures;
            const std::string text = error.what();
            EXPECT_NE(text.find("Too many open files"), std::string::npos) << text;
        }
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    EXPECT_GT(failures, 3);
    EXPECT_LT(failures, 12);
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
}

int get_parent() { return ::getppid(); }
// Returns the limit as it was.
rlimit take_descriptors(pid_t server) {
    rlimit before{};
    EXPECT_EQ(::prlimit(server, RLIMIT_NOFILE, nullptr, &before), 0);
    const rlimit few{7, before.rlim_max};
    EXPECT_EQ(::prlimit(server, RLIMIT_NOFILE, &few, nullptr), 0);
    return before;
}

TEST(ProcessFaults, calls_whose_process_cannot_be_made_are_run_by_others) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    for (const bool restart : {false, true}) {
        ProcessPoolExecutor pool({.max_workers = 4, .restart = restart});
        const int server = pool.submit(function<&get_parent>).result();
        const rlimit before = take_descriptors(server);
        std::vector<ThreadFuture<int>> calls;
        for (int i = 0; i < 6; ++i) {
            calls.push_back(pool.submit(function<&add>, i, i));
        }
        for (int i = 0; i < 6; ++i) {
            EXPECT_EQ(calls[static_cast<std::size_t>(i)].result(), 2 * i);
        }
        EXPECT_EQ(pool.processes().size(), 1U);
        ASSERT_EQ(::prlimit(server, RLIMIT_NOFILE, &before, nullptr), 0);
    }
}

TEST(ProcessFaults, a_pool_that_restarts_goes_on_once_processes_can_be_made_again) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    ProcessPoolExecutor pool({.max_workers = 1, .max_tasks_per_child = 1, .restart = true});
    const int server = pool.submit(function<&get_parent>).result();
    const rlimit before = take_descriptors(server);
    const auto call = pool.submit(function<&add>, 1, 2);
    EXPECT_NE(outcome_of(call).find("could not be started: Too many open files"), std::string::npos)
        << outcome_of(call);
    ASSERT_EQ(::prlimit(server, RLIMIT_NOFILE, &before, nullptr), 0);
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
}

// ---- processes that are ended by the program

TEST(ProcessFaults, terminate_workers_reaches_processes_that_were_asked_for_just_before) {
    for (int i = 0; i < 20; ++i) {
        ProcessPoolExecutor pool(2);
        auto first = pool.submit(function<&compute_for_ever>);
        auto second = pool.submit(function<&compute_for_ever>);
        pool.terminate_workers();
        ASSERT_TRUE(outcome_of(first).starts_with("BrokenProcessPool: ")) << outcome_of(first);
        ASSERT_TRUE(outcome_of(second).starts_with("BrokenProcessPool: ")) << outcome_of(second);
        pool.shutdown();
    }
}

void ignore_sigterm() { ::signal(SIGTERM, SIG_IGN); }

TEST(ProcessFaults, idle_processes_that_ignore_terminate_workers_end_all_the_same) {
    ProcessPoolExecutor pool({.max_workers = 1, .initializer = {function<&ignore_sigterm>}});
    const census::Watch process(pool.submit(function<&process_number>).result());
    pool.terminate_workers();
    EXPECT_TRUE(process.has_ended(patience_ms));
}

void fail_when_told() {
    ignore_sigterm();
    compute_until_told();
    throw std::runtime_error("too late");
}

TEST(ProcessFaults, an_initializer_that_fails_after_terminate_workers_keeps_nobody_waiting) {
    (void)page();
    ProcessPoolExecutor pool({.max_workers = 1, .initializer = {function<&fail_when_told>}});
    const auto call = pool.submit(function<&add>, 1, 2);
    await([] { return page().running != 0; });
    pool.terminate_workers();
    page().may_end = true;
    EXPECT_TRUE(outcome_of(call).starts_with("BrokenProcessPool: "));
    pool.shutdown();
}

// Each in a thread of its own, at the same time.
TEST(ProcessFaults, two_callbacks_may_shut_the_pool_down) {
    (void)page();
    ProcessPoolExecutor pool(2);
    std::latch both(2);
    const auto shut_down = [&] {
        both.arrive_and_wait();
        pool.shutdown();
    };
    std::thread loop([&] {
        asyncio::run([&]() -> Coro<void> {
            EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
            // While the thread that ends the first call waits, another one ends the second.
            auto second = pool.submit(function<&compute_until_told>);
            second.add_done_callback(shut_down);
            auto first = pool.submit(function<&add>, 1, 2);
            first.add_done_callback([&] {
                page().may_end = true;
                shut_down();
            });
            while (!second.done()) {
                co_await asyncio::sleep(1ms);
            }
        });
    });
    loop.join();
    pool.shutdown();
}

TEST(ProcessFaults, a_killable_call_that_was_forgotten_ends_with_its_loop) {
    (void)page();
    ProcessPoolExecutor pool(1);
    std::optional<census::Watch> process;
    asyncio::run([&]() -> Coro<void> {
        (void)run_in_executor(pool, function<&compute_until_told>.killable());
        while (page().running == 0) {
            co_await asyncio::sleep(1ms);
        }
        process.emplace(page().running);
    });
    EXPECT_TRUE(process->has_ended(patience_ms));
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
}

// ---- what is left behind

std::atomic<int> counted = 0;
struct Counted {
    Counted() { ++counted; }
    Counted(const Counted&) { ++counted; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --counted; }
};
template <class Archive>
void serialize(Archive&, Counted&) {}
void take(const Counted&) {}

TEST(ProcessFaults, calls_that_fail_before_they_begin_keep_no_arguments) {
    ProcessPoolExecutor pool(1);
    auto stuck = pool.submit(function<&compute_for_ever>);
    auto waiting = pool.submit(function<&take>, Counted());
    EXPECT_EQ(counted, 1);
    pool.kill_workers();
    EXPECT_TRUE(outcome_of(waiting).starts_with("BrokenProcessPool: "));
    EXPECT_EQ(counted, 0);
    EXPECT_TRUE(outcome_of(stuck).starts_with("BrokenProcessPool: "));
}

struct LateError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
void throw_late_error() { throw LateError("the disk is full"); }

TEST(ProcessFaults, an_exception_that_was_registered_too_late_still_tells_its_type_and_text) {
    ProcessPoolExecutor pool(1);
    asyncio::register_exception<LateError>();
    const std::string text = outcome_of(pool.submit(function<&throw_late_error>));
    EXPECT_TRUE(text.starts_with("RemoteError: ")) << text;
    EXPECT_NE(text.find("LateError: the disk is full"), std::string::npos) << text;
}

// ---- threads in processes

asyncio::ThreadPoolExecutor& threads() {
    static asyncio::ThreadPoolExecutor pool(1);
    return pool;
}
int add_in_a_thread(int a, int b) { return threads().submit(add, a, b).result(); }

TEST(ProcessFaults, a_pool_of_threads_that_has_had_none_serves_the_process) {
    (void)threads();
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(pool.submit(function<&add_in_a_thread>, 1, 2).result(), 3);
}

// ---- containers of constants

using Entries = std::list<std::map<std::string, int>::value_type>;
Entries same_entries(const Entries& entries) { return entries; }

TEST(ProcessFaults, entries_of_maps_can_be_elements_of_lists) {
    ProcessPoolExecutor pool(1);
    const Entries entries{{"a", 1}, {"b", 2}};
    EXPECT_EQ(pool.submit(function<&same_entries>, entries).result(), entries);
}

// ---- large values within each other

struct Node {
    std::array<double, 8192> samples{};
    std::vector<Node> children;
};
std::unique_ptr<Node> chain(int depth) {
    auto root = std::make_unique<Node>();
    for (Node* last = root.get(); depth > 0; --depth) {
        last = &last->children.emplace_back();
    }
    return root;
}

TEST(ProcessFaults, large_values_as_deep_as_is_allowed_do_not_use_up_the_stack) {
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(outcome_of(pool.submit(function<&chain>, 150)), "none");
}

// ---- forks of the program

// What a fork of the test does with the pool; its exit code is the number of failures.
template <class F>
void in_a_fork(F body) {
    const pid_t fork = ::fork();
    ASSERT_GE(fork, 0);
    if (fork == 0) {
        body();
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(fork, &status, 0), fork);
    EXPECT_EQ(status, 0);
}

TEST(ProcessPoolForks, that_destroy_a_pool_keep_their_own_memory) {
    auto pool = std::make_unique<ProcessPoolExecutor>(2);
    asyncio::run([&]() -> Coro<void> {
        EXPECT_EQ(co_await run_in_executor(*pool, function<&add>, 1, 2), 3);
    });
    in_a_fork([&] {
        constexpr std::size_t size = std::size_t{64} << 10;
        std::vector<char*> pieces;  // where the pool's memory would be, among others
        for (int i = 0; i < 64; ++i) {
            pieces.push_back(static_cast<char*>(
                ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
            *pieces.back() = 7;
        }
        pool.reset();
        for (const char* const piece : pieces) {
            EXPECT_EQ(*piece, 7);
        }
    });
    EXPECT_EQ(pool->submit(function<&add>, 1, 2).result(), 3);
}

TEST(ProcessPoolForks, cannot_kill_what_the_program_calls) {
    (void)page();
    ProcessPoolExecutor pool(1);
    asyncio::run([&]() -> Coro<void> {
        auto call = run_in_executor(pool, function<&compute_until_told>.killable());
        while (page().running == 0) {
            co_await asyncio::sleep(1ms);
        }
        in_a_fork([&] {
            call.cancel();
            EXPECT_THROW((void)pool.processes(), asyncio::RuntimeError);
        });
        page().may_end = true;
        EXPECT_EQ(co_await outcome(call), "none");
    });
}

}  // namespace
