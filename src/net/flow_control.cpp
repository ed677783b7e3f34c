// Limits of what waits to be sent.
#include "net/flow_control.hpp"

#include <asyncio/log.hpp>

#include "net/protocol_slot.hpp"

namespace asyncio::inline v0 {
namespace detail {

void FlowControl::set_limits(std::optional<std::size_t> high, std::optional<std::size_t> low) {
    if (!high) {
        high = low ? *low * high_to_low : default_high;
    }
    if (!low) {
        low = *high / high_to_low;
    }
    if (*low > *high) {
        throw ValueError("the upper limit (" + std::to_string(*high) +
                         " bytes) must not be below the lower one (" + std::to_string(*low) + ")");
    }
    limits_ = {.low = *low, .high = *high};
}

void FlowControl::pause(BaseProtocol& protocol, BaseTransport& transport, EventLoop& loop) {
    paused_ = true;
    tell(loop, transport, protocol, "protocol.pause_writing() failed",
         [&] { protocol.pause_writing(); });
}

void FlowControl::resume(BaseProtocol& protocol, BaseTransport& transport, EventLoop& loop) {
    paused_ = false;
    tell(loop, transport, protocol, "protocol.resume_writing() failed",
         [&] { protocol.resume_writing(); });
}

void DroppedWrites::add() noexcept {
    if (++count_ == until_warning) {
        log(LogLevel::warning,
            "what is written to a connection that is closing or lost is dropped; "
            "is_closing() and connection_lost() tell of it");
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
