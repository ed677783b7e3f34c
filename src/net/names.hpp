// The low level of getaddrinfo, for those who wait with a callback.
#pragma once

#include <asyncio/future.hpp>
#include <asyncio/names.hpp>

namespace asyncio::inline v0 {
namespace detail {

/// Asks in one of the threads for names. A future that is cancelled or dropped together with the
/// loop leaves the question to the others who have it; without any, one that was not asked yet
/// never is. Raises: ValueError.
ASYNCIO_API Future<std::vector<AddressInfo>> look_up(EventLoop& loop, const std::string& host,
                                                     const std::string& service,
                                                     const AddressInfoOptions& options);

}  // namespace detail
}  // namespace asyncio::inline v0
