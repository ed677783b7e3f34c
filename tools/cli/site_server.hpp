// SiteServer: a small HTTP/1.1 server for demonstrations and tests, on the running loop.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/coro.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace asyncio::cli {

struct SiteOptions {
    // An IP address.
    std::string host = "127.0.0.1";
    // 0: one that is free.
    std::uint16_t port = 0;
    // Decides which requests for /flaky fail.
    std::uint64_t seed = 0;
    // For a request to come completely, and for the next one to begin.
    Duration read_timeout = std::chrono::seconds(30);
};

// A task per connection; connections are kept alive, and requests on one are answered in order.
// Clients who leave a connection idle, or a request incomplete, for too long are disconnected.
// When descriptors run out, accepting pauses for a second and says so.
//
// Thread safety: belongs to one loop.
class SiteServer {
public:
    // Listens from now on. Raises: std::system_error if it cannot, ValueError for a host that is
    // no address.
    explicit SiteServer(const SiteOptions& options = {});
    SiteServer(const SiteServer&) = delete;
    SiteServer& operator=(const SiteServer&) = delete;
    ~SiteServer();

    // "http://127.0.0.1:8080"
    const std::string& url() const noexcept;

    // Serves until it is cancelled. Idle connections are then closed at once; requests under way
    // have five seconds to be answered. A second cancellation drops them.
    Coro<void> serve();

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace asyncio::cli
