// The transport over a file descriptor: a stream socket, or one end of a pipe.
#pragma once

#include <asyncio/log.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/task.hpp>

#include "net/flow_control.hpp"
#include "net/protocol_slot.hpp"
#include "net/server_core.hpp"
#include "net/write_buffer.hpp"

namespace asyncio::inline v0 {
namespace detail {

// As _SelectorSocketTransport of CPython's selector_events.py, and the pipe transports of its
// unix_events.py.
//
// It reads once per readiness and writes at once what can be written, so a request and its answer
// cost one recv and one send.
//
// Invariants:
//  1. From `begin` until `connection_lost` has returned, or the loop is closed, `self_` and the
//     loop's list of composites hold it, and `protocol_` has one.
//  2. `reader_` is with the poller exactly while `reading_`, `writer_` while `writing_`; never
//  after
//     the descriptor is closed.
//  3. `writing_` is true exactly while `buffer_` is not empty and the connection is not lost.
class FdTransport final : public Transport,
                          public ServerMember,
                          private CompositeNode,
                          public std::enable_shared_from_this<FdTransport> {
public:
    enum class Kind : std::uint8_t { socket, read_pipe, write_pipe };

    FdTransport(EventLoop& loop, Socket socket, Kind kind, Address peer,
                std::shared_ptr<Protocol> protocol, std::shared_ptr<ServerCore> server = nullptr);
    FdTransport(const FdTransport&) = delete;
    FdTransport& operator=(const FdTransport&) = delete;
    ~FdTransport() override;

    // Has the protocol told `connection_made` in the next iteration; then reading starts, and
    // `connected` gets its result.
    void begin(Future<void> connected = {});

    // BaseTransport
    void close() override;
    void abort() override { force_close(nullptr); }
    bool is_closing() const noexcept override { return closing_; }

    // Transport
    void pause_reading() override;
    void resume_reading() override;
    bool is_reading() const noexcept override { return !closing_ && !paused_; }
    using Transport::write;
    void write(std::string_view data) override { write_some(data, nullptr); }
    void write(std::string&& data) override { write_some(data, &data); }
    void writelines(std::span<const std::string_view> pieces) override;
    void write_eof() override;
    bool can_write_eof() const noexcept override { return kind_ != Kind::read_pipe; }
    std::size_t get_write_buffer_size() const noexcept override { return buffer_.size(); }
    WriteBufferLimits get_write_buffer_limits() const noexcept override { return flow_.limits(); }
    void set_write_buffer_limits(std::optional<std::size_t> high,
                                 std::optional<std::size_t> low) override;
    void set_protocol(std::shared_ptr<Protocol> protocol) override;
    const std::shared_ptr<Protocol>& get_protocol() const noexcept override {
        return protocol_.get();
    }

    int fileno() const noexcept { return socket_.fileno(); }

private:
    struct Watch final : IoOperation {
        using Act = void (FdTransport::*)();
        Watch(FdTransport& transport, IoDirection direction, Act act) noexcept
            : IoOperation(&Watch::run, transport.fileno(), direction, true), transport(transport),
              act(act) {}
        static void run(Runnable& self, Turn turn);
        FdTransport& transport;
        Act act;
    };

    std::any extra(std::string_view name) const override;
    BaseTransport& transport() noexcept override { return *this; }
    void detach() noexcept override;

    void connection_made(const Future<void>& connected);
    void on_readable();
    void on_eof();
    void on_hang_up();
    void on_writable();

    // The bytes written, or -1 and errno.
    ssize_t send_now(std::span<const iovec> pieces) noexcept;
    // Sends as much as it can if nothing waits. False: the connection is lost.
    bool send_first(std::span<const iovec> pieces, std::size_t& sent);
    void write_some(std::string_view data, std::string* owner);
    // False if what is written would be dropped. Raises: RuntimeError where that is a mistake.
    bool may_write();
    void wait_until_writable();

    void start_reading();
    void stop_reading() noexcept;
    void stop_writing() noexcept;
    // For errors of the peer and of the protocol: the connection ends with it.
    void fail(std::exception_ptr error, const char* message);
    void fail_errno(const char* message);
    template <class Call>
    bool tell_or_fail(const char* failure, Call call);
    void force_close(std::exception_ptr error);
    void lose(std::exception_ptr error);
    void connection_lost(const std::exception_ptr& error);
    void release() noexcept;

    // Constant after construction.
    EventLoop& loop_;
    const Kind kind_;
    const bool is_socket_;
    const Address peer_;

    // Loop thread only.
    Socket socket_;
    ProtocolSlot protocol_;
    std::shared_ptr<ServerCore> server_;  // which accepted it, or null
    std::shared_ptr<FdTransport> self_;
    Watch reader_;
    Watch writer_;
    WriteBuffer buffer_;
    FlowControl flow_;
    DroppedWrites dropped_;
    bool lost_ = false;   // the call of connection_lost is scheduled, or was
    bool begun_ = false;  // connection_made was called
    bool reading_ = false;
    bool writing_ = false;
    bool paused_ = false;
    bool closing_ = false;
    bool eof_written_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
