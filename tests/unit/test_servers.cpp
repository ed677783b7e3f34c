// Servers at paths and ports: files of their own, shortage, options; and connecting to them.
#include <asyncio/exception_group.hpp>
#include <asyncio/names.hpp>
#include <asyncio/servers.hpp>
#include <asyncio/testing/gtest.hpp>

#include "folder.hpp"
#include "net_fixture.hpp"
#include "outcome.hpp"
#include "sanitizers.hpp"
#include "socket_pairs.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

using namespace std::chrono_literals;
using asyncio::Address;
using asyncio::Coro;
using asyncio::Server;
using asyncio::Socket;
using asyncio::StreamPair;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

// Greets and says good-bye.
Coro<void> greet(StreamReader, StreamWriter writer) {
    writer.write("hello");
    writer.close();
    co_await writer.wait_closed();
}

Coro<std::string> greeting_at(std::string path) {
    StreamPair streams = co_await asyncio::open_unix_connection(std::move(path));
    co_return co_await streams.reader.read();
}

// ---- Unix servers

ASYNC_TEST(UnixServers, S276_a_server_removes_its_file_when_it_closes) {
    const Folder folder;
    const std::string path = folder / "s";
    Server server = co_await asyncio::start_unix_server(greet, path);
    EXPECT_EQ(server.sockets().at(0), Address::local(path));
    EXPECT_EQ(co_await greeting_at(path), "hello");
    EXPECT_TRUE(std::filesystem::exists(path));
    server.close();
    EXPECT_FALSE(std::filesystem::exists(path));
}

ASYNC_TEST(UnixServers, S276_a_file_that_is_gone_or_somebody_elses_is_left_alone) {
    const Folder folder;
    const std::string path = folder / "s";
    Server server = co_await asyncio::start_unix_server(greet, path);
    std::filesystem::remove(path);
    server.close();
    Server first = co_await asyncio::start_unix_server(greet, path);
    Server second = co_await asyncio::start_unix_server(greet, path);
    first.close();
    EXPECT_EQ(co_await greeting_at(path), "hello");
    std::filesystem::remove(path);
    std::ofstream(path) << "a file";
    second.close();
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
    EXPECT_EQ((co_await outcome(asyncio::start_unix_server(greet, path))).substr(0, 28),
              "system_error: cannot listen ");
}

ASYNC_TEST(UnixServers, S276_cleanup_socket_can_be_switched_off) {
    const Folder folder;
    const std::string path = folder / "s";
    asyncio::UnixServerOptions options;
    options.cleanup_socket = false;
    Server server = co_await asyncio::start_unix_server(greet, path, options);
    server.close();
    EXPECT_TRUE(std::filesystem::exists(path));
    Server next = co_await asyncio::start_unix_server(greet, path);
    EXPECT_EQ(co_await greeting_at(path), "hello");
}

ASYNC_TEST(UnixServers, a_name_without_a_file_needs_no_clean_up) {
    const std::string name = std::string(1, '\0') + "asyncio-test-" + std::to_string(::getpid());
    Server server = co_await asyncio::start_unix_server(greet, name);
    EXPECT_EQ(co_await greeting_at(name), "hello");
}

// ---- accepting

ASYNC_TEST(Servers, S286_more_connections_than_one_are_accepted_at_once) {
    int accepted = 0;
    asyncio::ServerOptions options;
    options.start_serving = false;
    Server server = co_await asyncio::create_server(
        [&accepted] {
            ++accepted;
            return std::make_shared<asyncio::Protocol>();
        },
        "127.0.0.1", 0, options);
    std::vector<Socket> clients;
    for (int i = 0; i < 50; ++i) {
        clients.emplace_back(asyncio::AddressFamily::inet);
        co_await asyncio::sock_connect(clients.back(), server.sockets().at(0));
    }
    EXPECT_EQ(accepted, 0);
    server.start_serving();
    co_await socket_tests::turns(2);
    EXPECT_EQ(accepted, 50);
    server.abort_clients();
}

// Takes all descriptors that are left, but for a number.
class Shortage {
public:
    explicit Shortage(rlim_t left) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::dup(0);
        const rlimit few{static_cast<rlim_t>(next) + left, before_.rlim_max};
        ::close(next);
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    Shortage(const Shortage&) = delete;
    Shortage& operator=(const Shortage&) = delete;
    ~Shortage() { end(); }
    void end() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

ASYNC_TEST(Servers, S286_a_server_short_of_descriptors_says_so_and_goes_on_after_a_second) {
    if (built_with_ubsan) {
        co_return;  // it needs descriptors itself
    }
    Server server = co_await asyncio::start_server(greet, "127.0.0.1", 0);
    auto connecting =
        asyncio::create_task(asyncio::open_connection("127.0.0.1", server.sockets().at(0).port()));
    Shortage shortage(1);
    StreamPair client = co_await connecting;
    co_await asyncio::sleep(500ms);
    CO_ASSERT_EQ(reports().size(), 1U);
    EXPECT_EQ(reports()[0].message,
              "socket.accept() out of system resource; the server tries again after a second");
    co_await asyncio::sleep(600ms);
    EXPECT_EQ(reports().size(), 2U);
    shortage.end();
    EXPECT_EQ(co_await client.reader.read(), "hello");
    EXPECT_EQ(reports().size(), 2U);
    reports().clear();
}

ASYNC_TEST(Servers, S286_a_server_that_is_short_can_be_closed) {
    if (built_with_ubsan) {
        co_return;  // it needs descriptors itself
    }
    Server server = co_await asyncio::start_server(greet, "127.0.0.1", 0);
    auto connecting =
        asyncio::create_task(asyncio::open_connection("127.0.0.1", server.sockets().at(0).port()));
    Shortage shortage(1);
    StreamPair client = co_await connecting;
    co_await asyncio::sleep(500ms);
    server.close();
    co_await server.wait_closed();
    reports().clear();
}

ASYNC_TEST(Servers, a_factory_that_throws_costs_one_connection) {
    bool broken = true;
    Server server = co_await asyncio::create_server(
        [&broken]() -> std::shared_ptr<asyncio::Protocol> {
            if (std::exchange(broken, false)) {
                throw asyncio::ValueError("no protocol");
            }
            return std::make_shared<asyncio::Protocol>();
        },
        "127.0.0.1", 0);
    const std::uint16_t port = server.sockets().at(0).port();
    StreamPair first = co_await asyncio::open_connection("127.0.0.1", port);
    EXPECT_EQ(co_await first.reader.read(), "");
    CO_ASSERT_EQ(reports().size(), 1U);
    EXPECT_EQ(reports()[0].message, "Error on transport creation for incoming connection");
    reports().clear();
    StreamPair second = co_await asyncio::open_connection("127.0.0.1", port);
    second.writer.close();
    co_await second.writer.wait_closed();
}

ASYNC_TEST(Servers, without_a_host_a_server_listens_on_all_interfaces) {
    Server server = co_await asyncio::start_server(greet, std::nullopt, 0);
    CO_ASSERT_TRUE(!server.sockets().empty());
    for (const Address& address : server.sockets()) {
        const char* const self =
            address.family() == asyncio::AddressFamily::inet ? "127.0.0.1" : "::1";
        StreamPair streams = co_await asyncio::open_connection(self, address.port());
        EXPECT_EQ(co_await streams.reader.read(), "hello");
    }
    asyncio::ServerOptions inet;
    inet.family = asyncio::AddressFamily::inet;
    Server one = co_await asyncio::start_server(greet, std::nullopt, 0, inet);
    EXPECT_EQ(one.sockets().size(), 1U);
}

ASYNC_TEST(Servers, a_port_that_is_taken_is_an_error_unless_both_servers_share_it) {
    asyncio::ServerOptions shared;
    shared.reuse_port = true;
    Server first = co_await asyncio::start_server(greet, "127.0.0.1", 0, shared);
    const std::uint16_t port = first.sockets().at(0).port();
    EXPECT_NE((co_await outcome(asyncio::start_server(greet, "127.0.0.1", port)))
                  .find("cannot listen at 127.0.0.1:" + std::to_string(port)),
              std::string::npos);
    Server second = co_await asyncio::start_server(greet, "127.0.0.1", port, shared);
}

// ---- connecting

int option_of(const std::shared_ptr<asyncio::Transport>& transport, int level, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(transport->get_extra_info(asyncio::extra_info::socket).value_or(-1), level, option,
                 &value, &size);
    return value;
}

ASYNC_TEST(Servers, S287_both_ends_of_a_connection_send_without_delay) {
    std::string notes;
    std::shared_ptr<NotingProtocol> accepted;
    asyncio::ServerOptions options;
    options.keep_alive = true;
    Server server = co_await asyncio::create_server(
        [&] { return accepted = std::make_shared<NotingProtocol>(notes); }, "127.0.0.1", 0,
        options);
    std::string client_notes;
    auto [transport, protocol] = co_await asyncio::create_connection(
        [&] { return std::make_shared<NotingProtocol>(client_notes); }, "127.0.0.1",
        server.sockets().at(0).port());
    static_assert(std::same_as<decltype(protocol), std::shared_ptr<NotingProtocol>>);
    EXPECT_EQ(client_notes, "made ");
    EXPECT_EQ(protocol->transport, transport);
    while (accepted == nullptr || accepted->transport == nullptr) {
        co_await asyncio::sleep(0);
    }
    EXPECT_EQ(option_of(transport, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option_of(accepted->transport, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option_of(accepted->transport, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(transport->get_extra_info(asyncio::extra_info::peername), server.sockets().at(0));
    EXPECT_EQ(accepted->transport->get_extra_info(asyncio::extra_info::peername),
              transport->get_extra_info(asyncio::extra_info::sockname));
    transport->close();
    while (!protocol->lost || !accepted->lost) {
        co_await asyncio::sleep(0);
    }
    EXPECT_EQ(notes, "made eof lost ");
    protocol->transport.reset();
    accepted->transport.reset();
}

// A port at which nobody listens.
std::uint16_t dead_port() {
    return Socket::listen_on(Address("127.0.0.1", 0)).getsockname().port();
}

ASYNC_TEST(Connections, S289_a_refused_connection_names_the_address) {
    const std::uint16_t port = dead_port();
    EXPECT_EQ(co_await outcome(asyncio::open_connection("127.0.0.1", port)),
              "system_error: cannot connect to 127.0.0.1:" + std::to_string(port) +
                  ": Connection refused");
    asyncio::ConnectOptions options;
    options.all_errors = true;
    try {
        co_await asyncio::open_connection("127.0.0.1", port, options);
        ADD_FAILURE() << "no error";
    } catch (const asyncio::ExceptionGroup& group) {
        EXPECT_EQ(group.exceptions().size(), 1U);
    }
}

ASYNC_TEST(Connections, S289_a_connection_may_come_from_a_chosen_address) {
    Server server = co_await asyncio::start_server(
        [](StreamReader, StreamWriter writer) -> Coro<void> {
            const auto peer = writer.get_extra_info(asyncio::extra_info::peername);
            writer.write(peer ? peer->ip() : "unknown");
            co_await writer.drain();
        },
        "127.0.0.1", 0);
    asyncio::ConnectOptions options;
    options.local_addr = Address("127.0.0.2", 0);
    auto [reader, writer] =
        co_await asyncio::open_connection("127.0.0.1", server.sockets().at(0).port(), options);
    EXPECT_EQ(co_await reader.read(), "127.0.0.2");
    options.local_addr = Address("::1", 0);
    EXPECT_EQ((co_await outcome(
                   asyncio::open_connection("127.0.0.1", server.sockets().at(0).port(), options)))
                  .substr(0, 12),
              "ValueError: ");
}

ASYNC_TEST(Connections, S289_names_are_looked_up_and_addresses_tried_in_order) {
    asyncio::ServerOptions inet;
    inet.family = asyncio::AddressFamily::inet;
    Server server = co_await asyncio::start_server(greet, "localhost", 0, inet);
    const std::uint16_t port = server.sockets().at(0).port();
    // ::1 refuses, 127.0.0.1 does not, in whatever order the system has them.
    auto [reader, writer] = co_await asyncio::open_connection("localhost", port);
    EXPECT_EQ(co_await reader.read(), "hello");
    asyncio::ConnectOptions eyeballs;
    eyeballs.happy_eyeballs_delay = 250ms;
    auto [second, to] = co_await asyncio::open_connection("localhost", port, eyeballs);
    EXPECT_EQ(co_await second.read(), "hello");
    EXPECT_TRUE((co_await outcome(asyncio::open_connection("no.such.name.invalid", port)))
                    .starts_with("gaierror: "));
}

ASYNC_TEST(Connections, S289_the_errors_of_several_addresses_are_told_together) {
    const std::uint16_t port = dead_port();
    const auto infos = co_await asyncio::getaddrinfo("localhost", port, {.type = SOCK_STREAM});
    const std::string text = co_await outcome(asyncio::open_connection("localhost", port));
    for (const asyncio::AddressInfo& info : infos) {
        EXPECT_NE(text.find(info.address.str()), std::string::npos) << text;
    }
    asyncio::ConnectOptions all;
    all.all_errors = true;
    all.happy_eyeballs_delay = 250ms;
    try {
        co_await asyncio::open_connection("localhost", port, all);
        ADD_FAILURE() << "no error";
    } catch (const asyncio::ExceptionGroup& group) {
        EXPECT_EQ(group.exceptions().size(), infos.size());
    }
}

ASYNC_TEST(Connections, cancelling_at_any_step_leaves_no_descriptor_and_no_watch) {
    Server server = co_await asyncio::start_server(greet, "127.0.0.1", 0);
    const std::uint16_t port = server.sockets().at(0).port();
    const std::size_t watched = socket_tests::watched();
    for (int steps = 0; steps < 6; ++steps) {
        auto connecting = asyncio::create_task(asyncio::open_connection("127.0.0.1", port));
        co_await socket_tests::turns(steps);
        connecting.cancel();
        if (co_await outcome(connecting) == "none") {
            std::move(connecting).result().writer.transport().abort();
        }
        co_await socket_tests::turns(10);
        EXPECT_EQ(socket_tests::watched(), watched) << steps;
    }
    co_await socket_tests::turns(10);
}

}  // namespace
