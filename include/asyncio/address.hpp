// Address: where a socket is, or connects to: an IP address with a port, or a path.
#pragma once

#include <asyncio/detail/config.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace asyncio::inline v0 {

namespace detail {

struct NativeAddress;

}  // namespace detail

/// The kinds of address.
enum class AddressFamily : std::uint8_t {
    none,   ///< no address, as that of the peer of an unnamed Unix socket
    inet,   ///< IPv4
    inet6,  ///< IPv6
    local,  ///< a Unix socket
};

/// The address of a socket, a value. It is never a host's name: looking one up takes time.
///
/// Invariant: what does not belong to the family is empty or zero, so equal addresses have equal
/// members.
///
/// Thread safety: as an int.
class ASYNCIO_API Address {
public:
    /// No address.
    Address() noexcept = default;
    /// An IPv4 or IPv6 address: "127.0.0.1", "::1", "fe80::1%eth0". Raises: ValueError for
    /// anything else, a name for instance.
    Address(std::string_view ip, std::uint16_t port);
    /// A Unix socket's path, or on Linux, with a leading '\0', a name without a file. Raises:
    /// ValueError for a path that is empty or too long for the kernel (107 bytes).
    static Address local(std::string_view path);
    /// What `str` gives: "127.0.0.1:80", "[::1]:80", "unix:/run/x". Raises: ValueError.
    static Address parse(std::string_view text);

    AddressFamily family() const noexcept { return family_; }
    /// "" unless this is an IP address.
    std::string ip() const;
    /// 0 unless this is an IP address.
    std::uint16_t port() const noexcept { return port_; }
    /// "" unless this is a Unix socket.
    const std::string& path() const noexcept { return path_; }

    /// For people and for `parse`. A name without a file is shown as "unix:@name".
    std::string str() const;

    friend bool operator==(const Address&, const Address&) = default;

private:
    friend struct detail::NativeAddress;

    AddressFamily family_ = AddressFamily::none;
    std::uint16_t port_ = 0;
    std::uint32_t scope_ = 0;             // the network interface of a link-local IPv6 address
    std::array<unsigned char, 16> ip_{};  // in network order, IPv4 in the first four
    std::string path_;
};

}  // namespace asyncio::inline v0
