// Streams over connections, within this machine.
#include <asyncio/servers.hpp>
#include <asyncio/testing/gtest.hpp>

#include "net_fixture.hpp"
#include "outcome.hpp"
#include "socket_pairs.hpp"

#include <array>
#include <cstring>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Server;
using asyncio::Socket;
using asyncio::StreamPair;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

// Sends back what it gets.
Coro<void> echo(StreamReader reader, StreamWriter writer) {
    for (std::string data = co_await reader.read(1000); !data.empty();
         data = co_await reader.read(1000)) {
        writer.write(data);
        co_await writer.drain();
    }
    writer.close();
    co_await writer.wait_closed();
}

Coro<Server> echo_server() { return asyncio::start_server(echo, "127.0.0.1", 0); }

Coro<StreamPair> connect_to(const Server& server) {
    return asyncio::open_connection("127.0.0.1", server.sockets().at(0).port());
}

// A pair of streams; the test holds the other end of the connection.
struct Ends {
    StreamPair streams;
    Socket far;
};
Coro<Ends> ends(std::size_t limit = asyncio::default_stream_limit) {
    auto [near, far] = asyncio::socketpair();
    asyncio::StreamOptions options;
    options.limit = limit;
    StreamPair streams = co_await asyncio::open_connection(std::move(near), std::move(options));
    co_return Ends{std::move(streams), std::move(far)};
}

std::string failure_of(const std::exception_ptr& error) {
    return error == nullptr ? "none" : asyncio::describe_exception(error);
}

// ---- reading and writing

ASYNC_TEST(Streams, what_is_written_to_an_echo_server_comes_back) {
    Server server = co_await echo_server();
    auto [reader, writer] = co_await connect_to(server);
    writer.write("first line\nsecond");
    co_await writer.drain();
    EXPECT_EQ(co_await reader.readline(), "first line\n");
    EXPECT_EQ(co_await reader.readexactly(6), "second");
    writer.write_eof();
    EXPECT_EQ(co_await reader.read(), "");
    EXPECT_TRUE(reader.at_eof());
    writer.close();
    co_await writer.wait_closed();
    server.close();
    co_await server.wait_closed();
}

ASYNC_TEST(Streams, S252_the_transport_pauses_above_twice_the_limit_and_goes_on_at_the_limit) {
    Ends e = co_await ends(1000);
    asyncio::Transport& transport = e.streams.writer.transport();
    socket_tests::write_all(e.far, std::string(2000, 'x'));
    co_await socket_tests::turns();
    EXPECT_TRUE(transport.is_reading());
    socket_tests::write_all(e.far, "y");
    co_await socket_tests::turns();
    EXPECT_FALSE(transport.is_reading());
    EXPECT_EQ((co_await e.streams.reader.read(1000)).size(), 1000U);
    EXPECT_FALSE(transport.is_reading());
    EXPECT_EQ((co_await e.streams.reader.read(1)).size(), 1U);
    EXPECT_TRUE(transport.is_reading());
}

ASYNC_TEST(Streams, S254_a_read_that_needs_more_than_the_limit_lets_the_peer_go_on) {
    Ends e = co_await ends(100);
    auto writing = asyncio::create_task(
        [](Socket& far) -> Coro<void> {
            co_await asyncio::sock_sendall(far, std::string(1'000'000, 'x'));
        },
        std::ref(e.far));
    EXPECT_EQ((co_await e.streams.reader.readexactly(1'000'000)).size(), 1'000'000U);
    co_await writing;
}

ASYNC_TEST(Streams, S263_a_read_into_that_is_cancelled_and_its_successor_do_not_mix_their_rooms) {
    Ends e = co_await ends();
    std::array<std::byte, 8> first{};
    std::array<std::byte, 8> second{};
    auto reading = asyncio::create_task(e.streams.reader.read_into(first));
    co_await socket_tests::turns();
    socket_tests::write_all(e.far, "abc");
    co_await asyncio::sleep(0);  // the bytes arrive in this iteration, after what follows
    reading.cancel();
    EXPECT_EQ(co_await e.streams.reader.read_into(second), 3U);
    EXPECT_EQ(std::memcmp(second.data(), "abc", 3), 0);
    EXPECT_EQ(co_await outcome(reading), "cancelled");
    socket_tests::write_all(e.far, "d");
    EXPECT_EQ(co_await e.streams.reader.read(8), "d");
}

ASYNC_TEST(Streams, large_and_small_messages_arrive_as_they_were_sent) {
    Ends e = co_await ends();
    char letter = 'a';
    for (const std::size_t size : {65536U, 10U, 32767U, 32768U, 1U, 40000U, 65536U}) {
        const std::string sent(size, letter++);
        socket_tests::write_all(e.far, sent);
        // The first part leaves the rest in the buffer, to which the next arrival is added.
        std::string got = co_await e.streams.reader.read(size / 2 + 1);
        if (got.size() < size) {
            socket_tests::write_all(e.far, "!");
            co_await socket_tests::turns();
            got += co_await e.streams.reader.readexactly(size - got.size());
            EXPECT_EQ(co_await e.streams.reader.readexactly(1), "!");
        }
        EXPECT_EQ(got, sent);
    }
}

ASYNC_TEST(Streams, the_memory_of_a_large_message_that_was_sent_receives_the_next) {
    if (!asyncio::detail::recycling_allowed()) {
        co_return;  // AddressSanitizer is to see who uses it too long
    }
    Ends e = co_await ends();
    const void* memory = nullptr;
    for (int turn = 0; turn < 3; ++turn) {
        socket_tests::write_all(e.far, std::string(65536, 'x'));
        std::string message = co_await e.streams.reader.read(65536);
        EXPECT_EQ(message.size(), 65536U);
        if (turn > 0) {
            EXPECT_EQ(static_cast<const void*>(message.data()), memory);
        }
        memory = message.data();
        e.streams.writer.write(std::move(message));
        EXPECT_LT(message.capacity(), 65536U);  // NOLINT(bugprone-use-after-move): it is gone
        EXPECT_EQ((co_await asyncio::sock_recv(e.far, 1 << 17)).size(), 65536U);
    }
}

ASYNC_TEST(Streams, S263_what_arrives_for_a_read_into_that_is_cancelled_is_read_next) {
    Ends e = co_await ends();
    std::array<std::byte, 16> room{};
    for (int steps = 0; steps < 4; ++steps) {
        auto reading = asyncio::create_task(e.streams.reader.read_into(room));
        co_await asyncio::sleep(0);
        socket_tests::write_all(e.far, "abc");
        for (int i = 0; i < steps; ++i) {
            co_await asyncio::sleep(0);
        }
        reading.cancel();
        if (co_await outcome(reading) == "cancelled") {
            EXPECT_EQ(co_await e.streams.reader.readexactly(3), "abc") << steps;
        }
    }
}

ASYNC_TEST(Streams, S264_closing_the_writer_ends_its_reader) {
    Ends e = co_await ends();
    auto reading = asyncio::create_task(e.streams.reader.read());
    co_await socket_tests::turns();
    e.streams.writer.close();
    EXPECT_EQ(co_await reading, "");
    co_await e.streams.writer.wait_closed();
}

ASYNC_TEST(Streams, the_peers_reset_is_an_error_of_reading_writing_and_closing) {
    Server server = co_await asyncio::start_server(
        [](StreamReader reader, StreamWriter writer) -> Coro<void> {
            co_await reader.read(1);
            const linger now{1, 0};
            const int fd = writer.get_extra_info(asyncio::extra_info::socket).value_or(-1);
            EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
            writer.transport().abort();
        },
        "127.0.0.1", 0);
    auto [reader, writer] = co_await connect_to(server);
    writer.write("more than is read");
    const std::string text =
        "system_error: connection with 127.0.0.1:" + std::to_string(server.sockets().at(0).port()) +
        ": Connection reset by peer";
    EXPECT_EQ(co_await outcome(reader.read()), text);
    EXPECT_EQ(co_await outcome(writer.drain()), text);
    EXPECT_EQ(co_await outcome(writer.wait_closed()), text);
    EXPECT_EQ(failure_of(reader.exception()), text);
}

// ---- drain

ASYNC_TEST(Streams, S266_drain_waits_only_above_the_limit_and_for_several_tasks) {
    Ends e = co_await ends();
    StreamWriter& writer = e.streams.writer;
    co_await writer.drain();
    while (writer.transport().get_write_buffer_size() <= 65536) {
        writer.write(std::string(30000, 'x'));
    }
    auto first = asyncio::create_task(writer.drain());
    auto second = asyncio::create_task(writer.drain());
    auto third = asyncio::create_task(writer.drain());
    co_await socket_tests::turns();
    EXPECT_FALSE(first.done());
    EXPECT_FALSE(second.done());
    second.cancel();
    std::size_t got = 0;
    std::vector<char> sink(1 << 16);
    while (writer.transport().get_write_buffer_size() > 0) {
        const ssize_t count = ::recv(e.far.fileno(), sink.data(), sink.size(), MSG_DONTWAIT);
        got += count > 0 ? static_cast<std::size_t>(count) : 0;
        co_await asyncio::sleep(0);
    }
    EXPECT_GT(got, 0U);
    co_await first;
    co_await third;
    EXPECT_TRUE(second.cancelled());
}

ASYNC_TEST(Streams, B30_S267_drain_notices_that_the_peer_is_gone) {
    Ends e = co_await ends();
    e.far.close();
    int rounds = 0;
    std::string ended;
    while (ended.empty() && rounds < 100) {
        e.streams.writer.write("x");
        const std::string result = co_await outcome(e.streams.writer.drain());
        ended = result == "none" ? "" : result;
        ++rounds;
    }
    EXPECT_NE(ended, "");
    EXPECT_LT(rounds, 10);
}

ASYNC_TEST(Streams, S267_drain_after_a_clean_close_says_connection_lost) {
    Ends e = co_await ends();
    e.streams.writer.close();
    EXPECT_EQ(co_await outcome(e.streams.writer.drain()),
              "system_error: Connection lost: Connection reset by peer");
}

ASYNC_TEST(Streams, S267_a_drain_that_waits_gets_the_error_the_connection_is_lost_with) {
    Ends e = co_await ends();
    while (e.streams.writer.transport().get_write_buffer_size() <= 65536) {
        e.streams.writer.write(std::string(30000, 'x'));
    }
    auto draining = asyncio::create_task(outcome(e.streams.writer.drain()));
    co_await socket_tests::turns();
    e.far.close();
    EXPECT_EQ((co_await draining).substr(0, 24), "system_error: connection");
}

// ---- closing

ASYNC_TEST(Streams, S268_close_sends_what_was_written_and_wait_closed_returns_after_that) {
    Ends e = co_await ends();
    const std::string text(1 << 20, 't');
    e.streams.writer.write(text);
    e.streams.writer.close();
    auto closing = asyncio::create_task(e.streams.writer.wait_closed());
    co_await socket_tests::turns();
    EXPECT_FALSE(closing.done());
    std::size_t got = 0;
    while (got < text.size()) {
        got += (co_await asyncio::sock_recv(e.far, 1 << 20)).size();
    }
    co_await closing;
    EXPECT_EQ(got, text.size());
    EXPECT_EQ(co_await asyncio::sock_recv(e.far, 1), "");
}

ASYNC_TEST(Streams, S268_wait_closed_does_not_mind_unread_data) {
    Server server = co_await asyncio::start_server(
        [](StreamReader, StreamWriter writer) -> Coro<void> {
            writer.write(std::string(100'000, 'x'));
            co_await writer.drain();
            writer.close();
        },
        "127.0.0.1", 0);
    auto [reader, writer] = co_await connect_to(server);
    EXPECT_EQ((co_await reader.read(10)).size(), 10U);
    writer.close();
    co_await writer.wait_closed();
}

TEST(StreamHandles, S269_the_last_writer_closes_and_says_so_in_debug_mode) {
    for (const bool debug : {false, true}) {
        LogCapture log;
        asyncio::run(
            [](bool in_debug) -> Coro<void> {
                asyncio::get_running_loop().set_debug(in_debug);
                Ends e = co_await ends();
                auto copy = std::make_optional(e.streams.writer);
                e.streams = co_await asyncio::open_connection(asyncio::socketpair().first);
                EXPECT_FALSE(copy->is_closing());
                copy->write("sent before the end");
                copy.reset();
                EXPECT_EQ(co_await asyncio::sock_recv(e.far, 100), "sent before the end");
                EXPECT_EQ(co_await asyncio::sock_recv(e.far, 100), "");
                e.streams.writer.close();
            },
            debug);
        EXPECT_EQ(log.take().size(), debug ? 1U : 0U);
    }
}

TEST(StreamHandles, S269_a_writer_that_outlives_its_loop_closes_nothing) {
    std::optional<StreamPair> kept;
    LogCapture log;
    asyncio::run(
        [](std::optional<StreamPair>& target) -> Coro<void> { target = (co_await ends()).streams; },
        std::ref(kept));
    EXPECT_TRUE(kept->writer.is_closing());
    kept->writer.write("nowhere");
    kept.reset();
    EXPECT_EQ(log.take().size(), 0U);
}

TEST(StreamHandles, the_loop_may_close_at_any_step_of_a_connection) {
    for (int steps = 0; steps < 20; ++steps) {
        LogCapture log;
        asyncio::testing::VirtualClock clock;
        std::vector<asyncio::ErrorContext> reports;
        auto loop = make_virtual_loop(clock, reports);
        loop->create_task([]() -> Coro<void> {
            Server server = co_await echo_server();
            auto [reader, writer] = co_await connect_to(server);
            writer.write(std::string(3'000'000, 'x'));
            co_await reader.readexactly(3'000'000);
            writer.close();
            co_await writer.wait_closed();
        });
        for (int i = 0; i < steps; ++i) {
            loop->run_once(asyncio::Duration::zero());
        }
        loop.reset();
        for (const auto& report : reports) {
            EXPECT_EQ(report.message, "Task was destroyed but it is pending!") << steps;
        }
        EXPECT_EQ(log.take().size(), 0U) << steps;
    }
}

// ---- servers

ASYNC_TEST(Servers, S270_a_handler_is_a_coroutine_or_a_plain_function) {
    std::vector<StreamWriter> accepted;
    Server plain = co_await asyncio::start_server(
        [&accepted](StreamReader, StreamWriter writer) { accepted.push_back(writer); }, "127.0.0.1",
        0);
    auto [reader, writer] = co_await connect_to(plain);
    while (accepted.empty()) {
        co_await asyncio::sleep(0);
    }
    accepted[0].write("hello");
    accepted[0].close();
    EXPECT_EQ(co_await reader.read(), "hello");
    accepted.clear();
}

ASYNC_TEST(Servers, S270_a_handlers_captures_live_until_its_last_connection_ends) {
    std::optional<StreamPair> client;
    {
        Server server = co_await asyncio::start_server(
            [word = std::string("a word too long for a small string")](
                StreamReader reader, StreamWriter writer) -> Coro<void> {
                co_await reader.readline();
                writer.write(word);
                writer.close();
            },
            "127.0.0.1", 0);
        client = co_await connect_to(server);
        co_await socket_tests::turns();
    }
    client->writer.write("go\n");
    EXPECT_EQ(co_await client->reader.read(), "a word too long for a small string");
}

ASYNC_TEST(Servers, S271_what_a_handler_throws_is_reported_and_closes_the_connection) {
    Server server = co_await asyncio::start_server(
        [](StreamReader, StreamWriter) -> Coro<void> {
            throw asyncio::ValueError("broken handler");
            co_return;
        },
        "127.0.0.1", 0);
    auto [reader, writer] = co_await connect_to(server);
    EXPECT_EQ(co_await reader.read(), "");
    CO_ASSERT_EQ(reports().size(), 1U);
    EXPECT_EQ(reports()[0].message, "Unhandled exception in client_connected_cb");
    EXPECT_EQ(failure_of(reports()[0].exception), "ValueError: broken handler");
    reports().clear();
}

ASYNC_TEST(Servers, S271_a_cancelled_handler_closes_its_connection_silently) {
    Server server = co_await asyncio::start_server(
        [](StreamReader reader, StreamWriter) -> Coro<void> { co_await reader.read(1); },
        "127.0.0.1", 0);
    auto [reader, writer] = co_await connect_to(server);
    co_await socket_tests::turns();
    for (const auto& each : asyncio::all_tasks()) {
        if (each != asyncio::current_task()) {
            each.cancel();
        }
    }
    EXPECT_EQ(co_await reader.read(), "");
}

ASYNC_TEST(Servers, B31_S273_a_closed_server_leaves_connections_and_wait_closed_waits_for_them) {
    Server server = co_await echo_server();
    auto [reader, writer] = co_await connect_to(server);
    writer.write("a");
    EXPECT_EQ(co_await reader.read(1), "a");
    server.close();
    EXPECT_TRUE(server.sockets().empty());
    EXPECT_FALSE(server.is_serving());
    auto waiting = asyncio::create_task(server.wait_closed());
    writer.write("b");
    EXPECT_EQ(co_await reader.read(1), "b");
    EXPECT_FALSE(waiting.done());
    writer.close();
    co_await writer.wait_closed();
    co_await waiting;
    co_await server.wait_closed();
}

ASYNC_TEST(Servers, B31_S273_wait_closed_may_come_before_close_and_after_the_last_connection) {
    Server server = co_await echo_server();
    auto waiting = asyncio::create_task(server.wait_closed());
    {
        auto [reader, writer] = co_await connect_to(server);
        writer.write("a");
        EXPECT_EQ(co_await reader.read(1), "a");
        writer.close();
        co_await writer.wait_closed();
    }
    co_await asyncio::sleep(1s);
    EXPECT_FALSE(waiting.done());
    server.close();
    co_await waiting;
}

ASYNC_TEST(Servers, S274_close_clients_sends_and_abort_clients_drops) {
    for (const bool abort : {false, true}) {
        Server server = co_await asyncio::start_server(
            [](StreamReader reader, StreamWriter writer) -> Coro<void> {
                writer.write(std::string(8 << 20, 'x'));
                co_await reader.read(1);
            },
            "127.0.0.1", 0);
        auto [reader, writer] = co_await connect_to(server);
        EXPECT_EQ((co_await reader.read(100)).size(), 100U);
        server.close();
        abort ? server.abort_clients() : server.close_clients();
        auto waiting = asyncio::create_task(server.wait_closed());
        if (abort) {
            co_await waiting;
            co_await outcome(reader.read());
        } else {
            EXPECT_EQ((co_await reader.read()).size(), (8U << 20) - 100);
            co_await waiting;
        }
    }
}

ASYNC_TEST(Servers, S275_serve_forever_is_for_one_task_and_cancelling_it_closes) {
    asyncio::ServerOptions later;
    later.start_serving = false;
    Server server = co_await asyncio::start_server(echo, "127.0.0.1", 0, later);
    EXPECT_FALSE(server.is_serving());
    auto serving = asyncio::create_task(server.serve_forever());
    co_await asyncio::sleep(0);
    EXPECT_TRUE(server.is_serving());
    EXPECT_EQ(co_await outcome(server.serve_forever()),
              "RuntimeError: another task is in serve_forever() of this server already");
    auto [reader, writer] = co_await connect_to(server);
    writer.write("x");
    EXPECT_EQ(co_await reader.read(1), "x");
    serving.cancel();
    co_await asyncio::sleep(0);
    EXPECT_FALSE(server.is_serving());
    EXPECT_FALSE(serving.done());
    writer.close();
    EXPECT_EQ(co_await outcome(serving), "cancelled");
    EXPECT_EQ(co_await outcome(server.serve_forever()),
              "RuntimeError: the server is closed: start another one");
    EXPECT_THROW(server.start_serving(), asyncio::RuntimeError);
}

ASYNC_TEST(Servers, S275_close_ends_serve_forever) {
    Server server = co_await echo_server();
    auto serving = asyncio::create_task(server.serve_forever());
    co_await asyncio::sleep(0);
    server.close();
    EXPECT_EQ(co_await outcome(serving), "cancelled");
}

ASYNC_TEST(Servers, the_last_handle_of_a_server_stops_it) {
    std::optional<Server> server = co_await echo_server();
    const asyncio::Address address = server->sockets().at(0);
    const Server copy = *server;
    server.reset();
    EXPECT_TRUE(copy.is_serving());
    {
        const Server last = copy;
        EXPECT_EQ(last, copy);
    }
    co_await outcome(asyncio::open_connection("127.0.0.1", address.port()));
}

}  // namespace
