// Pairs of streams and of transports in memory.
#include <asyncio/testing/memory_streams.hpp>

#include "net/close_unless_done.hpp"
#include "net/stream_protocol.hpp"
#include "testing/memory_transport.hpp"

namespace asyncio::inline v0 {
namespace testing {

Coro<ConnectedTransports> memory_transports(std::shared_ptr<Protocol> client,
                                            std::shared_ptr<Protocol> server, FaultyLink link) {
    EventLoop& loop = get_running_loop();
    const auto to_server = std::make_shared<detail::Wire>(loop, link.to_server);
    const auto to_client = std::make_shared<detail::Wire>(loop, link.to_client);
    const auto first =
        std::make_shared<detail::MemoryTransport>(loop, std::move(client), to_client, to_server);
    const auto second =
        std::make_shared<detail::MemoryTransport>(loop, std::move(server), to_server, to_client);
    const Future<void> connected = loop.create_future<void>();
    first->begin();
    detail::CloseUnlessDone closing_first(*first);
    second->begin(connected);
    detail::CloseUnlessDone closing_second(*second);
    co_await connected;
    closing_first.done();
    closing_second.done();
    co_return ConnectedTransports{first, second};
}

Coro<ConnectedStreams> memory_streams(FaultyLink link, std::size_t limit) {
    const auto make = [size = detail::checked_limit(limit)] {
        return std::make_shared<detail::StreamProtocol>(size, nullptr);
    };
    const auto client = make();
    const auto server = make();
    co_await memory_transports(client, server, link);
    co_return ConnectedStreams{client->streams(), server->streams()};
}

}  // namespace testing
}  // namespace asyncio::inline v0
