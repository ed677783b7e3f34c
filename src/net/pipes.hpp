// Transports over pipes.
#pragma once

#include "net/fd_transport.hpp"

namespace asyncio::inline v0 {
namespace detail {

// Hands one end of a pipe, which does not block, to a transport that tells its protocol
// `connection_made` in the next iteration.
std::shared_ptr<FdTransport> begin_pipe(EventLoop& loop, Socket end, FdTransport::Kind kind,
                                        std::shared_ptr<Protocol> protocol,
                                        Future<void> connected = {});

}  // namespace detail
}  // namespace asyncio::inline v0
