// From what users name to addresses.
#pragma once

#include <asyncio/address.hpp>
#include <asyncio/coro.hpp>

#include <string>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// The addresses of a name, or the one that `host` is; in the system's order of preference, at least
// one. For sockets of this type; `family` none: of any.
Coro<std::vector<Address>> resolve(std::string host, std::uint16_t port, int type,
                                   AddressFamily family);

}  // namespace detail
}  // namespace asyncio::inline v0
