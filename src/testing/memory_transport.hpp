// A transport whose bytes go through memory.
#pragma once

#include "net/fd_transport.hpp"
#include "testing/wire.hpp"

namespace asyncio::inline v0 {
namespace detail {

// As the transport of a socket, with two wires in place of the kernel.
class MemoryTransport final : public FdTransport {
public:
    MemoryTransport(EventLoop& loop, std::shared_ptr<Protocol> protocol,
                    std::shared_ptr<Wire> incoming, std::shared_ptr<Wire> outgoing)
        : FdTransport(loop, Socket(), Kind::socket, Address(), std::move(protocol)),
          incoming_(std::move(incoming)), outgoing_(std::move(outgoing)) {}

private:
    ssize_t receive_now(std::span<std::byte> room) noexcept override {
        return incoming_->receive(room);
    }
    ssize_t send_now(std::span<const iovec> pieces) noexcept override {
        return outgoing_->send(pieces);
    }
    void shut_down_writing() noexcept override { outgoing_->finish(Wire::End::eof); }
    void watch(IoDirection direction) override {
        if (direction == IoDirection::read) {
            incoming_->watch(direction, [this] { on_readable(); });
        } else {
            outgoing_->watch(direction, [this] { on_writable(); });
        }
    }
    void unwatch(IoDirection direction) noexcept override {
        (direction == IoDirection::read ? incoming_ : outgoing_)->unwatch(direction);
    }
    void disconnect() noexcept override {
        outgoing_->finish(incoming_->abandon() ? Wire::End::reset : Wire::End::eof);
    }

    const std::shared_ptr<Wire> incoming_;
    const std::shared_ptr<Wire> outgoing_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
