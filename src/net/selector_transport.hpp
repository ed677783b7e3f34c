// What all transports over a file descriptor have in common: how they begin, wait and end.
#pragma once

#include <asyncio/sockets.hpp>
#include <asyncio/task.hpp>

#include "net/flow_control.hpp"
#include "net/protocol_slot.hpp"

namespace asyncio::inline v0 {
namespace detail {

// As _SelectorTransport of CPython's selector_events.py. `Interface` is the class of transport that
// users see, `Slot` holds its protocol.
//
// Invariants:
//  1. From `begin` until `connection_lost` has returned, or the loop is closed, `self_` and the
//     loop's list of composites hold it, and `protocol_` has one.
//  2. `reader_` is with the poller exactly while `reading_`, `writer_` while `writing_`; never
//  after
//     the descriptor is closed.
//  3. `writing_` is true exactly while something waits to be sent and the connection is not lost.
template <class Interface, class Slot>
class SelectorTransport : public Interface,
                          private CompositeNode,
                          public std::enable_shared_from_this<SelectorTransport<Interface, Slot>> {
public:
    using ProtocolPtr = std::remove_cvref_t<decltype(std::declval<Slot&>().get())>;

    ~SelectorTransport() override;

    // Has the protocol told `connection_made` in the next iteration; then reading starts, and
    // `connected` gets its result.
    void begin(Future<void> connected = {});

    // BaseTransport
    void close() override;
    void abort() override { force_close(nullptr); }
    bool is_closing() const noexcept override { return closing_; }

    // What Transport and DatagramTransport share
    void pause_reading() override;
    void resume_reading() override;
    bool is_reading() const noexcept override { return !closing_ && !paused_; }
    WriteBufferLimits get_write_buffer_limits() const noexcept override { return flow_.limits(); }
    void set_write_buffer_limits(std::optional<std::size_t> high,
                                 std::optional<std::size_t> low) override;
    void set_protocol(ProtocolPtr protocol) override;
    const ProtocolPtr& get_protocol() const noexcept override { return protocol_.get(); }

    int fileno() const noexcept { return socket_.fileno(); }

protected:
    // What to do when the descriptor is ready: a member of the derived class.
    using Act = void (SelectorTransport::*)();

    SelectorTransport(EventLoop& loop, Socket socket, Address peer, ProtocolPtr protocol,
                      Act on_readable, Act on_writable);

    std::any extra(std::string_view name) const override;

    // Closes the descriptor.
    virtual void disconnect() noexcept;
    void stop_reading() noexcept;
    // Tries once more in the next iteration, without asking the poller.
    void read_again();
    bool start_writing();
    void stop_writing() noexcept;
    // After something was put aside to be sent.
    void wait_until_writable();
    // After some of that was sent: true if nothing is left, and the transport stays open.
    bool all_is_sent();

    // Has `connection_lost` called in the next iteration.
    void lose(std::exception_ptr error);
    // For errors of the peer and of the protocol: the connection ends with it.
    void fail(std::exception_ptr error, const char* message);
    template <class Call>
    bool tell_or_fail(const char* failure, Call call) {
        return guarded(call, [&](const std::exception_ptr& error) { fail(error, failure); });
    }

    // Constant after construction.
    EventLoop& loop_;
    const Address peer_;

    // Loop thread only.
    Slot protocol_;
    DroppedWrites dropped_;
    bool lost_ = false;  // the call of connection_lost is scheduled, or was
    bool closing_ = false;

private:
    struct Watch final : IoOperation {
        Watch(SelectorTransport& transport, IoDirection direction, Act act) noexcept
            : IoOperation(&Watch::run, transport.fileno(), direction, true), transport(transport),
              act(act) {}
        static void run(Runnable& self, Turn turn);
        SelectorTransport& transport;
        Act act;
    };

    // What the poller and the kernel do.
    virtual void watch(IoDirection direction);
    virtual void unwatch(IoDirection direction) noexcept;

    // Whether it says anything that the descriptor can be read.
    virtual bool can_be_read() const noexcept { return true; }
    virtual bool has_unsent() const noexcept { return this->get_write_buffer_size() != 0; }
    // Forgets what waits to be sent, because of an error or null.
    virtual void drop_unsent(const std::exception_ptr& error) noexcept = 0;
    // The last that happens.
    virtual void released() noexcept {}
    void detach() noexcept override;

    IoOperation& operation(IoDirection direction) noexcept {
        return direction == IoDirection::read ? reader_ : writer_;
    }
    void connection_made(const Future<void>& connected);
    void start_reading();
    void force_close(std::exception_ptr error);
    void connection_lost(const std::exception_ptr& error);
    void release() noexcept;

    Socket socket_;
    std::shared_ptr<SelectorTransport> self_;
    Watch reader_;
    Watch writer_;
    FlowControl flow_;
    bool begun_ = false;  // connection_made was called
    bool reading_ = false;
    bool writing_ = false;
    bool paused_ = false;
};

extern template class SelectorTransport<Transport, ProtocolSlot>;
extern template class SelectorTransport<DatagramTransport, ProtocolSlotOf<DatagramProtocol>>;

}  // namespace detail
}  // namespace asyncio::inline v0
