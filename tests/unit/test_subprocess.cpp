// Programs that are started, talked with and waited for.
#include <asyncio/asyncio.hpp>
#include <asyncio/subprocess.hpp>
#include <asyncio/testing/gtest.hpp>

#include "outcome.hpp"
#include "process_fixture.hpp"
#include "socket_pairs.hpp"

#include <csignal>
#include <filesystem>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Process;
using asyncio::subprocess::DEVNULL;
using asyncio::subprocess::PIPE;
using asyncio::subprocess::STDOUT;

namespace {

asyncio::ProcessOptions all_pipes() { return {.stdin = PIPE, .stdout = PIPE, .stderr = PIPE}; }

Coro<Process> shell(std::string command) {
    return asyncio::create_subprocess_shell(std::move(command), all_pipes());
}

ASYNC_TEST(Processes, S292_communicate_feeds_reads_both_pipes_and_waits) {
    Process process = co_await shell("cat; echo error >&2; exit 3");
    auto [out, err] = co_await process.communicate("some data");
    EXPECT_EQ(out, "some data");
    EXPECT_EQ(err, "error\n");
    EXPECT_EQ(process.returncode(), 3);
}

ASYNC_TEST(Processes, S292_megabytes_go_in_and_out_at_the_same_time) {
    Process process = co_await asyncio::create_subprocess_exec({"cat"}, all_pipes());
    const std::string text(5'000'000, 'x');
    const asyncio::ProcessOutput output = co_await process.communicate(text);
    EXPECT_EQ(output.out, text);
}

ASYNC_TEST(Processes, S292_communicate_works_without_input_and_without_pipes) {
    Process empty = co_await asyncio::create_subprocess_exec({"cat"}, all_pipes());
    EXPECT_EQ((co_await empty.communicate()).out, "");
    EXPECT_EQ(empty.returncode(), 0);
    Process bare = co_await asyncio::create_subprocess_exec({"true"});
    EXPECT_EQ((co_await bare.communicate()).out, "");
    Process deaf = co_await asyncio::create_subprocess_exec({"true"});
    EXPECT_EQ((co_await outcome(deaf.communicate("text"))).substr(0, 13), "RuntimeError:");
    co_await deaf.wait();
}

ASYNC_TEST(Processes, S292_a_program_that_does_not_read_its_input_is_no_error) {
    Process process = co_await shell("exit 0");
    co_await process.communicate(std::string(1'000'000, 'x'));
    EXPECT_EQ(process.returncode(), 0);
}

ASYNC_TEST(Processes, S293_wait_gives_the_exit_code_or_minus_the_signal) {
    Process process = co_await asyncio::create_subprocess_shell("exit 7");
    EXPECT_EQ(process.returncode(), std::nullopt);
    EXPECT_EQ(co_await process.wait(), 7);
    EXPECT_EQ(co_await process.wait(), 7);
    Process sleeper = co_await asyncio::create_subprocess_exec({"sleep", "100"});
    EXPECT_GT(sleeper.pid(), 0);
    sleeper.kill();
    EXPECT_EQ(co_await sleeper.wait(), -SIGKILL);
    Process other = co_await asyncio::create_subprocess_exec({"sleep", "100"});
    other.terminate();
    EXPECT_EQ(co_await other.wait(), -SIGTERM);
}

ASYNC_TEST(Processes, S293_everybody_who_waits_gets_it_and_cancelling_one_harms_nobody) {
    Process process = co_await shell("read line; exit 5");
    auto first = asyncio::create_task(process.wait());
    auto second = asyncio::create_task(process.wait());
    auto third = asyncio::create_task(process.wait());
    co_await asyncio::sleep(0);
    second.cancel();
    process.stdin().write("go\n");
    EXPECT_EQ(co_await first, 5);
    EXPECT_EQ(co_await third, 5);
    EXPECT_TRUE(second.cancelled());
}

ASYNC_TEST(Processes, B33_S294_wait_does_not_wait_for_a_grandchild_that_holds_the_pipe) {
    Process process = co_await shell("sleep 100 & echo $!");
    EXPECT_EQ(co_await process.wait(), 0);
    const std::string grandchild = co_await process.stdout().readline();
    ::kill(std::stoi(grandchild), SIGKILL);
}

ASYNC_TEST(Processes, S295_writing_to_a_program_that_has_ended_fails_in_drain) {
    Process process = co_await shell("exit 0");
    co_await process.wait();
    asyncio::StreamWriter writer = process.stdin();
    std::string ended = "none";
    for (int i = 0; i < 100 && ended == "none"; ++i) {
        writer.write(std::string(100'000, 'x'));
        ended = co_await outcome(writer.drain());
    }
    EXPECT_EQ(ended.substr(0, 13), "system_error:");
}

ASYNC_TEST(Processes, S296_much_output_waits_for_its_reader_and_stays_after_the_end) {
    asyncio::ProcessOptions options{.stdout = PIPE};
    options.limit = 10;
    Process process =
        co_await asyncio::create_subprocess_exec({"head", "-c", "1000000", "/dev/zero"}, options);
    for (int i = 0; i < 100; ++i) {
        co_await asyncio::sleep(0);
    }
    EXPECT_EQ(process.returncode(), std::nullopt);
    EXPECT_EQ((co_await process.stdout().read()).size(), 1'000'000U);
    EXPECT_EQ(co_await process.wait(), 0);

    Process done = co_await asyncio::create_subprocess_shell("echo short", {.stdout = PIPE});
    co_await done.wait();
    EXPECT_EQ(co_await done.stdout().read(), "short\n");
}

ASYNC_TEST(Processes, S297_a_program_that_has_ended_gets_no_signal) {
    Process process = co_await asyncio::create_subprocess_exec({"true"});
    co_await process.wait();
    try {
        process.send_signal(SIGTERM);
        ADD_FAILURE() << "no error";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::no_such_process);
    }
}

ASYNC_TEST(Processes, S298_the_last_handle_kills_a_program_that_runs) {
    int pid = 0;
    {
        Process process = co_await asyncio::create_subprocess_exec({"sleep", "100"}, all_pipes());
        pid = process.pid();
        EXPECT_EQ(::kill(pid, 0), 0);
    }
    EXPECT_EQ(::kill(pid, 0), -1);
    EXPECT_EQ(errno, ESRCH);
}

ASYNC_TEST(Processes, B33_S298_S299_cancelling_the_start_at_any_step_leaves_nothing) {
    const std::size_t watched = socket_tests::watched();
    int steps = 0;
    for (bool finished = false; !finished; ++steps) {
        auto starting =
            asyncio::create_task(asyncio::create_subprocess_exec({"sleep", "100"}, all_pipes()));
        co_await socket_tests::turns(steps);
        finished = !starting.cancel();
        co_await outcome(starting);
        starting = {};
        co_await socket_tests::turns(5);
        EXPECT_EQ(socket_tests::watched(), watched) << steps;
        EXPECT_FALSE(has_children()) << steps;
    }
    EXPECT_GT(steps, 2);
}

ASYNC_TEST(Processes, S302_a_program_that_cannot_be_started_leaks_nothing) {
    const auto descriptors = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    const auto before = descriptors();
    EXPECT_NE(co_await outcome(asyncio::create_subprocess_exec({"/no/such/program"}, all_pipes())),
              "none");
    EXPECT_NE(co_await outcome(asyncio::create_subprocess_exec({}, all_pipes())), "none");
    EXPECT_EQ(descriptors(), before);
}

ASYNC_TEST(Processes, standard_streams_lead_where_they_are_told) {
    Process merged = co_await asyncio::create_subprocess_shell("echo out; echo err >&2",
                                                               {.stdout = PIPE, .stderr = STDOUT});
    EXPECT_EQ((co_await merged.communicate()).out, "out\nerr\n");
    Process nowhere = co_await asyncio::create_subprocess_shell(
        "cat; echo gone", {.stdin = DEVNULL, .stdout = DEVNULL});
    EXPECT_EQ(co_await nowhere.wait(), 0);
    EXPECT_THROW((void)nowhere.stdout(), asyncio::RuntimeError);
    EXPECT_THROW((void)nowhere.stdin(), asyncio::RuntimeError);
    auto [near, far] = asyncio::socketpair();
    Process given = co_await asyncio::create_subprocess_shell(
        "echo there; pwd; echo $WORD",
        {.stdout = far.fileno(), .cwd = "/", .env = std::vector<std::string>{"WORD=secret"}});
    EXPECT_EQ(co_await given.wait(), 0);
    EXPECT_EQ(co_await asyncio::sock_recv(near, 100), "there\n/\nsecret\n");
}

ASYNC_TEST(Processes, a_conversation_line_by_line) {
    Process process = co_await asyncio::create_subprocess_shell(
        "while read line; do echo \"you said $line\"; done", all_pipes());
    asyncio::StreamReader from = process.stdout();
    for (const char* word : {"one", "two", "three"}) {
        process.stdin().write(std::string(word) + "\n");
        EXPECT_EQ(co_await from.readline(), std::string("you said ") + word + "\n");
    }
    process.stdin().close();
    EXPECT_EQ(co_await process.wait(), 0);
}

TEST(ProcessLifetimes, a_loop_that_closes_kills_what_its_tasks_started) {
    int pid = 0;
    auto loop = asyncio::new_event_loop();
    loop->set_exception_handler([](asyncio::EventLoop&, const asyncio::ErrorContext&) {});
    auto task = loop->create_task([&pid]() -> Coro<void> {
        Process process = co_await asyncio::create_subprocess_exec({"sleep", "100"}, all_pipes());
        pid = process.pid();
        co_await process.wait();
    });
    for (int i = 0; i < 100 && pid == 0; ++i) {
        loop->run_once(asyncio::Duration::zero());
    }
    ASSERT_GT(pid, 0);
    loop.reset();
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ProcessLifetimes, a_handle_may_outlive_its_loop) {
    std::optional<Process> kept;
    asyncio::run(
        [](std::optional<Process>& target) -> Coro<void> {
            target = co_await asyncio::create_subprocess_exec({"cat"}, all_pipes());
        },
        std::ref(kept));
    kept->kill();
    kept.reset();
}

}  // namespace
