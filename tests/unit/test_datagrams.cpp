// Datagram endpoints: what goes over them, and what their protocols are told.
#include "datagram_fixture.hpp"

#include <fcntl.h>

#include <stdexcept>

using asyncio::Address;
using asyncio::AddressFamily;
using asyncio::Coro;
using asyncio::HostPort;

namespace {

using Datagrams = DatagramFixture;
using DatagramPairs = DatagramPair;

constexpr std::size_t header_size = 8;

// ---- both ways

TEST_F(Datagrams, S288_datagrams_go_both_ways) {
    for (const char* const ip : {"127.0.0.1", "::1"}) {
        const DatagramsPtr server = open({.local_addr = {ip, 0}});
        const DatagramsPtr client = open({.remote_addr = server->address()});
        client->transport->sendto("question");
        iterate_until([&] { return server->senders.size() == 1; });
        EXPECT_EQ(server->senders[0], client->address());
        server->transport->sendto("answer", server->senders[0]);
        iterate_until([&] { return client->senders.size() == 1; });
        EXPECT_EQ(client->senders[0], server->address());
        EXPECT_EQ(server->notes, "made <question> ");
        EXPECT_EQ(client->notes, "made <answer> ");
    }
}

TEST_F(Datagrams, S288_an_empty_datagram_is_one) {
    const DatagramsPtr server = open({.local_addr = {"127.0.0.1", 0}});
    const DatagramsPtr client = open({.family = AddressFamily::inet});
    client->transport->sendto("", server->address());
    client->transport->sendto(std::span<const std::byte>(), server->address());
    iterate_until([&] { return server->senders.size() == 2; });
    EXPECT_EQ(server->notes, "made <> <> ");
}

TEST_F(DatagramPairs, a_datagram_of_any_size_is_received_whole) {
    connect();
    const std::string large(100'000, 'x');
    send(large);
    send("small");
    iterate_until([&] { return protocol->sizes.size() == 2; });
    EXPECT_EQ(protocol->sizes, (std::vector<std::size_t>{100'000, 5}));
    EXPECT_EQ(protocol->senders[0], Address()) << "the other end has no address";
}

TEST_F(DatagramPairs, what_is_scheduled_for_one_datagram_runs_before_the_next_comes) {
    connect();
    protocol->on_datagram = [&] { loop->call_soon([&] { protocol->notes += "then "; }); };
    send("1");
    send("2");
    send("3");
    iterate_until([&] { return protocol->senders.size() == 3; });
    iterate();
    EXPECT_EQ(protocol->notes, "made <1> then <2> then <3> then ");
}

TEST_F(DatagramPairs, a_burst_leaves_turns_to_others) {
    connect();
    for (int i = 0; i < 8; ++i) {
        send(std::to_string(i));
    }
    iterate();
    EXPECT_EQ(protocol->notes, "made <0> ") << "one in an iteration, as in CPython";
    iterate(7);
    EXPECT_EQ(protocol->senders.size(), 8U);
}

TEST_F(DatagramPairs, S284_reading_may_be_paused_in_the_middle_of_a_burst) {
    connect();
    protocol->on_datagram = [&] { transport().pause_reading(); };
    send("1");
    send("2");
    iterate(5);
    EXPECT_EQ(protocol->notes, "made <1> ");
    EXPECT_FALSE(transport().is_reading());
    transport().resume_reading();
    iterate(5);
    EXPECT_EQ(protocol->notes, "made <1> <2> ");
}

TEST_F(DatagramPairs, S284_reading_may_be_paused_before_it_begins) {
    prepare = [](NotingDatagrams& p) { p.on_made = [&p] { p.transport->pause_reading(); }; };
    connect();
    send("1");
    iterate(3);
    EXPECT_EQ(protocol->notes, "made ");
    transport().resume_reading();
    iterate(3);
    EXPECT_EQ(protocol->notes, "made <1> ");
}

// ---- addresses

TEST_F(Datagrams, S288_a_wrong_address_is_a_value_error) {
    const DatagramsPtr server = open({.local_addr = {"127.0.0.1", 0}});
    const DatagramsPtr client = open({.remote_addr = server->address()});
    EXPECT_THROW(client->transport->sendto("x", Address("127.0.0.1", 1)), asyncio::ValueError);
    client->transport->sendto("right", server->address());
    EXPECT_THROW(server->transport->sendto("to nobody"), asyncio::ValueError);
    iterate_until([&] { return server->senders.size() == 1; });
    EXPECT_EQ(server->notes, "made <right> ");
    EXPECT_FALSE(client->transport->is_closing() || server->transport->is_closing());
}

TEST_F(Datagrams, S288_a_broadcaster_has_one_address_and_hears_everybody) {
    const DatagramsPtr server = open({.local_addr = {"127.0.0.1", 0}});
    const DatagramsPtr client = open({.remote_addr = server->address(), .allow_broadcast = true});
    client->transport->sendto("question");
    iterate_until([&] { return server->senders.size() == 1; });
    const DatagramsPtr other = open({.local_addr = {"127.0.0.1", 0}});
    other->transport->sendto("answer", Address("127.0.0.1", client->address().port()));
    iterate_until([&] { return client->senders.size() == 1; });
    EXPECT_EQ(client->senders[0], other->address());
    EXPECT_THROW(client->transport->sendto("x", other->address()), asyncio::ValueError);
    EXPECT_FALSE(client->transport->get_extra_info(asyncio::extra_info::peername));
}

TEST_F(Datagrams, extra_info_tells_both_addresses) {
    const DatagramsPtr server = open({.local_addr = {"127.0.0.1", 0}});
    const DatagramsPtr client = open({.remote_addr = server->address()});
    EXPECT_EQ(client->transport->get_extra_info(asyncio::extra_info::peername), server->address());
    EXPECT_FALSE(server->transport->get_extra_info(asyncio::extra_info::peername));
    EXPECT_GE(server->transport->get_extra_info(asyncio::extra_info::socket).value_or(-1), 0);
    server->transport->close();
    iterate_until_lost(*server);
    EXPECT_FALSE(server->transport->get_extra_info(asyncio::extra_info::socket));
}

// ---- errors

TEST_F(Datagrams, S288_a_refused_datagram_is_told_and_the_transport_goes_on) {
    Address nobody;
    {
        asyncio::Socket closed(AddressFamily::inet, SOCK_DGRAM);
        closed.bind(Address("127.0.0.1", 0));
        nobody = closed.getsockname();
    }
    const DatagramsPtr client = open({.remote_addr = nobody});
    client->transport->sendto("anybody?");
    iterate_until([&] { return client->errors.size() == 1; });
    EXPECT_EQ(client->errors[0], std::errc::connection_refused);
    EXPECT_FALSE(client->transport->is_closing());
    const DatagramsPtr server = open({.local_addr = nobody});
    client->transport->sendto("now?");
    iterate_until([&] { return server->senders.size() == 1; });
    EXPECT_EQ(client->notes, "made error ");
}

TEST_F(Datagrams, S288_an_error_of_sendto_is_told_at_once) {
    const DatagramsPtr client = open({.local_addr = {"127.0.0.1", 0}});
    client->transport->sendto(std::string(70'000, 'x'), client->address());
    ASSERT_EQ(client->notes, "made error ");
    EXPECT_EQ(client->errors[0], std::errc::message_size);
    client->transport->sendto("small", client->address());
    iterate_until([&] { return client->senders.size() == 1; });
}

TEST_F(Datagrams, what_a_protocol_throws_is_reported_and_the_transport_goes_on) {
    prepare = [](NotingDatagrams& p) {
        p.on_made = p.on_datagram = p.on_error =
            p.on_lost = [] { throw std::runtime_error("bad"); };
    };
    const DatagramsPtr endpoint = open({.local_addr = {"127.0.0.1", 0}});
    endpoint->transport->sendto(std::string(70'000, 'x'), endpoint->address());
    endpoint->transport->sendto("1", endpoint->address());
    endpoint->transport->sendto("2", endpoint->address());
    iterate_until([&] { return endpoint->senders.size() == 2; });
    endpoint->transport->close();
    iterate_until_lost(*endpoint);
    EXPECT_EQ(endpoint->notes, "made error <1> <2> lost ");
    std::string messages;
    for (const asyncio::ErrorContext& report : take_reports()) {
        messages += report.message + "\n";
        EXPECT_EQ(report.protocol, endpoint.get());
    }
    EXPECT_EQ(messages, "protocol.connection_made() failed\n"
                        "protocol.error_received() failed\n"
                        "protocol.datagram_received() failed\n"
                        "protocol.datagram_received() failed\n"
                        "protocol.connection_lost() failed\n");
}

TEST_F(DatagramPairs, a_loop_break_leaves_the_loop_and_the_transport_goes_on) {
    connect();
    protocol->on_datagram = [&] {
        protocol->on_datagram = nullptr;
        throw asyncio::SystemExit(3);
    };
    send("1");
    send("2");
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
    iterate(2);
    EXPECT_EQ(protocol->notes, "made <1> <2> ");
}

// ---- what waits to be sent

TEST_F(DatagramPairs, S288_what_the_kernel_does_not_take_is_sent_later_in_order) {
    connect();
    int sent = fill() + 1;
    EXPECT_EQ(transport().get_write_buffer_size(), std::to_string(sent - 1).size() + header_size);
    for (int i = 0; i < 100; ++i) {
        transport().sendto(std::to_string(sent++));
    }
    iterate(3);
    EXPECT_GT(transport().get_write_buffer_size(), 0U);
    // There is room now, but others came before.
    ASSERT_EQ(receive(), "0");
    transport().sendto(std::to_string(sent++));
    for (int i = 1; i < sent; ++i) {
        ASSERT_EQ(receive(), std::to_string(i));
        iterate();
    }
    EXPECT_EQ(receive(), "none");
    EXPECT_EQ(transport().get_write_buffer_size(), 0U);
    EXPECT_EQ(loop->poller().watched(), 1U) << "nothing waits to send";
}

TEST_F(DatagramPairs, S283_pauses_above_the_upper_limit_and_counts_headers) {
    connect();
    transport().set_write_buffer_limits(4 * header_size, header_size);
    fill();
    EXPECT_EQ(protocol->notes, "made ");
    for (int i = 0; i < 4; ++i) {
        transport().sendto("");
    }
    EXPECT_EQ(protocol->notes, "made pause ");
    transport().sendto("");
    iterate_until([&] {
        (void)receive();
        return transport().get_write_buffer_size() == 0;
    });
    EXPECT_EQ(protocol->notes, "made pause resume ");
    EXPECT_EQ(transport().get_write_buffer_limits().low, header_size);
    EXPECT_THROW(transport().set_write_buffer_limits(1, 2), asyncio::ValueError);
}

TEST_F(DatagramPairs, S288_an_error_among_those_that_wait_loses_only_its_own) {
    connect();
    fill();
    transport().sendto(std::string(10'000'000, 'x'));
    transport().sendto("last");
    std::string received;
    iterate_until([&] {
        const std::string next = receive();
        received = next == "none" ? received : next;
        return next == "none" && transport().get_write_buffer_size() == 0;
    });
    EXPECT_EQ(received, "last");
    EXPECT_EQ(protocol->notes, "made pause error resume ");
    EXPECT_EQ(protocol->errors[0], std::errc::message_size);
}

TEST_F(DatagramPairs, a_protocol_that_answers_errors_by_errors_leaves_turns_to_others) {
    connect();
    const std::string large(10'000'000, 'x');
    const int sent = fill() + 1;
    transport().sendto(large);
    transport().sendto("first");
    protocol->on_error = [&] {
        if (protocol->errors.size() < 3) {
            transport().sendto(large);
            transport().sendto("first");
        }
    };
    for (int i = 0; i < sent; ++i) {
        (void)receive();
    }
    iterate();
    EXPECT_EQ(protocol->errors.size(), 1U);
    iterate_until([&] { return protocol->errors.size() == 3; });
}

// ---- the end

TEST_F(DatagramPairs, S280_close_sends_what_waits_first_and_in_order) {
    connect();
    int sent = fill() + 1;
    for (int i = 0; i < 20; ++i) {
        transport().sendto(std::to_string(sent++));
    }
    transport().close();
    EXPECT_TRUE(transport().is_closing());
    send("too late");
    iterate(3);
    EXPECT_FALSE(protocol->lost);
    for (int i = 0; i < sent; ++i) {
        ASSERT_EQ(receive(), std::to_string(i));
        iterate();
    }
    EXPECT_TRUE(protocol->lost);
    EXPECT_EQ(protocol->notes, "made lost ");
    EXPECT_EQ(transport().get_protocol(), nullptr);
}

TEST_F(DatagramPairs, S280_abort_drops_what_waits) {
    connect();
    fill();
    transport().abort();
    EXPECT_EQ(transport().get_write_buffer_size(), 0U);
    EXPECT_FALSE(protocol->lost) << "connection_lost comes from the loop";
    iterate();
    EXPECT_EQ(protocol->notes, "made lost ");
    transport().abort();
    transport().close();
    transport().pause_reading();
    iterate();
    EXPECT_EQ(protocol->notes, "made lost ");
}

TEST_F(DatagramPairs, closing_for_a_datagram_drops_the_rest_of_the_burst) {
    connect();
    protocol->on_datagram = [&] { transport().close(); };
    send("1");
    send("2");
    iterate_until_lost(*protocol);
    EXPECT_EQ(protocol->notes, "made <1> lost ");
}

TEST_F(DatagramPairs, closing_at_an_error_of_what_waits_ends_the_transport_once) {
    connect();
    fill();
    transport().sendto("never sent");
    protocol->on_error = [&] { transport().abort(); };
    far.close();
    iterate_until_lost(*protocol);
    iterate(3);
    EXPECT_EQ(protocol->notes, "made error lost ");
}

TEST_F(DatagramPairs, S281_what_is_sent_after_the_loss_is_dropped_and_then_warned_about) {
    connect();
    transport().abort();
    for (int i = 0; i < 4; ++i) {
        transport().sendto("x");
    }
    iterate();
    EXPECT_EQ(captured.take().size(), 0U);
    transport().sendto("y");
    transport().sendto("z");
    EXPECT_EQ(captured.take().size(), 1U);
    EXPECT_EQ(receive(), "none");
}

TEST_F(DatagramPairs, a_protocol_may_be_replaced) {
    connect();
    const auto other = std::make_shared<NotingDatagrams>();
    transport().set_protocol(other);
    EXPECT_EQ(transport().get_protocol(), other);
    EXPECT_THROW(transport().set_protocol(nullptr), asyncio::TypeError);
    send("1");
    iterate(2);
    transport().close();
    iterate(2);
    EXPECT_EQ(protocol->notes, "made ");
    EXPECT_EQ(other->notes, "<1> lost ");
}

TEST_F(DatagramPairs, an_endpoint_nobody_holds_goes_on) {
    connect();
    protocol->transport.reset();
    send("1");
    iterate();
    EXPECT_EQ(protocol->notes, "made <1> ");
}

TEST_F(DatagramPairs, a_loop_that_closes_with_an_endpoint_open_gives_it_back_and_says_so) {
    connect();
    fill();
    loop->set_debug(true);
    const int fd = transport().get_extra_info(asyncio::extra_info::socket).value();
    loop.reset();
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("ResourceWarning"), std::string::npos);
    EXPECT_EQ(protocol->notes, "made ");
    transport().sendto("harmless");
    transport().close();
    transport().abort();
}

}  // namespace
