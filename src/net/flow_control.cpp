// Limits of what waits to be sent.
#include "net/flow_control.hpp"

#include <asyncio/log.hpp>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Python's OSError, of which TimeoutError is one.
bool is_os_error(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error&) {
        return true;
    } catch (const TimeoutError&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace

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

void report_failure(EventLoop& loop, BaseTransport& transport, BaseProtocol* protocol,
                    const std::exception_ptr& error, const char* message) {
    if (is_os_error(error)) {
        if (loop.get_debug()) {
            log(LogLevel::debug, std::string(message) + ": " + describe_exception(error));
        }
        return;
    }
    ErrorContext context;
    context.message = message;
    context.exception = error;
    context.transport = &transport;
    context.protocol = protocol;
    loop.call_exception_handler(context);
}

}  // namespace detail
}  // namespace asyncio::inline v0
