// Making datagram endpoints: addresses, options, and what is left when that fails.
#include "datagram_fixture.hpp"
#include "folder.hpp"
#include "sanitizers.hpp"
#include "scripted_names.hpp"

#include <fcntl.h>
#include <sys/resource.h>

using asyncio::Address;
using asyncio::AddressFamily;
using asyncio::HostPort;
using asyncio::Socket;
using scripted_names::NameScript;

namespace {

class DatagramEndpoints : public DatagramFixture {
protected:
    void SetUp() override { NameScript::reset(); }
};

Address unused_port() {
    Socket socket(AddressFamily::inet, SOCK_DGRAM);
    socket.bind(Address("127.0.0.1", 0));
    return socket.getsockname();
}

int option(const NotingDatagrams& protocol, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(protocol.transport->get_extra_info(asyncio::extra_info::socket).value(),
                           SOL_SOCKET, name, &value, &size),
              0);
    return value;
}

// ---- addresses

TEST_F(DatagramEndpoints, names_are_looked_up_off_the_loop) {
    const DatagramsPtr server = open({.local_addr = {"host.test", 0}});
    const std::uint16_t port = server->address().port();
    const DatagramsPtr client = open({.remote_addr = {"host.test", port}});
    EXPECT_EQ(client->transport->get_extra_info(asyncio::extra_info::peername),
              Address("127.0.0.1", port));
    EXPECT_EQ(NameScript::asked(), (std::vector<std::string>{"host.test", "host.test"}));
    EXPECT_TRUE(NameScript::threads()[0].starts_with("asyncio-dns"));
    EXPECT_EQ(failure({.remote_addr = {"missing.test", 1}}).substr(0, 9), "gaierror:");
}

TEST_F(DatagramEndpoints, of_several_addresses_of_a_family_the_first_is_taken) {
    const DatagramsPtr client = open({.remote_addr = {"two.test", 9}});
    EXPECT_EQ(client->transport->get_extra_info(asyncio::extra_info::peername),
              Address("127.255.255.254", 9));
}

TEST_F(DatagramEndpoints, both_addresses_must_be_of_one_family) {
    const DatagramsPtr both =
        open({.local_addr = {"127.0.0.1", 0}, .remote_addr = {"127.0.0.1", 9}});
    EXPECT_EQ(both->address().ip(), "127.0.0.1");
    EXPECT_EQ(failure({.local_addr = {"127.0.0.1", 0}, .remote_addr = {"::1", 9}}),
              "ValueError: the addresses of a datagram endpoint have no family in common");
    EXPECT_EQ(failure({.local_addr = Address("127.0.0.1", 0), .family = AddressFamily::inet6}),
              "ValueError: the addresses of a datagram endpoint have no family in common");
}

TEST_F(DatagramEndpoints, the_first_family_that_will_do_is_taken) {
    // An empty host is this machine: one address of each family, of which IPv6 cannot be had from
    // a port that is taken.
    const DatagramsPtr first = open({.local_addr = {"::1", 0}});
    const DatagramsPtr second = open({.local_addr = {"", first->address().port()}});
    EXPECT_EQ(second->address(), Address("127.0.0.1", first->address().port()));
}

TEST_F(DatagramEndpoints, without_addresses_a_family_is_needed) {
    EXPECT_EQ(failure({}), "ValueError: a datagram endpoint needs an address or a family");
    const DatagramsPtr any = open({.family = AddressFamily::inet6});
    EXPECT_EQ(any->address().family(), AddressFamily::inet6);
}

TEST_F(DatagramEndpoints, unix_sockets_have_paths) {
    const Folder folder;
    const Address at_server = Address::local(folder / "server");
    const Address at_client = Address::local(folder / "client");
    const DatagramsPtr server = open({.local_addr = at_server});
    const DatagramsPtr client = open({.local_addr = at_client, .remote_addr = at_server});
    client->transport->sendto("question");
    iterate_until([&] { return server->senders.size() == 1; });
    EXPECT_EQ(server->senders[0], at_client);
    server->transport->sendto("answer", at_client);
    iterate_until([&] { return client->senders.size() == 1; });
    const DatagramsPtr nameless = open({.family = AddressFamily::local});
    nameless->transport->sendto("from nowhere", at_server);
    iterate_until([&] { return server->senders.size() == 2; });
    EXPECT_EQ(server->senders[1], Address());
}

TEST_F(DatagramEndpoints, a_socket_that_was_left_behind_is_replaced_but_no_file) {
    const Folder folder;
    const Address path = Address::local(folder / "socket");
    {
        Socket left(AddressFamily::local, SOCK_DGRAM);
        left.bind(path);
    }
    const DatagramsPtr server = open({.local_addr = path});
    const DatagramsPtr client = open({.remote_addr = path});
    client->transport->sendto("1");
    iterate_until([&] { return server->senders.size() == 1; });
    const std::string file = folder / "file";
    ::close(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_NE(failure({.local_addr = Address::local(file)}).find("cannot bind to unix:" + file),
              std::string::npos);
    EXPECT_TRUE(std::filesystem::is_regular_file(file));
}

// ---- options

TEST_F(DatagramEndpoints, a_port_is_shared_only_if_all_say_so) {
    const Address port = unused_port();
    const DatagramsPtr first = open({.local_addr = port, .reuse_port = true});
    const DatagramsPtr second = open({.local_addr = port, .reuse_port = true});
    EXPECT_EQ(option(*first, SO_REUSEPORT), 1);
    EXPECT_EQ(option(*second, SO_BROADCAST), 0);
    EXPECT_EQ(failure({.local_addr = port}).substr(0, 30 + port.str().size()),
              "system_error: cannot bind to " + port.str() + ":");
}

TEST_F(DatagramEndpoints, broadcasting_must_be_allowed) {
    const Address everybody("255.255.255.255", 9);
    const DatagramsPtr allowed = open({.remote_addr = everybody, .allow_broadcast = true});
    EXPECT_EQ(option(*allowed, SO_BROADCAST), 1);
    EXPECT_NE(failure({.remote_addr = everybody}), "none");
}

TEST_F(DatagramEndpoints, a_socket_that_exists_is_taken_over) {
    const DatagramsPtr server = open({.local_addr = {"127.0.0.1", 0}});
    Socket bound(AddressFamily::inet, SOCK_DGRAM);
    bound.bind(Address("127.0.0.1", 0));
    const DatagramsPtr client = open(std::move(bound));
    client->transport->sendto("1", server->address());
    iterate_until([&] { return server->senders.size() == 1; });
    EXPECT_EQ(server->senders[0], client->address());

    EXPECT_THROW(open(Socket(AddressFamily::inet)), asyncio::ValueError);
    EXPECT_THROW(open(Socket()), std::system_error);
}

// ---- what is left behind

TEST_F(DatagramEndpoints, a_cancelled_attempt_closes_what_it_made) {
    DatagramsPtr protocol;
    prepare = [&](NotingDatagrams& made) {
        made.on_made = [&] {
            protocol = std::static_pointer_cast<NotingDatagrams>(made.transport->get_protocol());
        };
    };
    const auto opening =
        loop->create_task(create(asyncio::DatagramOptions{.local_addr = {"127.0.0.1", 0}}));
    iterate();
    opening.cancel();
    iterate(3);
    EXPECT_TRUE(opening.cancelled());
    ASSERT_NE(protocol, nullptr);
    EXPECT_EQ(protocol->notes, "made lost ");
    EXPECT_EQ(loop->poller().watched(), 0U);
    protocol->transport.reset();
}

TEST_F(DatagramEndpoints, an_attempt_may_be_cancelled_while_a_name_is_looked_up) {
    const auto opening =
        loop->create_task(create(asyncio::DatagramOptions{.remote_addr = {"slow.test", 9}}));
    iterate_until([&] { return NameScript::waiting() == 1; });
    opening.cancel();
    iterate(3);
    EXPECT_TRUE(opening.cancelled());
    NameScript::release_slow_names();
    iterate_until([&] { return NameScript::waiting() == 0; });
}

TEST_F(DatagramEndpoints, without_descriptors_the_error_is_thrown) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const std::string error = failure({.local_addr = {"127.0.0.1", 0}});
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(error, "system_error: socket: Too many open files");
}

TEST_F(DatagramEndpoints, what_the_factory_throws_is_thrown) {
    prepare = [](NotingDatagrams&) { throw std::runtime_error("no"); };
    EXPECT_EQ(failure({.local_addr = {"127.0.0.1", 0}}), "runtime_error: no");
    EXPECT_EQ(loop->poller().watched(), 0U);
}

}  // namespace
