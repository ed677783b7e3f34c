// Conversion between Address and the kernel's sockaddr.
#pragma once

#include <asyncio/address.hpp>

#include <sys/socket.h>

namespace asyncio::inline v0 {
namespace detail {

struct NativeAddress {
    explicit NativeAddress(const Address& address) noexcept;
    // Room for the kernel to write an address to; `length` says how much.
    NativeAddress() noexcept = default;

    Address address() const;
    sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }

    sockaddr_storage storage{};
    socklen_t length = sizeof storage;

    // The reading of "fe80::1%eth0", next to the members it fills.
    static bool parse_ip(std::string_view text, Address& address);
    static std::string format_ip(const Address& address);
};

int native_family(AddressFamily family) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
