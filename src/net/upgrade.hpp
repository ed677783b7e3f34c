// From a connection in the clear to one in TLS.
#pragma once

#include <asyncio/connections.hpp>

#include "net/tls_connection.hpp"

namespace asyncio::inline v0 {
namespace detail {

// Raises: ValueError for a client without a server_hostname.
std::unique_ptr<SSLObject> wrap(const SSLContext& ssl, bool server_side,
                                const std::string& server_hostname);

// start_tls, with bytes of the peer that were received before.
Coro<std::shared_ptr<Transport>> upgrade(std::shared_ptr<Transport> transport,
                                         std::shared_ptr<Protocol> protocol,
                                         std::unique_ptr<SSLObject> ssl, TlsTimeouts timeouts,
                                         std::string early);

}  // namespace detail
}  // namespace asyncio::inline v0
