// Hosts to addresses.
#include "net/resolve.hpp"

#include <asyncio/exceptions.hpp>

namespace asyncio::inline v0 {
namespace detail {

Coro<std::vector<Address>> resolve(std::string host, std::uint16_t port, AddressFamily family) {
    const Address address(host, port);
    if (family != AddressFamily::none && family != address.family()) {
        throw ValueError("'" + host + "' has no address of the family that was asked for");
    }
    co_return std::vector{address};
}

}  // namespace detail
}  // namespace asyncio::inline v0
