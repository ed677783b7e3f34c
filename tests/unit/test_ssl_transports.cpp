// TLS as a transport, for protocols that call it from inside of what they are told.
#include <asyncio/asyncio.hpp>
#include <asyncio/servers.hpp>

#include "loop_fixture.hpp"
#include "net_fixture.hpp"
#include "socket_pairs.hpp"
#include "ssl_fixture.hpp"

#include <array>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Socket;
using asyncio::StreamPair;

namespace {

// A protocol behind TLS at one end of a pair of sockets, streams in TLS at the other.
class TlsTransports : public ssl_tests::SslTest {
protected:
    TlsTransports() : loop(make_virtual_loop(clock, reports)) {}
    void TearDown() override {
        loop.reset();
        for (const auto& report : reports) {
            ADD_FAILURE() << report.message << " " << asyncio::describe_exception(report.exception);
        }
    }

    template <class P>
    Coro<StreamPair> connect(std::shared_ptr<P> protocol) {
        auto [near, far] = asyncio::socketpair();
        auto accepting = asyncio::create_task(
            asyncio::connect_accepted_socket([protocol] { return protocol; }, std::move(far),
                                             {.ssl = server_context(), .server_side = true}));
        StreamPair client = co_await asyncio::open_connection(
            std::move(near), {.ssl = client_context(), .server_hostname = "localhost"});
        co_await accepting;
        co_return client;
    }

    std::string notes;
    asyncio::testing::VirtualClock clock;
    std::vector<asyncio::ErrorContext> reports;
    asyncio::EventLoopPtr loop;
};

TEST_F(TlsTransports, closing_when_asked_to_pause_sends_what_was_written_once) {
    const std::string text(1'000'000, 'x');
    loop->run_until_complete(loop->create_task([&]() -> Coro<void> {
        auto server = std::make_shared<NotingProtocol>(notes);
        server->on_pause = [&] { server->transport->close(); };
        StreamPair client = co_await connect(server);
        server->transport->write(text);
        EXPECT_EQ(co_await client.reader.read(), text);
        client.writer.close();
        co_await client.writer.wait_closed();
        co_await socket_tests::turns(5);
        EXPECT_EQ(notes, "made pause resume lost ");
        server->on_pause = nullptr;
        server->transport.reset();
    }));
}

TEST_F(TlsTransports, what_is_written_when_asked_to_pause_follows_what_was_written) {
    const std::string text(1'000'000, 'x');
    const std::string more(200'000, 'y');
    loop->run_until_complete(loop->create_task([&]() -> Coro<void> {
        auto server = std::make_shared<NotingProtocol>(notes);
        server->on_pause = [&] {
            server->transport->write(more);
            server->transport->close();
        };
        StreamPair client = co_await connect(server);
        server->transport->write(text);
        EXPECT_EQ(co_await client.reader.read(), text + more);
        client.writer.close();
        co_await client.writer.wait_closed();
        server->on_pause = nullptr;
        server->transport.reset();
    }));
}

// Gets one byte at a time, and ends the connection with the first.
struct Impatient : asyncio::BufferedProtocol {
    void connection_made(std::shared_ptr<asyncio::Transport> made) override { transport = made; }
    std::span<std::byte> get_buffer(std::ptrdiff_t) override { return room; }
    void buffer_updated(std::size_t) override {
        ++updates;
        transport->abort();
    }
    std::array<std::byte, 1> room{};
    std::shared_ptr<asyncio::Transport> transport;
    int updates = 0;
};

TEST_F(TlsTransports, nothing_is_received_after_abort) {
    loop->run_until_complete(loop->create_task([&]() -> Coro<void> {
        auto server = std::make_shared<Impatient>();
        StreamPair client = co_await connect(server);
        client.writer.write("several bytes in a record");
        co_await socket_tests::turns(5);
        EXPECT_EQ(server->updates, 1);
        client.writer.transport().abort();
        server->transport.reset();
    }));
}

TEST_F(TlsTransports, start_tls_after_the_peers_end_fails_at_once) {
    loop->run_until_complete(loop->create_task([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        StreamPair client = co_await asyncio::open_connection(std::move(near));
        far.shutdown_write();
        EXPECT_EQ(co_await client.reader.read(), "");
        const auto begin = loop->time();
        try {
            co_await client.writer.start_tls(client_context(), {.server_hostname = "localhost"});
            ADD_FAILURE() << "no error";
        } catch (const asyncio::SSLEOFError&) {
            EXPECT_EQ(loop->time() - begin, 0s);
        } catch (const std::exception& error) {
            ADD_FAILURE() << "another error: " << error.what();
        }
    }));
}

}  // namespace
