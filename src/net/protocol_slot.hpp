// The protocol of a transport: how it is called, and what becomes of what it throws.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v0 {
namespace detail {

// Returns whether `call()` went well. What it throws goes to `failed(error)`, but for a LoopBreak.
template <class Call, class Failed>
bool guarded(Call call, Failed failed) {
    try {
        call();
        return true;
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        failed(std::current_exception());
        return false;
    }
}

// Tells the loop's exception handler; the connection and its protocol are null where there is none.
void report(EventLoop& loop, const char* message, const std::exception_ptr& error,
            BaseTransport* transport = nullptr, BaseProtocol* protocol = nullptr);

// The connection ends with this error: reports it, unless it is what a network does every day and
// the protocol hears of anyway.
void report_failure(EventLoop& loop, const char* message, const std::exception_ptr& error,
                    BaseTransport* transport, BaseProtocol* protocol);

// Calls a method of a protocol, and reports what it throws.
template <class Call>
void tell(EventLoop& loop, BaseTransport& transport, BaseProtocol& protocol, const char* failure,
          Call call) {
    guarded(call, [&](const std::exception_ptr& error) {
        report(loop, failure, error, &transport, &protocol);
    });
}

// Whom a transport tells what happens.
template <class P>
class ProtocolSlotOf {
public:
    explicit ProtocolSlotOf(std::shared_ptr<P> protocol) noexcept
        : protocol_(std::move(protocol)) {}

    // Null once it was taken.
    const std::shared_ptr<P>& get() const noexcept { return protocol_; }
    P& operator*() const noexcept { return *protocol_; }
    P* operator->() const noexcept { return protocol_.get(); }

    // Raises: TypeError for null.
    void replace(EventLoop& loop, std::shared_ptr<P> protocol) {
        if (protocol == nullptr) {
            throw TypeError("set_protocol() needs a protocol");
        }
        // The old one may be the caller.
        loop.call_soon([old = std::exchange(protocol_, std::move(protocol))] {});
    }
    std::shared_ptr<P> take() noexcept { return std::move(protocol_); }

private:
    std::shared_ptr<P> protocol_;
};

// Whom a transport of bytes hands what it receives.
//
// Invariant: `buffered_` is the protocol if that is one which brings its own buffers, else null.
class ProtocolSlot : public ProtocolSlotOf<Protocol> {
public:
    explicit ProtocolSlot(std::shared_ptr<Protocol> protocol) noexcept
        : ProtocolSlotOf(std::move(protocol)), buffered_(get()->buffered()) {}

    // Where to receive what comes next; at least one byte. Raises: what get_buffer raises;
    // RuntimeError if it gives none.
    std::span<std::byte> room() const;
    static constexpr const char* room_failure = "Fatal error: protocol.get_buffer() call failed.";
    // Hands over what was received there. Raises: what the protocol raises.
    void deliver(std::span<const std::byte> received) const;
    const char* delivery_failure() const noexcept {
        return buffered_ != nullptr ? "Fatal error: protocol.buffer_updated() call failed."
                                    : "Fatal error: protocol.data_received() call failed.";
    }

    void replace(EventLoop& loop, std::shared_ptr<Protocol> protocol) {
        ProtocolSlotOf::replace(loop, std::move(protocol));
        buffered_ = get()->buffered();
    }
    std::shared_ptr<Protocol> take() noexcept {
        buffered_ = nullptr;
        return ProtocolSlotOf::take();
    }

private:
    BufferedProtocol* buffered_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
