// Calls of protocols.
#include "net/protocol_slot.hpp"

#include <asyncio/exception_group.hpp>
#include <asyncio/log.hpp>

#include "net/receive_buffer.hpp"

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Python's OSError, of which TimeoutError is one.
bool is_os_error(const std::exception_ptr& error) {
    return is_exception<std::system_error>(error) || is_exception<TimeoutError>(error);
}

}  // namespace

void report(EventLoop& loop, const char* message, const std::exception_ptr& error,
            BaseTransport* transport, BaseProtocol* protocol) {
    ErrorContext context;
    context.message = message;
    context.exception = error;
    context.transport = transport;
    context.protocol = protocol;
    loop.call_exception_handler(context);
}

void report_failure(EventLoop& loop, const char* message, const std::exception_ptr& error,
                    BaseTransport* transport, BaseProtocol* protocol) {
    if (!is_os_error(error)) {
        report(loop, message, error, transport, protocol);
    } else if (loop.get_debug()) {
        log(LogLevel::debug, std::string(message) + ": " + describe_exception(error));
    }
}

std::span<std::byte> ProtocolSlot::room() const {
    if (buffered_ == nullptr) {
        return receive_buffer();
    }
    const std::span<std::byte> room = buffered_->get_buffer(-1);
    if (room.empty()) {
        throw RuntimeError("get_buffer() returned an empty buffer");
    }
    return room;
}

void ProtocolSlot::deliver(std::span<const std::byte> received) const {
    if (buffered_ != nullptr) {
        buffered_->buffer_updated(received.size());
    } else {
        get()->data_received({reinterpret_cast<const char*>(received.data()), received.size()});
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
