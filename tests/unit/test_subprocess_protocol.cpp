// Programs with a protocol: what it is told, and the transport that the program is.
#include <asyncio/subprocess.hpp>
#include <asyncio/testing/gtest.hpp>

#include "process_fixture.hpp"
#include "socket_pairs.hpp"

#include <algorithm>
#include <csignal>

using asyncio::Coro;
using asyncio::SubprocessTransport;
using asyncio::subprocess::DEVNULL;
using asyncio::subprocess::PIPE;
using socket_tests::turns;

namespace {

// Notes every call, and what came from each pipe.
struct Noting : asyncio::SubprocessProtocol {
    explicit Noting(asyncio::Future<void> ended) : ended(std::move(ended)) {}

    void connection_made(std::shared_ptr<SubprocessTransport> made) override {
        calls.emplace_back("made");
        transport = std::move(made);
        if (fails) {
            throw asyncio::RuntimeError("made");
        }
    }
    void pipe_data_received(int fd, std::string_view data) override {
        calls.push_back("data " + std::to_string(fd));
        received[static_cast<std::size_t>(fd)] += data;
        if (fails) {
            throw asyncio::RuntimeError("data");
        }
    }
    void pipe_connection_lost(int fd, const std::exception_ptr& error) override {
        calls.push_back("lost " + std::to_string(fd) + (error == nullptr ? "" : " with an error"));
        if (fails) {
            throw asyncio::RuntimeError("lost");
        }
    }
    void process_exited() override {
        calls.emplace_back("exited");
        returncode = transport->get_returncode();
        if (fails) {
            throw asyncio::RuntimeError("exited");
        }
    }
    void connection_lost(const std::exception_ptr& error) override {
        calls.emplace_back(error == nullptr ? "lost" : "lost with an error");
        transport.reset();
        ended.set_result();
    }
    void pause_writing() override { calls.emplace_back("pause"); }
    void resume_writing() override { calls.emplace_back("resume"); }

    auto place(std::string_view call) const { return std::find(calls.begin(), calls.end(), call); }

    asyncio::Future<void> ended;
    bool fails = false;
    std::shared_ptr<SubprocessTransport> transport;
    std::vector<std::string> calls;
    std::string received[3];
    std::optional<int> returncode;
};

auto make_noting() {
    return [ended = asyncio::get_running_loop().create_future<void>()] {
        return std::make_shared<Noting>(ended);
    };
}

ASYNC_TEST(SubprocessProtocols, S300_the_order_of_what_a_protocol_is_told) {
    auto [transport, protocol] =
        co_await asyncio::subprocess_shell(make_noting(), "cat; echo error >&2; exit 3");
    EXPECT_EQ(protocol->calls, std::vector<std::string>{"made"});
    EXPECT_EQ(protocol->transport, transport);
    EXPECT_GT(transport->get_pid(), 0);
    EXPECT_EQ(transport->get_returncode(), std::nullopt);
    EXPECT_EQ(transport->get_pipe_transport(3), nullptr);
    EXPECT_EQ(transport->get_pipe_transport(-1), nullptr);
    transport->get_pipe_transport(0)->write("input");
    transport->get_pipe_transport(0)->write_eof();
    co_await protocol->ended;
    EXPECT_EQ(protocol->received[1], "input");
    EXPECT_EQ(protocol->received[2], "error\n");
    EXPECT_EQ(protocol->returncode, 3);
    EXPECT_EQ(transport->get_returncode(), 3);
    EXPECT_TRUE(transport->is_closing());
    const auto& calls = protocol->calls;
    EXPECT_EQ(calls.back(), "lost");
    for (const char* const once : {"made", "lost 0", "lost 1", "lost 2", "exited", "lost"}) {
        EXPECT_EQ(std::count(calls.begin(), calls.end(), once), 1) << once;
    }
    for (const char* const fd : {"1", "2"}) {
        const auto lost = protocol->place(std::string("lost ") + fd);
        EXPECT_LT(protocol->place(std::string("data ") + fd), lost);
        EXPECT_EQ(std::find(lost, calls.end(), std::string("data ") + fd), calls.end());
    }
}

ASYNC_TEST(SubprocessProtocols, S300_connection_lost_waits_for_a_pipe_that_a_grandchild_holds) {
    auto [transport, protocol] =
        co_await asyncio::subprocess_shell(make_noting(), "sleep 100 & echo $!", {.stdout = PIPE});
    while (protocol->returncode != 0 || !protocol->received[1].ends_with('\n')) {
        co_await turns(1);
    }
    co_await turns(5);
    EXPECT_EQ(protocol->calls.size(), 3U);
    ::kill(std::stoi(protocol->received[1]), SIGKILL);
    co_await protocol->ended;
    EXPECT_EQ(protocol->calls.at(3), "lost 1");
    EXPECT_EQ(protocol->calls.at(4), "lost");
}

ASYNC_TEST(SubprocessProtocols, S300_without_pipes_there_is_only_the_end) {
    auto [transport, protocol] =
        co_await asyncio::subprocess_exec(make_noting(), {"true"}, {.stdin = DEVNULL});
    EXPECT_EQ(transport->get_pipe_transport(0), nullptr);
    co_await protocol->ended;
    EXPECT_EQ(protocol->calls, (std::vector<std::string>{"made", "exited", "lost"}));
}

ASYNC_TEST(SubprocessProtocols, S300_the_limits_of_standard_input_reach_the_protocol) {
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"cat"});
    transport->get_pipe_transport(0)->write(std::string(1'000'000, 'x'));
    EXPECT_EQ(protocol->calls.back(), "pause");
    transport->get_pipe_transport(0)->write_eof();
    co_await protocol->ended;
    EXPECT_EQ(std::count(protocol->calls.begin(), protocol->calls.end(), "resume"), 1);
    EXPECT_EQ(protocol->received[1].size(), 1'000'000U);
}

ASYNC_TEST(SubprocessProtocols, S285_what_a_method_throws_is_reported_and_changes_nothing) {
    auto [transport, protocol] =
        co_await asyncio::subprocess_shell(make_noting(), "echo out", {.stdout = PIPE});
    protocol->fails = true;
    co_await protocol->ended;
    EXPECT_EQ(protocol->received[1], "out\n");
    EXPECT_EQ(reports().size(), 3U);
    reports().clear();
}

ASYNC_TEST(SubprocessProtocols, S304_pipes_carry_bytes_as_they_are) {
    std::string every_byte("\r\n");
    for (int byte = 0; byte < 256; ++byte) {
        every_byte += static_cast<char>(byte);
    }
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"cat"});
    transport->get_pipe_transport(0)->write(every_byte);
    transport->get_pipe_transport(0)->write_eof();
    co_await protocol->ended;
    EXPECT_EQ(protocol->received[1], every_byte);
}

ASYNC_TEST(SubprocessProtocols, S297_signals_reach_the_program_and_nobody_after_its_end) {
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"cat"});
    transport->terminate();
    co_await protocol->ended;
    EXPECT_EQ(transport->get_returncode(), -SIGTERM);
    EXPECT_THROW(transport->kill(), std::system_error);
    auto [other, its_protocol] = co_await asyncio::subprocess_exec(make_noting(), {"cat"});
    other->send_signal(SIGHUP);
    co_await its_protocol->ended;
    EXPECT_EQ(other->get_returncode(), -SIGHUP);
}

ASYNC_TEST(SubprocessProtocols, S298_close_kills_a_program_that_runs) {
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"sleep", "100"});
    EXPECT_FALSE(transport->is_closing());
    transport->close();
    EXPECT_TRUE(transport->is_closing());
    EXPECT_EQ(protocol->calls, std::vector<std::string>{"made"}) << "never from inside close()";
    co_await protocol->ended;
    EXPECT_EQ(transport->get_returncode(), -SIGKILL);
    EXPECT_EQ(protocol->calls.back(), "lost");
    transport->close();
    transport->abort();
}

ASYNC_TEST(SubprocessProtocols, S298_close_does_not_kill_a_program_that_has_ended) {
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"cat"});
    transport->terminate();
    await_end(transport->get_pid());
    transport->close();
    co_await protocol->ended;
    EXPECT_EQ(transport->get_returncode(), -SIGTERM);
}

ASYNC_TEST(SubprocessProtocols, S298_abort_drops_what_waits_for_the_program) {
    auto [transport, protocol] = co_await asyncio::subprocess_exec(make_noting(), {"sleep", "100"});
    transport->get_pipe_transport(0)->write(std::string(1'000'000, 'x'));
    transport->abort();
    EXPECT_EQ(transport->get_pipe_transport(0)->get_write_buffer_size(), 0U);
    co_await protocol->ended;
    EXPECT_NE(protocol->place("lost 0"), protocol->calls.end());
}

ASYNC_TEST(SubprocessProtocols, S298_S299_cancelling_the_start_at_any_step_leaves_nothing) {
    const std::size_t watched = socket_tests::watched();
    const auto before = open_descriptors();
    int steps = 0;
    for (bool finished = false; !finished; ++steps) {
        std::shared_ptr<Noting> made;
        auto starting = asyncio::create_task([&]() -> Coro<void> {
            co_await asyncio::subprocess_exec([&, make = make_noting()] { return made = make(); },
                                              {"sleep", "100"});
        });
        co_await turns(steps);
        finished = !starting.cancel();
        try {
            co_await starting;
        } catch (const asyncio::CancelledError&) {
            EXPECT_FALSE(has_children()) << steps;
        }
        if (finished) {
            made->transport->close();
        }
        if (made != nullptr) {
            co_await made->ended;
            EXPECT_EQ(made->calls.front(), "made") << steps;
            EXPECT_EQ(made->calls.back(), "lost") << steps;
        }
        co_await turns(5);
        EXPECT_EQ(socket_tests::watched(), watched) << steps;
        EXPECT_EQ(open_descriptors(), before) << steps;
    }
    EXPECT_GT(steps, 2);
}

ASYNC_TEST(SubprocessProtocols, S302_a_program_that_cannot_be_started_leaves_nothing) {
    const auto before = open_descriptors();
    std::string error;
    try {
        co_await asyncio::subprocess_exec(make_noting(), {"/no/such/program"});
    } catch (const std::system_error& failure) {
        error = failure.what();
    }
    EXPECT_NE(error.find("/no/such/program"), std::string::npos) << error;
    EXPECT_EQ(open_descriptors(), before);
}

TEST(SubprocessProtocolLifetimes, S298_a_loop_that_closes_kills_the_program_and_tells_nobody) {
    const auto before = open_descriptors();
    std::shared_ptr<Noting> protocol;
    auto loop = asyncio::new_event_loop();
    loop->run_until_complete([](std::shared_ptr<Noting>& made) -> Coro<void> {
        made = (co_await asyncio::subprocess_exec(make_noting(), {"cat"})).protocol;
    }(protocol));
    const int pid = protocol->transport->get_pid();
    protocol->transport.reset();
    EXPECT_EQ(::kill(pid, 0), 0) << "it keeps itself alive";
    loop.reset();
    EXPECT_EQ(protocol->calls, std::vector<std::string>{"made"});
    EXPECT_EQ(::kill(pid, 0), -1);
    protocol.reset();
    EXPECT_EQ(open_descriptors(), before);
}

TEST(SubprocessProtocolLifetimes, a_transport_may_outlive_its_loop) {
    std::shared_ptr<Noting> protocol;
    auto loop = asyncio::new_event_loop();
    loop->run_until_complete([](std::shared_ptr<Noting>& made) -> Coro<void> {
        made = (co_await asyncio::subprocess_exec(make_noting(), {"cat"})).protocol;
    }(protocol));
    loop.reset();
    protocol->transport->close();
    protocol->transport->kill();
    EXPECT_TRUE(protocol->transport->is_closing());
    protocol->transport.reset();
    EXPECT_FALSE(has_children());
}

}  // namespace
