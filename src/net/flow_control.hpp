// When a protocol is asked to pause writing, and told to go on.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/transports.hpp>

#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

// As _FlowControlMixin of CPython's transports.py.
//
// Invariants:
//  1. low <= high.
//  2. `paused_` is true from `pause_writing` to `resume_writing`.
class FlowControl {
public:
    WriteBufferLimits limits() const noexcept { return limits_; }
    void set_limits(std::optional<std::size_t> high, std::optional<std::size_t> low);

    // The size grew, or shrank: tells the protocol where a limit was crossed. What the protocol
    // throws is reported.
    void grown(std::size_t size, BaseProtocol& protocol, BaseTransport& transport,
               EventLoop& loop) {
        if (size > limits_.high && !paused_) [[unlikely]] {
            pause(protocol, transport, loop);
        }
    }
    void shrunk(std::size_t size, BaseProtocol& protocol, BaseTransport& transport,
                EventLoop& loop) {
        if (paused_ && size <= limits_.low) [[unlikely]] {
            resume(protocol, transport, loop);
        }
    }

private:
    static constexpr std::size_t default_high = std::size_t{64} * 1024;
    static constexpr std::size_t high_to_low = 4;

    void pause(BaseProtocol& protocol, BaseTransport& transport, EventLoop& loop);
    void resume(BaseProtocol& protocol, BaseTransport& transport, EventLoop& loop);

    WriteBufferLimits limits_{.low = default_high / high_to_low, .high = default_high};
    bool paused_ = false;
};

// Counts the writes to a connection that has no use for them, until the log tells that nobody heeds
// its end.
class DroppedWrites {
public:
    void add() noexcept;

private:
    static constexpr std::uint32_t until_warning = 5;
    std::uint32_t count_ = 0;
};

}  // namespace detail
}  // namespace asyncio::inline v0
