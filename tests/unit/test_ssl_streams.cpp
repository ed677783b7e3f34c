// TLS over the loop's connections: streams and transports, handshakes, ends, upgrades.
#include <asyncio/asyncio.hpp>
#include <asyncio/servers.hpp>

#include "loop_fixture.hpp"
#include "outcome.hpp"
#include "socket_pairs.hpp"
#include "ssl_fixture.hpp"

#include <sys/socket.h>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Server;
using asyncio::Socket;
using asyncio::SSLObject;
using asyncio::StreamPair;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

Coro<void> echo(StreamReader reader, StreamWriter writer) {
    for (std::string data = co_await reader.read(1 << 16); !data.empty();
         data = co_await reader.read(1 << 16)) {
        writer.write(std::move(data));
        co_await writer.drain();
    }
    writer.close();
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// Contexts of both sides, and a loop whose reports fail the test unless it takes them.
class TlsStreams : public ssl_tests::SslTest {
protected:
    TlsStreams() : loop(make_virtual_loop(clock, reports)) {}
    void TearDown() override {
        loop.reset();
        for (const auto& report : reports) {
            ADD_FAILURE() << report.message << " " << asyncio::describe_exception(report.exception);
        }
        for (const std::string& line : captured.take()) {
            ADD_FAILURE() << line;
        }
    }
    template <class F>
    void run(F body) {
        loop->run_until_complete(loop->create_task(std::move(body)));
    }

    Coro<Server> serve(auto handler) {
        asyncio::ServerOptions options;
        options.ssl = server_context();
        return asyncio::start_server(std::move(handler), "127.0.0.1", 0, std::move(options));
    }
    asyncio::ConnectOptions client() const {
        asyncio::ConnectOptions options;
        options.ssl = client_context();
        options.server_hostname = "localhost";
        return options;
    }
    Coro<StreamPair> connect(const Server& server) {
        return asyncio::open_connection("127.0.0.1", server.sockets().at(0).port(), client());
    }
    // Streams in TLS over one end of a pair of sockets; the other end is in the test's hands.
    static Coro<StreamPair> over(Socket socket, std::shared_ptr<const asyncio::SSLContext> ssl,
                                 bool server_side) {
        asyncio::StreamOptions options;
        options.ssl = std::move(ssl);
        options.server_side = server_side;
        options.server_hostname = server_side ? "" : "localhost";
        return asyncio::open_connection(std::move(socket), std::move(options));
    }

    LogCapture captured;
    asyncio::testing::VirtualClock clock;
    std::vector<asyncio::ErrorContext> reports;
    asyncio::EventLoopPtr loop;
};

TEST_F(TlsStreams, what_is_written_comes_back_and_both_sides_say_good_bye) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        auto [reader, writer] = co_await connect(server);
        const SSLObject* const ssl =
            writer.get_extra_info(asyncio::extra_info::ssl_object).value_or(nullptr);
        EXPECT_EQ(ssl->version(), "TLSv1.3");
        EXPECT_EQ(writer.get_extra_info(asyncio::extra_info::peername), server.sockets().at(0));
        EXPECT_FALSE(writer.can_write_eof());
        EXPECT_THROW(writer.write_eof(), asyncio::RuntimeError);
        writer.write("first line\n");
        writer.writelines(std::vector<std::string>{"a", "", "b\n"});
        EXPECT_EQ(co_await reader.readline(), "first line\n");
        EXPECT_EQ(co_await reader.readline(), "ab\n");
        writer.close();
        co_await writer.wait_closed();
        EXPECT_TRUE(reader.at_eof());
        server.close();
        co_await server.wait_closed();
    });
}

TEST_F(TlsStreams, megabytes_pass_in_both_directions_with_limits_heeded) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        auto [reader, writer] = co_await connect(server);
        std::string text;
        for (int i = 0; text.size() < 5'000'000; ++i) {
            text += std::to_string(i) + ",";
        }
        auto sending = asyncio::create_task(
            [](StreamWriter to, std::string_view all) -> Coro<void> {
                while (!all.empty()) {
                    const std::string_view piece = all.substr(0, 70'001);
                    to.write(piece);
                    all.remove_prefix(piece.size());
                    co_await to.drain();
                    EXPECT_LT(to.transport().get_write_buffer_size(), 300'000U);
                }
            },
            writer, std::string_view(text));
        EXPECT_EQ(co_await reader.readexactly(text.size()), text);
        co_await sending;
        writer.close();
        co_await writer.wait_closed();
    });
}

TEST_F(TlsStreams, S291_data_pending_at_close_is_sent_first) {
    run([&]() -> Coro<void> {
        Server server = co_await serve([](StreamReader, StreamWriter writer) -> Coro<void> {
            writer.write(std::string(3'000'000, 'x'));
            writer.close();
            co_await writer.wait_closed();
        });
        auto [reader, writer] = co_await connect(server);
        EXPECT_EQ((co_await reader.read()).size(), 3'000'000U);
        co_await writer.wait_closed();
    });
}

TEST_F(TlsStreams, a_certificate_for_another_name_fails_the_connect_with_the_reason) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        asyncio::ConnectOptions options = client();
        options.server_hostname = "elsewhere.example";
        const std::string text = co_await outcome(asyncio::open_connection(
            "127.0.0.1", server.sockets().at(0).port(), std::move(options)));
        EXPECT_TRUE(contains(text, "SSLCertVerificationError")) << text;
        EXPECT_TRUE(contains(text, "elsewhere.example")) << text;
        server.close();
        co_await server.wait_closed();
    });
}

TEST_F(TlsStreams, a_client_without_a_name_is_refused_before_anything_is_sent) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        asyncio::StreamOptions options;
        options.ssl = client_context();
        EXPECT_TRUE(contains(
            co_await outcome(asyncio::open_connection(std::move(near), std::move(options))),
            "ValueError: TLS needs a server_hostname"));
        EXPECT_EQ(co_await asyncio::sock_recv(far, 1), "");
    });
}

TEST_F(TlsStreams, S291_B34_a_peer_that_never_answers_fails_the_handshake_in_time) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        const auto before = loop->time();
        EXPECT_EQ(co_await outcome(over(std::move(near), client_context(), false)),
                  "system_error: the TLS handshake takes longer than 60.0 seconds: Software caused "
                  "connection abort");
        EXPECT_EQ(loop->time() - before, 60s);
        EXPECT_FALSE((co_await asyncio::sock_recv(far, 1 << 16)).empty());
        EXPECT_EQ(co_await asyncio::sock_recv(far, 1), "");
    });
}

TEST_F(TlsStreams, S291_a_server_does_not_wait_for_ever_for_a_silent_client) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        auto [reader, writer] =
            co_await asyncio::open_connection("127.0.0.1", server.sockets().at(0).port());
        EXPECT_EQ(co_await reader.read(), "");
        EXPECT_EQ(loop->time().time_since_epoch() >= 60s, true);
        server.close();
        co_await server.wait_closed();
    });
}

TEST_F(TlsStreams, S291_a_peer_lost_in_the_handshake_fails_the_connect) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        auto connecting =
            asyncio::create_task(outcome(over(std::move(near), client_context(), false)));
        EXPECT_FALSE((co_await asyncio::sock_recv(far, 1 << 16)).empty());
        far.close();
        const std::string text = co_await connecting;
        EXPECT_NE(text, "none");
        EXPECT_TRUE(contains(text, "SSL") || contains(text, "connection")) << text;
    });
}

TEST_F(TlsStreams, garbage_instead_of_a_handshake_is_an_error_of_that_connection_only) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        auto [reader, writer] =
            co_await asyncio::open_connection("127.0.0.1", server.sockets().at(0).port());
        writer.write("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        co_await outcome(reader.read());
        auto [second, to] = co_await connect(server);
        to.write("x");
        EXPECT_EQ(co_await second.read(1), "x");
        to.close();
        co_await to.wait_closed();
    });
}

TEST_F(TlsStreams, an_end_without_good_bye_is_an_error_after_what_was_received) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        const int cut = ::dup(far.fileno());
        auto accepting = asyncio::create_task(over(std::move(far), server_context(), true));
        StreamPair client = co_await over(std::move(near), client_context(), false);
        StreamPair server = co_await accepting;
        server.writer.write("the beginning");
        co_await socket_tests::turns();
        ::shutdown(cut, SHUT_RDWR);
        ::close(cut);
        EXPECT_EQ(co_await client.reader.read(100), "the beginning");
        EXPECT_TRUE(contains(co_await outcome(client.reader.read()), "SSLEOFError"));
        EXPECT_TRUE(contains(co_await outcome(client.writer.wait_closed()), "SSLEOFError"));
        co_await outcome(server.writer.wait_closed());
    });
}

TEST_F(TlsStreams, a_peer_that_says_good_bye_and_is_gone_loses_nothing) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        const int cut = ::dup(far.fileno());
        auto accepting = asyncio::create_task(over(std::move(far), server_context(), true));
        StreamPair client = co_await over(std::move(near), client_context(), false);
        StreamPair server = co_await accepting;
        client.writer.transport().pause_reading();
        server.writer.write("all of it");
        server.writer.close();
        co_await socket_tests::turns();
        ::shutdown(cut, SHUT_RDWR);  // as nginx does, so that our good-bye meets a broken pipe
        ::close(cut);
        client.writer.transport().resume_reading();
        EXPECT_EQ(co_await client.reader.read(), "all of it");
        EXPECT_EQ(co_await outcome(client.writer.wait_closed()), "none");
        co_await outcome(server.writer.wait_closed());
    });
}

TEST_F(TlsStreams, S291_a_peer_that_does_not_say_good_bye_is_not_waited_for_for_ever) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        auto accepting = asyncio::create_task(over(std::move(far), server_context(), true));
        StreamPair client = co_await over(std::move(near), client_context(), false);
        StreamPair server = co_await accepting;
        server.writer.transport().pause_reading();
        const auto before = loop->time();
        client.writer.close();
        const std::string text = co_await outcome(client.writer.wait_closed());
        EXPECT_TRUE(contains(text, "TimeoutError: the peer did not answer")) << text;
        EXPECT_EQ(loop->time() - before, 30s);
        server.writer.transport().abort();
    });
}

TEST_F(TlsStreams, reading_can_be_paused_and_nothing_is_lost) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        auto accepting = asyncio::create_task(over(std::move(far), server_context(), true));
        StreamPair client = co_await over(std::move(near), client_context(), false);
        StreamPair server = co_await accepting;
        client.writer.transport().pause_reading();
        for (int i = 0; i < 20; ++i) {
            server.writer.write("piece" + std::to_string(i) + "\n");
            co_await asyncio::sleep(0);
        }
        server.writer.close();
        co_await socket_tests::turns();
        client.writer.transport().resume_reading();
        std::string all = co_await client.reader.read();
        EXPECT_TRUE(all.starts_with("piece0\n"));
        EXPECT_TRUE(all.ends_with("piece19\n"));
        co_await client.writer.wait_closed();
        co_await server.writer.wait_closed();
    });
}

TEST_F(TlsStreams, S272_start_tls_upgrades_in_place) {
    run([&]() -> Coro<void> {
        const auto context = server_context();
        Server server = co_await asyncio::start_server(
            [context](StreamReader reader, StreamWriter writer) -> Coro<void> {
                EXPECT_EQ(co_await reader.readline(), "STARTTLS\n");
                writer.write("GO\n");
                co_await writer.start_tls(context);
                writer.write("secret " + co_await reader.readline());
                writer.close();
                co_await writer.wait_closed();
            },
            "127.0.0.1", 0);
        auto [reader, writer] =
            co_await asyncio::open_connection("127.0.0.1", server.sockets().at(0).port());
        writer.write("STARTTLS\n");
        EXPECT_EQ(co_await reader.readline(), "GO\n");
        co_await writer.start_tls(client_context(), {.server_hostname = "localhost"});
        EXPECT_TRUE(writer.get_extra_info(asyncio::extra_info::ssl_object));
        writer.write("hello\n");
        EXPECT_EQ(co_await reader.readline(), "secret hello\n");
        EXPECT_EQ(co_await reader.read(), "");
        writer.close();
        co_await writer.wait_closed();
    });
}

TEST_F(TlsStreams, B34_S272_a_handshake_that_arrived_with_the_last_line_is_not_lost) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        StreamPair plain = co_await asyncio::open_connection(std::move(far));
        StreamPair client = co_await asyncio::open_connection(std::move(near));
        // The client does not wait for an answer: its ClientHello is right behind the line.
        client.writer.write("STARTTLS\n");
        auto upgrading = asyncio::create_task(
            client.writer.start_tls(client_context(), {.server_hostname = "localhost"}));
        co_await socket_tests::turns();
        EXPECT_EQ(co_await plain.reader.readline(), "STARTTLS\n");
        asyncio::StartTlsOptions options;
        options.server_side = true;
        co_await plain.writer.start_tls(server_context(), options);
        co_await upgrading;
        client.writer.write("now\n");
        EXPECT_EQ(co_await plain.reader.readline(), "now\n");
        client.writer.close();
        co_await client.writer.wait_closed();
        co_await plain.writer.wait_closed();
    });
}

TEST_F(TlsStreams, start_tls_that_fails_closes_the_connection) {
    run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        StreamPair client = co_await asyncio::open_connection(std::move(near));
        EXPECT_TRUE(
            contains(co_await outcome(client.writer.start_tls(client_context())), "ValueError"));
        EXPECT_FALSE(client.writer.is_closing());
        auto upgrading = asyncio::create_task(
            outcome(client.writer.start_tls(client_context(), {.server_hostname = "localhost"})));
        co_await socket_tests::turns();
        socket_tests::write_all(far, "this is no TLS at all");
        EXPECT_TRUE(contains(co_await upgrading, "SSLError"));
        EXPECT_NE(co_await outcome(client.reader.read()), "none");
    });
}

TEST_F(TlsStreams, cancelling_at_any_step_leaves_nothing_behind) {
    run([&]() -> Coro<void> {
        Server server = co_await serve(echo);
        const std::size_t watched = socket_tests::watched();
        const auto life = [&]() -> Coro<void> {
            auto [reader, writer] = co_await connect(server);
            writer.write("x");
            co_await writer.drain();
            co_await reader.readexactly(1);
            writer.close();
            co_await writer.wait_closed();
        };
        int steps = 0;
        for (bool finished = false; !finished; ++steps) {
            auto task = asyncio::create_task(life);
            co_await socket_tests::turns(steps);
            finished = !task.cancel();
            co_await outcome(task);
            co_await socket_tests::turns_until([&] { return socket_tests::watched() == watched; });
            EXPECT_EQ(socket_tests::watched(), watched) << "cancelled after " << steps;
        }
        EXPECT_GT(steps, 5);
    });
    // The server's handlers see resets.
    std::erase_if(reports, [](const asyncio::ErrorContext& report) {
        return report.message == "Unhandled exception in client_connected_cb";
    });
}

TEST_F(TlsStreams, cancelling_either_end_of_an_upgrade_at_any_step_leaves_nothing_behind) {
    // A whole life: plain at first, then in TLS, then the end.
    const auto life = [](Socket socket, std::shared_ptr<const asyncio::SSLContext> ssl,
                         asyncio::StartTlsOptions options) -> Coro<void> {
        auto [reader, writer] = co_await asyncio::open_connection(std::move(socket));
        writer.write("plain\n");
        co_await writer.drain();
        co_await reader.readline();
        co_await writer.start_tls(std::move(ssl), std::move(options));
        writer.write("secret\n");
        co_await reader.readline();
        writer.close();
        co_await writer.wait_closed();
    };
    run([&]() -> Coro<void> {
        const std::size_t watched = socket_tests::watched();
        for (const std::size_t victim : {0U, 1U}) {
            int steps = 0;
            for (bool finished = false; !finished; ++steps) {
                auto [near, far] = asyncio::socketpair();
                asyncio::StartTlsOptions as_client;
                as_client.server_hostname = "localhost";
                asyncio::StartTlsOptions as_server;
                as_server.server_side = true;
                std::vector<asyncio::Task<void>> ends;
                ends.push_back(
                    asyncio::create_task(life, std::move(near), client_context(), as_client));
                ends.push_back(
                    asyncio::create_task(life, std::move(far), server_context(), as_server));
                co_await socket_tests::turns(steps);
                finished = !ends[victim].cancel();
                co_await outcome(ends[victim]);
                co_await outcome(ends[1 - victim]);  // ends, too, in whichever way
                co_await socket_tests::turns_until(
                    [&] { return socket_tests::watched() == watched; });
                EXPECT_EQ(socket_tests::watched(), watched) << "cancelled after " << steps;
            }
            EXPECT_GT(steps, 8);
        }
    });
}

TEST_F(TlsStreams, the_loop_may_close_at_any_step) {
    for (int steps = 0; steps < 25; ++steps) {
        auto own = make_virtual_loop(clock, reports);
        own->create_task([&]() -> Coro<void> {
            Server server = co_await serve(echo);
            auto [reader, writer] = co_await connect(server);
            writer.write(std::string(1'000'000, 'x'));
            co_await reader.readexactly(1'000'000);
            writer.close();
            co_await writer.wait_closed();
        });
        for (int i = 0; i < steps; ++i) {
            own->run_once(asyncio::Duration::zero());
        }
        own.reset();
    }
    std::erase_if(reports, [](const asyncio::ErrorContext& report) {
        return report.message == "Task was destroyed but it is pending!";
    });
}

}  // namespace
