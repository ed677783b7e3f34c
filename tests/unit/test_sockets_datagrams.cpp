// The low-level operations on sockets for datagrams.
#include <asyncio/asyncio.hpp>
#include <asyncio/testing/gtest.hpp>

#include "socket_pairs.hpp"

#include <array>

using namespace socket_tests;
using asyncio::Address;
using asyncio::Coro;
using asyncio::Socket;

namespace {

Socket datagram_socket() {
    Socket socket(asyncio::AddressFamily::inet, SOCK_DGRAM);
    socket.bind(Address("127.0.0.1", 0));
    return socket;
}

ASYNC_TEST(DatagramSockets, S290_operations_that_need_not_wait_give_no_turn) {
    const Socket near = datagram_socket();
    const Socket far = datagram_socket();
    bool other_ran = false;
    asyncio::get_running_loop().call_soon([&other_ran] { other_ran = true; });
    EXPECT_EQ(co_await asyncio::sock_sendto(near, "question", far.getsockname()), 8U);
    const auto [question, sender] = co_await asyncio::sock_recvfrom(far, 100);
    EXPECT_EQ(question, "question");
    EXPECT_EQ(sender, near.getsockname());
    EXPECT_EQ(co_await asyncio::sock_sendto(far, std::span<const std::byte>(), sender), 0U);
    std::array<std::byte, 4> buffer{};
    const auto [size, answerer] = co_await asyncio::sock_recvfrom_into(near, buffer);
    EXPECT_EQ(size, 0U) << "an empty datagram is one";
    EXPECT_EQ(answerer, far.getsockname());
    EXPECT_FALSE(other_ran);
    co_await turns(1);
    EXPECT_TRUE(other_ran);
}

ASYNC_TEST(DatagramSockets, receiving_waits_for_a_datagram) {
    const Socket near = datagram_socket();
    const Socket far = datagram_socket();
    const auto text = asyncio::create_task(asyncio::sock_recvfrom(near, 100));
    co_await turns();
    EXPECT_FALSE(text.done());
    co_await asyncio::sock_sendto(far, "1", near.getsockname());
    EXPECT_EQ(co_await text, std::pair(std::string("1"), far.getsockname()));

    std::array<std::byte, 4> buffer{};
    const auto size = asyncio::create_task(asyncio::sock_recvfrom_into(near, buffer));
    co_await turns();
    EXPECT_FALSE(size.done());
    co_await asyncio::sock_sendto(far, "12", near.getsockname());
    EXPECT_EQ(co_await size, std::pair(std::size_t{2}, far.getsockname()));
    EXPECT_EQ(buffer[1], std::byte{'2'});
}

ASYNC_TEST(DatagramSockets, what_exceeds_the_size_is_dropped) {
    const Socket near = datagram_socket();
    const Socket far = datagram_socket();
    const Address address = near.getsockname();
    co_await asyncio::sock_sendto(far, "abcdef", address);
    co_await asyncio::sock_sendto(far, "ghijkl", address);
    co_await asyncio::sock_sendto(far, "next", address);
    EXPECT_EQ((co_await asyncio::sock_recvfrom(near, 2)).first, "ab");
    std::array<std::byte, 3> buffer{};
    EXPECT_EQ((co_await asyncio::sock_recvfrom_into(near, buffer)).first, 3U);
    EXPECT_EQ((co_await asyncio::sock_recvfrom(near, 100)).first, "next");
}

ASYNC_TEST(DatagramSockets, sending_waits_for_room) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    const Socket near(ends[0]);
    const Socket far(ends[1]);
    while (::send(near.fileno(), "x", 1, MSG_NOSIGNAL) == 1) {
    }
    // The peer has no address, and needs none.
    const auto sending = asyncio::create_task(asyncio::sock_sendto(near, "last", Address()));
    co_await turns();
    EXPECT_FALSE(sending.done());
    std::string received;
    while (received != "last") {
        received = (co_await asyncio::sock_recvfrom(far, 100)).first;
        co_await turns(1);
    }
    EXPECT_EQ(co_await sending, 4U);
}

ASYNC_TEST(DatagramSockets, errors_name_the_address) {
    const Socket near = datagram_socket();
    const std::string large(70'000, 'x');
    try {
        co_await asyncio::sock_sendto(near, large, Address("127.0.0.1", 9));
        ADD_FAILURE() << "no error";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::message_size);
        EXPECT_EQ(std::string(error.what()).substr(0, 26), "cannot send to 127.0.0.1:9");
    }
    EXPECT_THROW(co_await asyncio::sock_sendto(near, "x", Address()), std::system_error);
    EXPECT_THROW(co_await asyncio::sock_recvfrom(-1, 1), std::system_error);
    EXPECT_EQ(watched(), 0U);
}

TEST(DatagramSockets, binding_to_a_port_that_is_taken_names_the_address) {
    const Socket first = datagram_socket();
    Socket second(asyncio::AddressFamily::inet, SOCK_DGRAM);
    try {
        second.bind(first.getsockname());
        FAIL() << "no error";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::address_in_use);
        EXPECT_NE(std::string(error.what()).find(first.getsockname().str()), std::string::npos);
    }
}

}  // namespace
