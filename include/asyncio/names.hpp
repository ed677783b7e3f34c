// getaddrinfo and getnameinfo: from names to addresses and back, without blocking the loop. Python
// has them as methods of the loop.
#pragma once

#include <asyncio/address.hpp>
#include <asyncio/coro.hpp>

#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {

/// One address of a name.
struct AddressInfo {
    Address address;
    /// SOCK_STREAM, SOCK_DGRAM, ...
    int type = 0;
    /// IPPROTO_TCP, ...
    int protocol = 0;
    /// Of the first one, with AI_CANONNAME; else "".
    std::string canonical_name{};

    friend bool operator==(const AddressInfo&, const AddressInfo&) = default;
};

/// What is looked for; by default everything.
struct AddressInfoOptions {
    AddressFamily family = AddressFamily::none;
    int type = 0;
    int protocol = 0;
    /// AI_PASSIVE, AI_CANONNAME, ...
    int flags = 0;
};

/// A name has no address, or cannot be looked up. `code().value()` is one of EAI_NONAME, EAI_AGAIN
/// and the others.
class ASYNCIO_API gaierror : public std::system_error {
public:
    /// Whose codes these are.
    static const std::error_category& category() noexcept;

    gaierror(int code, const std::string& what) : std::system_error(code, category(), what) {}
    ~gaierror() override;
};

/// Looks up the addresses of a host, in the order in which they should be tried. The host may be ""
/// for this machine; the service is a number, a name such as "http", or "".
///
/// An IP address with a number is answered at once. What must be asked for goes to threads that do
/// nothing else, four for the whole process; equal questions at the same time are asked once.
///
/// Raises: gaierror; std::system_error for an error of the system; ValueError for a zero byte.
/// Cancel safety: resumes at once; a name server that does not answer keeps a thread, but neither
/// the loop nor the end of the program waits for it. Source: loop.getaddrinfo.
ASYNCIO_API Coro<std::vector<AddressInfo>> getaddrinfo(std::string host, std::string service,
                                                       AddressInfoOptions options = {});
inline Coro<std::vector<AddressInfo>> getaddrinfo(std::string host, std::uint16_t port,
                                                  AddressInfoOptions options = {}) {
    return getaddrinfo(std::move(host), std::to_string(port), options);
}

/// The names of an IP address' host and service; numbers where there are none. `flags`:
/// NI_NUMERICHOST, NI_NAMEREQD, ... Raises and cancels as above. Source: loop.getnameinfo.
ASYNCIO_API Coro<std::pair<std::string, std::string>> getnameinfo(Address address, int flags = 0);

}  // namespace asyncio::inline v0
