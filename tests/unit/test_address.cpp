// Addresses of sockets.
#include <asyncio/address.hpp>
#include <asyncio/exceptions.hpp>

#include <gtest/gtest.h>

using asyncio::Address;
using asyncio::AddressFamily;

namespace {

TEST(Addresses, an_ipv4_address_is_read_and_written) {
    const Address address("127.0.0.1", 8080);
    EXPECT_EQ(address.family(), AddressFamily::inet);
    EXPECT_EQ(address.ip(), "127.0.0.1");
    EXPECT_EQ(address.port(), 8080);
    EXPECT_EQ(address.path(), "");
    EXPECT_EQ(address.str(), "127.0.0.1:8080");
}

TEST(Addresses, an_ipv6_address_is_written_in_its_shortest_form) {
    const Address address("2001:db8:0:0:0:0:0:1", 443);
    EXPECT_EQ(address.family(), AddressFamily::inet6);
    EXPECT_EQ(address.ip(), "2001:db8::1");
    EXPECT_EQ(address.str(), "[2001:db8::1]:443");
}

TEST(Addresses, a_link_local_address_keeps_its_interface) {
    EXPECT_EQ(Address("fe80::1%lo", 1).ip(), "fe80::1%lo");
    EXPECT_EQ(Address("fe80::1%1", 1), Address("fe80::1%lo", 1));
    EXPECT_EQ(Address("fe80::1%54321", 1).ip(), "fe80::1%54321");
    EXPECT_NE(Address("fe80::1%1", 1), Address("fe80::1", 1));
}

TEST(Addresses, a_path_is_the_address_of_a_unix_socket) {
    const Address address = Address::local("/run/x");
    EXPECT_EQ(address.family(), AddressFamily::local);
    EXPECT_EQ(address.path(), "/run/x");
    EXPECT_EQ(address.ip(), "");
    EXPECT_EQ(address.port(), 0);
    EXPECT_EQ(address.str(), "unix:/run/x");
}

TEST(Addresses, parse_reads_what_str_writes) {
    for (const Address& address :
         {Address("1.2.3.4", 0), Address("::", 65535), Address("fe80::1%54321", 7),
          Address::local("relative/path"), Address::local(std::string_view("\0name", 5))}) {
        EXPECT_EQ(Address::parse(address.str()), address) << address.str();
    }
}

TEST(Addresses, what_is_no_address_is_refused_by_a_text_that_says_what_is_one) {
    for (const char* text : {"", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                             "127.0.0.1:80x", "127.0.0.1:-1", "127.1:80", "::1:80", "[::1]",
                             "[::1:80", "fe80::1%nosuchinterface", "[fe80::1%]:1", "unix:"}) {
        EXPECT_THROW(Address::parse(text), asyncio::ValueError) << text;
    }
    EXPECT_THROW(Address("localhost", 80), asyncio::ValueError);
    EXPECT_THROW(Address(std::string(1000, '1'), 80), asyncio::ValueError);
    EXPECT_THROW(Address::local(""), asyncio::ValueError);
    EXPECT_THROW(Address::local(std::string(108, 'x')), asyncio::ValueError);
    EXPECT_NO_THROW(Address::local(std::string(107, 'x')));
}

TEST(Addresses, no_address_is_equal_to_itself_only) {
    EXPECT_EQ(Address(), Address());
    EXPECT_NE(Address(), Address("0.0.0.0", 0));
    EXPECT_EQ(Address().family(), AddressFamily::none);
    EXPECT_EQ(Address().str(), "none");
}

}  // namespace
