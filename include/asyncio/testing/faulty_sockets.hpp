// Connected sockets with faults between them, for tests of what needs a descriptor.
#pragma once

#include <asyncio/coro.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/testing/faults.hpp>

namespace asyncio::inline v0 {
namespace testing {

/// Both ends of a connection, as sockets.
struct ConnectedSockets {
    Socket client;
    Socket server;
};

/// Two TCP sockets on this machine, and between them a relay on the running loop that has the
/// faults. It ends when the connection has ended in both directions, or with the loop.
///
/// The kernel has buffers of its own around it: pieces that follow each other at once may be joined
/// (`bytes_per_second` keeps them apart), and more than `capacity` may be on its way.
///
/// Raises: std::system_error, ValueError for a capacity of 0. Thread safety: loop thread only; the
/// sockets may be used by other threads while the loop runs.
ASYNCIO_API Coro<ConnectedSockets> faulty_sockets(FaultyLink link = {});

}  // namespace testing
}  // namespace asyncio::inline v0
