// The life of transports over a file descriptor.
#include "net/selector_transport.hpp"

#include <asyncio/log.hpp>

namespace asyncio::inline v0 {
namespace detail {

template <class Interface, class Slot>
SelectorTransport<Interface, Slot>::SelectorTransport(EventLoop& loop, Socket socket, Address peer,
                                                      ProtocolPtr protocol, Act on_readable,
                                                      Act on_writable)
    : loop_(loop), peer_(std::move(peer)), protocol_(std::move(protocol)),
      socket_(std::move(socket)), reader_(*this, IoDirection::read, on_readable),
      writer_(*this, IoDirection::write, on_writable) {}

template <class Interface, class Slot>
SelectorTransport<Interface, Slot>::~SelectorTransport() {
    ASYNCIO_ASSERT(!reading_ && !writing_);  // I1 and I2
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::begin(Future<void> connected) {
    loop_.call_soon([self = this->shared_from_this(), connected = std::move(connected)] {
        self->connection_made(connected);
    });
    self_ = this->shared_from_this();
    LoopAccess::composites(loop_).push_back(*this);
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::connection_made(const Future<void>& connected) {
    begun_ = true;
    tell(loop_, *this, *protocol_, "protocol.connection_made() failed",
         [this] { protocol_->connection_made(this->shared_from_this()); });
    if (is_reading()) {
        start_reading();
    }
    if (connected && !connected.done()) {
        connected.set_result();
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::Watch::run(Runnable& self, Turn turn) {
    auto& watch = static_cast<Watch&>(static_cast<IoOperation&>(self));
    if (turn == Turn::run) {
        (watch.transport.*watch.act)();
    }
}

// ---- what the system does

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::watch(IoDirection direction) {
    loop_.poller().start(operation(direction));
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::unwatch(IoDirection direction) noexcept {
    loop_.poller().cancel(operation(direction));
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::disconnect() noexcept {
    const Socket closed = std::move(socket_);
}

// ---- reading

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::pause_reading() {
    if (is_reading()) {
        paused_ = true;
        stop_reading();
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::resume_reading() {
    if (!closing_ && paused_) {
        paused_ = false;
        if (begun_) {
            start_reading();
        }
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::start_reading() {
    if (reading_ || !can_be_read()) {
        return;
    }
    tell_or_fail("Cannot wait for what the peer sends", [this] {
        watch(IoDirection::read);
        reading_ = true;
    });
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::stop_reading() noexcept {
    if (std::exchange(reading_, false)) {
        unwatch(IoDirection::read);
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::read_again() {
    if (reading_) {
        loop_.call_soon(reader_);
    }
}

// ---- writing

template <class Interface, class Slot>
bool SelectorTransport<Interface, Slot>::start_writing() {
    return writing_ || tell_or_fail("Cannot wait until the peer takes more", [this] {
               watch(IoDirection::write);
               writing_ = true;
           });
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::wait_until_writable() {
    if (start_writing()) {
        flow_.grown(this->get_write_buffer_size(), *protocol_, *this, loop_);
    }
}

template <class Interface, class Slot>
bool SelectorTransport<Interface, Slot>::all_is_sent() {
    const std::shared_ptr<SelectorTransport> alive = self_;
    // Which may make the protocol write more.
    flow_.shrunk(this->get_write_buffer_size(), *protocol_, *this, loop_);
    if (has_unsent() || lost_) {
        return false;
    }
    stop_writing();
    if (!closing_) {
        return true;
    }
    lost_ = true;
    connection_lost(nullptr);
    return false;
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::stop_writing() noexcept {
    if (std::exchange(writing_, false)) {
        unwatch(IoDirection::write);
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::set_write_buffer_limits(std::optional<std::size_t> high,
                                                                 std::optional<std::size_t> low) {
    flow_.set_limits(high, low);
    if (!lost_) {
        flow_.grown(this->get_write_buffer_size(), *protocol_, *this, loop_);
    }
}

// ---- the end

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::fail(std::exception_ptr error, const char* message) {
    report_failure(loop_, message, error, this, protocol_.get().get());
    force_close(std::move(error));
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::close() {
    if (closing_ || loop_.is_closed()) {
        return;  // a loop that closes is about to call detach()
    }
    closing_ = true;
    stop_reading();
    if (!has_unsent()) {
        lose(nullptr);
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::force_close(std::exception_ptr error) {
    if (lost_ || loop_.is_closed()) {
        return;
    }
    stop_writing();
    closing_ = true;
    drop_unsent(error);
    stop_reading();
    lose(std::move(error));
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::lose(std::exception_ptr error) {
    lost_ = true;
    loop_.call_soon([self = this->shared_from_this(), error = std::move(error)] {
        self->connection_lost(error);
    });
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::connection_lost(const std::exception_ptr& error) {
    struct Release {
        explicit Release(SelectorTransport& transport) noexcept : transport(transport) {}
        Release(const Release&) = delete;
        Release& operator=(const Release&) = delete;
        ~Release() { transport.release(); }
        SelectorTransport& transport;
    } const at_the_end(*this);
    if (begun_) {
        tell(loop_, *this, *protocol_, "protocol.connection_lost() failed",
             [&] { protocol_->connection_lost(error); });
    }
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::release() noexcept {
    stop_reading();
    stop_writing();
    CompositeNode::unlink();
    disconnect();
    const auto protocol = protocol_.take();
    released();
    const auto last = std::move(self_);
}

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::detach() noexcept {
    if (loop_.get_debug()) {
        log(LogLevel::warning,
            "ResourceWarning: the loop was closed while a transport was open" +
                (peer_.family() == AddressFamily::none ? "" : " to " + peer_.str()));
    }
    closing_ = true;
    lost_ = true;
    drop_unsent(nullptr);
    release();
}

// ---- what is known of it

template <class Interface, class Slot>
void SelectorTransport<Interface, Slot>::set_protocol(ProtocolPtr protocol) {
    if (self_ != nullptr) {  // else nobody will be told of anything
        protocol_.replace(loop_, std::move(protocol));
    }
}

template <class Interface, class Slot>
std::any SelectorTransport<Interface, Slot>::extra(std::string_view name) const {
    if (name == extra_info::peername.name && peer_.family() != AddressFamily::none) {
        return peer_;
    }
    if (socket_) {
        if (name == extra_info::socket.name) {
            return fileno();
        }
        if (name == extra_info::sockname.name) {
            return socket_.getsockname();
        }
    }
    return {};
}

template class SelectorTransport<Transport, ProtocolSlot>;
template class SelectorTransport<DatagramTransport, ProtocolSlotOf<DatagramProtocol>>;

}  // namespace detail
}  // namespace asyncio::inline v0
