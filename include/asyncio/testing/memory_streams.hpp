// Connections within the memory of a test: no descriptors, no system calls, always the same order.
#pragma once

#include <asyncio/streams.hpp>
#include <asyncio/testing/faults.hpp>

namespace asyncio::inline v0 {
namespace testing {

/// Both ends of a connection, as streams.
struct ConnectedStreams {
    StreamPair client;
    StreamPair server;
};

/// Both ends of a connection, as transports.
struct ConnectedTransports {
    std::shared_ptr<Transport> client;
    std::shared_ptr<Transport> server;
};

// What holds for both: the transports do what those over sockets do, with the same code: limits of
// what waits to be sent, half-closed connections, TLS over them. What is written arrives in the
// next iteration of the loop, if there is no fault that delays it, and one piece in an iteration.
// An end that is closed before it has received everything resets the other. In virtual time, what
// waits for ever ends with DeadlockError. Raises: ValueError for a capacity of 0. Thread safety:
// loop thread only.

/// Two connected pairs of streams, each with `limit`:
///
///     auto [client, server] = co_await asyncio::testing::memory_streams({
///         .to_client = {.read_max = 1, .cut_after = 100}});
///     server.writer.write("hello\n");
///     EXPECT_EQ(co_await client.reader.readline(), "hello\n");
ASYNCIO_API Coro<ConnectedStreams> memory_streams(FaultyLink link = {},
                                                  std::size_t limit = default_stream_limit);

/// Connects two protocols; both have been told `connection_made` when it returns.
ASYNCIO_API Coro<ConnectedTransports> memory_transports(std::shared_ptr<Protocol> client,
                                                        std::shared_ptr<Protocol> server,
                                                        FaultyLink link = {});

}  // namespace testing
}  // namespace asyncio::inline v0
