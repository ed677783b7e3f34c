// Address: reading, writing, and conversion to what the kernel takes.
#include <asyncio/address.hpp>
#include <asyncio/exceptions.hpp>

#include "io/native_address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace asyncio::inline v0 {

namespace {

constexpr std::string_view local_prefix = "unix:";
// One byte stays for the terminating zero.
constexpr std::size_t path_max = sizeof(sockaddr_un::sun_path) - 1;

template <class Integer>
bool parse_number(std::string_view text, Integer& number) noexcept {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const auto result = std::from_chars(begin, end, number);
    return result.ec == std::errc() && result.ptr == end;
}

bool parse_scope(std::string_view text, std::uint32_t& scope) noexcept {
    if (parse_number(text, scope)) {
        return true;
    }
    char name[IF_NAMESIZE] = {};
    if (text.size() >= sizeof name) {
        return false;
    }
    text.copy(name, text.size());
    scope = ::if_nametoindex(name);
    return scope != 0;
}

// The C library wants a terminated string.
bool parse_digits(int family, std::string_view text, void* target) noexcept {
    char digits[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof digits) {
        return false;
    }
    text.copy(digits, text.size());
    return ::inet_pton(family, digits, target) == 1;
}

}  // namespace

namespace detail {

int native_family(AddressFamily family) noexcept {
    switch (family) {
    case AddressFamily::inet:
        return AF_INET;
    case AddressFamily::inet6:
        return AF_INET6;
    case AddressFamily::local:
        return AF_UNIX;
    case AddressFamily::none:
        break;
    }
    return AF_UNSPEC;
}

bool NativeAddress::parse_ip(std::string_view text, Address& address) {
    if (parse_digits(AF_INET, text, address.ip_.data())) {
        address.family_ = AddressFamily::inet;
        return true;
    }
    const std::size_t percent = std::min(text.find('%'), text.size());
    if (!parse_digits(AF_INET6, text.substr(0, percent), address.ip_.data())) {
        return false;
    }
    address.family_ = AddressFamily::inet6;
    return percent == text.size() || parse_scope(text.substr(percent + 1), address.scope_);
}

std::string NativeAddress::format_ip(const Address& address) {
    char digits[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(native_family(address.family_), address.ip_.data(), digits, sizeof digits);
    std::string text = digits;
    if (address.scope_ != 0) {
        char name[IF_NAMESIZE] = {};
        const bool known = ::if_indextoname(address.scope_, name) != nullptr;
        text += "%" + (known ? std::string(name) : std::to_string(address.scope_));
    }
    return text;
}

NativeAddress::NativeAddress(const Address& address) noexcept {
    switch (address.family_) {
    case AddressFamily::inet: {
        auto& native = reinterpret_cast<sockaddr_in&>(storage);
        native.sin_port = htons(address.port_);
        std::memcpy(&native.sin_addr, address.ip_.data(), sizeof native.sin_addr);
        length = sizeof native;
        break;
    }
    case AddressFamily::inet6: {
        auto& native = reinterpret_cast<sockaddr_in6&>(storage);
        native.sin6_port = htons(address.port_);
        native.sin6_scope_id = address.scope_;
        std::memcpy(&native.sin6_addr, address.ip_.data(), sizeof native.sin6_addr);
        length = sizeof native;
        break;
    }
    case AddressFamily::local: {
        auto& native = reinterpret_cast<sockaddr_un&>(storage);
        address.path_.copy(native.sun_path, path_max);
        // A name without a file is as long as it says; a path ends at its zero.
        const std::size_t terminator = address.path_.front() == '\0' ? 0 : 1;
        length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path_.size() +
                                        terminator);
        break;
    }
    case AddressFamily::none:
        length = sizeof(sa_family_t);
        break;
    }
    storage.ss_family = static_cast<sa_family_t>(native_family(address.family_));
}

Address NativeAddress::address() const {
    Address address;
    if (storage.ss_family == AF_INET) {
        const auto& native = reinterpret_cast<const sockaddr_in&>(storage);
        address.family_ = AddressFamily::inet;
        address.port_ = ntohs(native.sin_port);
        std::memcpy(address.ip_.data(), &native.sin_addr, sizeof native.sin_addr);
    } else if (storage.ss_family == AF_INET6) {
        const auto& native = reinterpret_cast<const sockaddr_in6&>(storage);
        address.family_ = AddressFamily::inet6;
        address.port_ = ntohs(native.sin6_port);
        address.scope_ = native.sin6_scope_id;
        std::memcpy(address.ip_.data(), &native.sin6_addr, sizeof native.sin6_addr);
    } else if (storage.ss_family == AF_UNIX && length > offsetof(sockaddr_un, sun_path)) {
        const auto& native = reinterpret_cast<const sockaddr_un&>(storage);
        const std::size_t size = length - offsetof(sockaddr_un, sun_path);
        const bool has_file = native.sun_path[0] != '\0';
        address.family_ = AddressFamily::local;
        address.path_.assign(native.sun_path, has_file ? ::strnlen(native.sun_path, size) : size);
    }
    return address;
}

}  // namespace detail

Address::Address(std::string_view ip, std::uint16_t port) : port_(port) {
    if (!detail::NativeAddress::parse_ip(ip, *this)) {
        throw ValueError("'" + std::string(ip) +
                         "' is no IPv4 or IPv6 address: names must be looked up first");
    }
}

Address Address::local(std::string_view path) {
    if (path.empty() || path.size() > path_max) {
        throw ValueError("the path of a Unix socket has 1 to " + std::to_string(path_max) +
                         " bytes, not " + std::to_string(path.size()));
    }
    Address address;
    address.family_ = AddressFamily::local;
    address.path_ = path;
    return address;
}

Address Address::parse(std::string_view text) {
    if (text.starts_with(local_prefix)) {
        std::string path(text.substr(local_prefix.size()));
        if (path.starts_with('@')) {
            path.front() = '\0';
        }
        return local(path);
    }
    const std::size_t colon = text.rfind(':');
    std::string_view ip = text.substr(0, colon);
    const bool bracketed = ip.starts_with('[') && ip.ends_with(']');
    std::uint16_t port = 0;
    // Without its brackets, the end of an IPv6 address could be mistaken for a port.
    if (colon == text.npos || !parse_number(text.substr(colon + 1), port) ||
        (!bracketed && ip.find(':') != ip.npos)) {
        throw ValueError("'" + std::string(text) +
                         "' is no address: write 127.0.0.1:80, [::1]:80 or unix:/path");
    }
    if (bracketed) {
        ip = ip.substr(1, ip.size() - 2);
    }
    return Address(ip, port);
}

std::string Address::ip() const {
    const bool has_ip = family_ == AddressFamily::inet || family_ == AddressFamily::inet6;
    return has_ip ? detail::NativeAddress::format_ip(*this) : std::string();
}

std::string Address::str() const {
    switch (family_) {
    case AddressFamily::inet:
        return ip() + ":" + std::to_string(port_);
    case AddressFamily::inet6:
        return "[" + ip() + "]:" + std::to_string(port_);
    case AddressFamily::local: {
        std::string path = path_;
        if (path.front() == '\0') {
            path.front() = '@';
        }
        return std::string(local_prefix) + path;
    }
    case AddressFamily::none:
        break;
    }
    return "none";
}

}  // namespace asyncio::inline v0
