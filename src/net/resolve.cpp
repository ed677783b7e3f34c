// Hosts to addresses.
#include "net/resolve.hpp"

#include <asyncio/names.hpp>

namespace asyncio::inline v0 {
namespace detail {

Coro<std::vector<Address>> resolve(std::string host, std::uint16_t port, int type,
                                   AddressFamily family) {
    std::vector<Address> addresses;
    for (AddressInfo& info :
         co_await getaddrinfo(std::move(host), port, {.family = family, .type = type})) {
        addresses.push_back(std::move(info.address));
    }
    co_return addresses;
}

}  // namespace detail
}  // namespace asyncio::inline v0
