// Calls in other processes.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>
#include <asyncio/testing/gtest.hpp>

#include "outcome.hpp"
#include "process_census.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

namespace {

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;

int add(int a, int b) { return a + b; }
int process_number() { return ::getpid(); }
std::string twice(const std::string& text) { return text + text; }
std::size_t length(std::string_view text) { return text.size(); }
double sum(std::span<const double> numbers) {
    double total = 0;
    for (const double number : numbers) {
        total += number;
    }
    return total;
}
void end_by(int number) { ::raise(number); }
void leave(int code) { std::exit(code); }
int fail(const std::string& text) { throw asyncio::ValueError(text); }
// Whose contents cannot be sent.
struct Unsendable : std::runtime_error {
    Unsendable() : std::runtime_error("a secret") {}
};
template <class Archive>
void serialize(Archive&, Unsendable&) {
    throw std::runtime_error("no");
}
const bool unsendable_is_registered = asyncio::register_exception<Unsendable>();
void fail_secretly() { throw Unsendable(); }

struct Parser {
    [[gnu::noinline]] static void next() { throw asyncio::ValueError("not a number"); }
};
// It catches what comes from others, so the way of an error that is thrown anew begins here.
[[gnu::noinline]] void parse_all(bool know_nothing) {
    try {
        if (know_nothing) {
            Parser::next();
        }
        throw 1;
    } catch (int) {
        throw std::out_of_range("behind the end");
    }
}
void fail_deep_inside(bool know_nothing) {
    parse_all(know_nothing);
    std::fflush(nullptr);  // or the call before would be a jump, which leaves no trace
}
int fail_as(int kind) {
    struct Unknown : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
    switch (kind) {
    case 0:
        throw std::out_of_range("too far");
    case 1:
        throw std::system_error(ENOENT, std::generic_category(), "cannot open");
    case 2:
        throw Unknown("what is this");
    default:
        throw 7;
    }
}
void fail_by_the_library(int kind) {
    struct Silent : std::exception {
        const char* what() const noexcept override { return nullptr; }
    };
    switch (kind) {
    case 0:
        std::filesystem::rename("/nothing/here", "/nothing/there");
        break;
    case 1:
        asyncio::run(asyncio::fs::read_file("/nothing/here"));
        break;
    case 2:
        std::function<void()>()();
        break;
    case 3:
        try {
            throw std::runtime_error("a reason");
        } catch (...) {
            std::throw_with_nested(asyncio::ValueError("a result"));
        }
    case 4:
        std::ifstream("/nothing/here").exceptions(std::ios::failbit);
        break;
    default:
        throw Silent();
    }
}
void wait_for_ever() {
    while (true) {
        ::pause();
    }
}

struct Point {
    double x = 0;
    double y = 0;
    double times(const Point& other) const { return x * other.x + y * other.y; }
    double sum() const& { return x + y; }
    double sum_of_moved() && { return x + y; }
    bool operator==(const Point&) const = default;
};
struct Shape {
    std::string name;
    std::vector<Point> points;
    std::map<std::string, std::optional<int>> tags;
    std::variant<int, std::string> id;
    std::chrono::milliseconds age{};
    bool operator==(const Shape&) const = default;
};
Shape mirrored(Shape shape) {
    for (Point& point : shape.points) {
        point.x = -point.x;
    }
    return shape;
}

ASYNC_TEST(ProcessPools, a_call_runs_in_another_process_and_gives_its_result) {
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
    const int number = co_await run_in_executor(pool, function<&process_number>);
    EXPECT_NE(number, ::getpid());
    while (pool.processes().empty()) {  // the server may tell later than the process answers
        co_await asyncio::sleep(0);
    }
    EXPECT_EQ(pool.processes(), std::vector<int>{number});
}

ASYNC_TEST(ProcessPools, what_can_be_called_is_what_has_a_name_when_the_program_is_compiled) {
    ProcessPoolExecutor pool(1);
    constexpr auto negate = [](int number) { return -number; };
    EXPECT_EQ(co_await run_in_executor(pool, function<negate>, 7), -7);
    EXPECT_EQ(co_await run_in_executor(pool, function<&Point::times>, Point{1, 2}, Point{3, 4}),
              11);
    EXPECT_EQ(co_await run_in_executor(pool, function<&Point::sum>, Point{1, 2}), 3);
    EXPECT_EQ(co_await run_in_executor(pool, function<&Point::sum_of_moved>, Point{1, 2}), 3);
    EXPECT_EQ(function<&add>(1, 2), 3);  // here
}

ASYNC_TEST(ProcessPools, arguments_convert_as_in_a_call) {
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1.9, true), 2);
    EXPECT_EQ(co_await run_in_executor(pool, function<&length>, "four"), 4u);
    EXPECT_EQ(co_await run_in_executor(pool, function<&length>, std::string_view("three")), 5u);
    EXPECT_EQ(co_await run_in_executor(pool, function<&sum>, std::array{1.5, 2.0}), 3.5);
}

ASYNC_TEST(ProcessPools, structs_of_anything_go_there_and_back) {
    ProcessPoolExecutor pool(1);
    const Shape shape{"star", {{1, 2}, {3, 4}}, {{"a", 1}, {"b", {}}}, "seven", 5ms};
    Shape expected = shape;
    expected.points = {{-1, 2}, {-3, 4}};
    EXPECT_EQ(co_await run_in_executor(pool, function<&mirrored>, shape), expected);
}

ASYNC_TEST(ProcessPools, megabytes_go_there_and_back) {
    ProcessPoolExecutor pool(1);
    for (const std::size_t size : {std::size_t{1} << 20, std::size_t{17} << 20, std::size_t{1}}) {
        const std::string text(size, 'x');
        EXPECT_EQ(co_await run_in_executor(pool, function<&twice>, text), text + text);
        EXPECT_EQ(co_await run_in_executor(pool, function<&length>, text), size);
    }
    const std::vector<double> numbers(100'000, 0.5);
    EXPECT_EQ(co_await run_in_executor(pool, function<&sum>, numbers), 50'000);
}

ASYNC_TEST(ProcessPools, exceptions_keep_their_type_if_it_is_known) {
    ProcessPoolExecutor pool(1);
    EXPECT_EQ(co_await outcome(run_in_executor(pool, function<&fail>, "no")), "ValueError: no");
    EXPECT_EQ(co_await outcome(run_in_executor(pool, function<&fail_as>, 0)),
              "out_of_range: too far");
    EXPECT_EQ(co_await outcome(run_in_executor(pool, function<&fail_as>, 1)),
              "system_error: cannot open: No such file or directory");
    const std::string unknown = co_await outcome(run_in_executor(pool, function<&fail_as>, 2));
    EXPECT_TRUE(unknown.starts_with("RemoteError: ") &&
                unknown.find("Unknown: what is this (thrown by fail_as") != std::string::npos)
        << unknown;
    const std::string number = co_await outcome(run_in_executor(pool, function<&fail_as>, 3));
    EXPECT_TRUE(number.starts_with("RemoteError: int (thrown by fail_as")) << number;
    const std::string secret = co_await outcome(run_in_executor(pool, function<&fail_secretly>));
    EXPECT_NE(secret.find("Unsendable: a secret (thrown by fail_secretly"), std::string::npos)
        << secret;
    EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
}

// What it tells here must be what it tells there.
TEST(ProcessPoolCalls, keep_the_type_and_the_text_of_errors_of_the_libraries) {
    ProcessPoolExecutor pool(1);
    for (const int kind : {0, 1, 2, 3}) {
        std::string here;
        try {
            fail_by_the_library(kind);
        } catch (...) {
            here = asyncio::describe_exception(std::current_exception());
        }
        const auto call = pool.submit(function<&fail_by_the_library>, kind);
        EXPECT_EQ(asyncio::describe_exception(call.exception()), here);
    }
    // The library throws what is derived from that, and has no other name.
    EXPECT_THROW(pool.submit(function<&fail_by_the_library>, 4).result(), std::ios_base::failure);
    EXPECT_THROW(pool.submit(function<&fail_by_the_library>, 5).result(), asyncio::RemoteError);
}

ASYNC_TEST(ProcessPools, an_error_tells_which_function_has_thrown_it_and_who_called_that) {
    ProcessPoolExecutor pool(1);
    const int number = co_await run_in_executor(pool, function<&process_number>);
    const std::string process = " in process " + std::to_string(number);
    try {
        co_await run_in_executor(pool, function<&fail_deep_inside>, true);
        ADD_FAILURE();
    } catch (const asyncio::ValueError& error) {
        try {
            std::rethrow_exception(error.cause());
        } catch (const asyncio::RemoteError& remote) {
            EXPECT_EQ(remote.where(),
                      "Parser::next, called by parse_all, called by fail_deep_inside," + process);
        }
    }
    try {
        co_await run_in_executor(pool, function<&fail_deep_inside>, false);
        ADD_FAILURE();
    } catch (const std::out_of_range& error) {
        try {
            std::rethrow_if_nested(error);
            ADD_FAILURE();
        } catch (const asyncio::RemoteError& remote) {
            EXPECT_EQ(remote.where(), "parse_all, called by fail_deep_inside," + process);
            EXPECT_EQ(remote.text(), "behind the end");
        }
    }
}

ASYNC_TEST(ProcessPools, a_crash_breaks_the_pool_and_says_by_what) {
    for (const auto& [number, name] : {std::pair(SIGSEGV, "SIGSEGV"), std::pair(SIGKILL, "SIGKILL"),
                                       std::pair(SIGABRT, "SIGABRT")}) {
        ProcessPoolExecutor pool(1);
        auto crashing = run_in_executor(pool, function<&end_by>, number);
        auto waiting = run_in_executor(pool, function<&add>, 1, 2);
        const std::string text = co_await outcome(crashing);
        EXPECT_TRUE(text.starts_with("BrokenProcessPool: process ")) << text;
        EXPECT_NE(text.find(name), std::string::npos) << text;
        EXPECT_NE(text.find("end_by"), std::string::npos) << text;
        EXPECT_TRUE(
            (co_await outcome(waiting)).starts_with("BrokenProcessPool: the pool is broken"));
        EXPECT_THROW((void)run_in_executor(pool, function<&add>, 1, 2), asyncio::BrokenProcessPool);
    }
}

ASYNC_TEST(ProcessPools, one_that_restarts_fails_only_the_call_that_crashed) {
    ProcessPoolExecutor pool({.max_workers = 1, .restart = true});
    for (int i = 0; i < 10; ++i) {
        auto crashing = run_in_executor(pool, function<&end_by>, SIGKILL);
        auto leaving = run_in_executor(pool, function<&leave>, 3);
        auto working = run_in_executor(pool, function<&add>, i, i);
        EXPECT_NE((co_await outcome(crashing)).find("SIGKILL"), std::string::npos);
        EXPECT_NE((co_await outcome(leaving)).find("exited with code 3"), std::string::npos);
        EXPECT_EQ(co_await working, 2 * i);
    }
}

ASYNC_TEST(ProcessPools, a_call_that_waits_for_its_turn_can_be_cancelled) {
    ProcessPoolExecutor pool({.max_workers = 1, .restart = true});
    auto running = run_in_executor(pool, function<&wait_for_ever>.killable());
    auto waiting = run_in_executor(pool, function<&add>, 1, 2);
    EXPECT_TRUE(waiting.cancel());
    EXPECT_EQ(co_await outcome(waiting), "cancelled");
    running.cancel();
    EXPECT_EQ(co_await outcome(running), "cancelled");
    EXPECT_EQ(co_await run_in_executor(pool, function<&add>, 1, 2), 3);
}

// On a real clock: a virtual one stands still while a call runs.
TEST(ProcessPoolCalls, that_are_killable_end_with_their_time_out_and_the_pool_goes_on) {
    asyncio::run([]() -> Coro<void> {
        ProcessPoolExecutor pool(1);
        const int before = co_await run_in_executor(pool, function<&process_number>);
        EXPECT_EQ(co_await outcome(asyncio::wait_for(
                      run_in_executor(pool, function<&wait_for_ever>.killable()), 20ms)),
                  "TimeoutError: timed out");
        EXPECT_NE(co_await run_in_executor(pool, function<&process_number>), before);
    });
}

std::vector<std::string> standard_files() {
    std::vector<std::string> names;
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        names.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(number)));
    }
    return names;
}

TEST(ProcessPoolCalls, print_to_nowhere_if_the_program_has_closed_its_standard_files) {
    const pid_t program = ::fork();
    if (program == 0) {
        ::close_range(STDIN_FILENO, STDERR_FILENO, 0);
        ProcessPoolExecutor pool(1);
        const bool same = pool.submit(function<&standard_files>).result() ==
                          std::vector<std::string>(3, "/dev/null");
        pool.shutdown();
        ::_exit(same ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(program, &status, 0), program);
    EXPECT_EQ(status, 0);
}

// How long the kernel lets this thread run at a time; 0 if it does not tell, or the thread is not
// scheduled as usual.
std::uint64_t time_slice() {
    struct {
        std::uint32_t size, policy;
        std::uint64_t flags;
        std::int32_t nice;
        std::uint32_t priority;
        std::uint64_t runtime, deadline, period;
    } attributes{};
    ::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0U);
    return attributes.policy == SCHED_OTHER ? attributes.runtime : 0;
}

TEST(ProcessPoolCalls, let_a_loop_that_wakes_go_first) {
    if (time_slice() == 0) {
        GTEST_SKIP() << "this kernel gives all threads the same slices";
    }
    ProcessPoolExecutor pool(1);
    EXPECT_GT(pool.submit(function<&time_slice>).result(), time_slice());
}

TEST(ProcessPoolCalls, need_no_loop) {
    ProcessPoolExecutor pool(2);
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
    std::vector<std::string> texts{"a", "b", "c", "d", "e"};
    std::string all;
    for (const auto& future : pool.map(function<&twice>, texts, 2)) {
        all += future.result();
    }
    EXPECT_EQ(all, "aabbccddee");
    pool.shutdown();
    EXPECT_THROW(pool.submit(function<&add>, 1, 2), asyncio::RuntimeError);
}

TEST(ProcessPoolCalls, of_a_chunk_go_together) {
    ProcessPoolExecutor pool(1);
    for (const auto& future : pool.map(function<&twice>, std::vector<std::string>(4, "a"), 4)) {
        EXPECT_FALSE(future.cancel());
    }
}

TEST(ProcessPoolCalls, of_a_chunk_fail_one_by_one) {
    ProcessPoolExecutor pool(1);
    const auto futures = pool.map(function<&fail_as>, std::vector<int>{0, 1, 0}, 3);
    EXPECT_THROW(futures[0].result(), std::out_of_range);
    EXPECT_THROW(futures[1].result(), std::system_error);
    EXPECT_THROW(futures[2].result(), std::out_of_range);
}

TEST(ProcessPoolCalls, a_process_ends_after_its_share) {
    ProcessPoolExecutor pool({.max_workers = 1, .max_tasks_per_child = 2});
    const int first = pool.submit(function<&process_number>).result();
    EXPECT_EQ(pool.submit(function<&process_number>).result(), first);
    EXPECT_NE(pool.submit(function<&process_number>).result(), first);
}

int initialised = 0;
void initialise(const std::string& text, int factor) {
    initialised = static_cast<int>(text.size()) * factor;
}
int get_initialised() { return initialised; }

TEST(ProcessPoolCalls, the_initializer_runs_first_in_each_process) {
    ProcessPoolExecutor pool({.max_workers = 1, .initializer = {function<&initialise>, "abc", 5}});
    EXPECT_EQ(pool.submit(function<&get_initialised>).result(), 15);
    EXPECT_EQ(initialised, 0);
}

TEST(ProcessPoolCalls, an_initializer_that_fails_breaks_the_pool) {
    ProcessPoolExecutor pool({.max_workers = 1, .initializer = {function<&fail>, "no model"}});
    try {
        pool.submit(function<&add>, 1, 2).result();
        FAIL();
    } catch (const asyncio::BrokenProcessPool& error) {
        EXPECT_NE(std::string(error.what()).find("ValueError: no model"), std::string::npos)
            << error.what();
    }
}

TEST(ProcessPoolCalls, go_on_when_all_processes_of_the_program_are_asked_to_end) {
    asyncio::start_process_server();
    const pid_t server = census::server_of(::getpid());
    ProcessPoolExecutor pool(1);
    // An answer to a call that needs a new process tells that the server has its signals.
    EXPECT_EQ(pool.submit(function<&add>, 1, 2).result(), 3);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        ::kill(server, number);
        ProcessPoolExecutor another(1);
        EXPECT_EQ(another.submit(function<&add>, 1, number).result(), 1 + number);
    }
    const int worker = pool.submit(function<&process_number>).result();
    ::kill(worker, SIGINT);
    EXPECT_EQ(pool.submit(function<&process_number>).result(), worker);
    ::kill(worker, SIGTERM);
    EXPECT_THROW((void)pool.submit(function<&wait_for_ever>).result(), asyncio::BrokenProcessPool);
}

TEST(ProcessPoolCalls, workers_can_be_killed) {
    ProcessPoolExecutor pool(2);
    auto stuck = pool.submit(function<&wait_for_ever>);
    while (pool.processes().empty()) {
        ::sched_yield();
    }
    pool.kill_workers();
    EXPECT_THROW(stuck.result(), asyncio::BrokenProcessPool);
    EXPECT_THROW(pool.submit(function<&add>, 1, 2), asyncio::BrokenProcessPool);
}

}  // namespace
