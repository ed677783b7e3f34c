// When a protocol is asked to pause writing, and told to go on.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/transports.hpp>

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

// Calls a method of a protocol. What it throws goes to the loop's exception handler, but for a
// LoopBreak.
template <class Call>
void tell(EventLoop& loop, BaseTransport& transport, BaseProtocol& protocol, const char* failure,
          Call call) {
    try {
        call();
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        ErrorContext context;
        context.message = failure;
        context.exception = std::current_exception();
        context.transport = &transport;
        context.protocol = &protocol;
        loop.call_exception_handler(context);
    }
}

// The connection ends with this error: reports it, unless it is what a network does every day and
// the protocol hears of anyway.
void report_failure(EventLoop& loop, BaseTransport& transport, BaseProtocol* protocol,
                    const std::exception_ptr& error, const char* message);

}  // namespace detail
}  // namespace asyncio::inline v0
