// TLS over another transport: a protocol below, a transport above.
#pragma once

#include <asyncio/ssl.hpp>
#include <asyncio/task.hpp>

#include "net/flow_control.hpp"
#include "net/protocol_slot.hpp"
#include "net/server_core.hpp"

namespace asyncio::inline v0 {
namespace detail {

struct TlsTimeouts {
    Duration handshake;
    Duration shutdown;
};

// As SSLProtocol and its transport in CPython's sslproto.py, with one difference: an end without
// the peer's close_notify is an error of the connection, because somebody may have cut it off.
//
// What is written is encrypted at once and handed to the transport below, whose buffer and limits
// are those of this transport, too. While reading is paused, the transport below does not read.
//
// Invariants:
//  1. `lower_` is set from connection_made on. It owns this until it is lost, and as long this is
//  in
//     the loop's list of composites.
//  2. `deadline_` is armed in the phases handshake and shutdown only.
//  3. `pause_due_` is false while nothing is sent, until the connection is aborted.
//  4. The protocol above was told connection_made exactly if `told_`, and is told connection_lost
//     once after that.
class TlsConnection final : public BufferedProtocol,
                            public Transport,
                            public ServerMember,
                            private CompositeNode,
                            public std::enable_shared_from_this<TlsConnection> {
public:
    // `connected` gets its result, or its error, when the handshake has ended. `server` may be
    // null. If `announce`, the protocol is told connection_made after the handshake; else it
    // knows the connection already.
    TlsConnection(EventLoop& loop, std::unique_ptr<SSLObject> ssl,
                  std::shared_ptr<Protocol> protocol, TlsTimeouts timeouts, Future<void> connected,
                  std::shared_ptr<ServerCore> server = nullptr, bool announce = true);
    ~TlsConnection() override;

    // The protocol of the transport below
    void connection_made(std::shared_ptr<Transport> lower) override;
    std::span<std::byte> get_buffer(std::ptrdiff_t size_hint) override;
    void buffer_updated(std::size_t count) override;
    bool eof_received() override;
    void connection_lost(const std::exception_ptr& error) override;
    void pause_writing() override;
    void resume_writing() override;

    // The transport of the protocol above
    void close() override;
    void abort() override;
    bool is_closing() const noexcept override;
    void pause_reading() override;
    void resume_reading() override;
    bool is_reading() const noexcept override { return !paused_ && !is_closing(); }
    using Transport::write;
    void write(std::string_view data) override;
    void write(std::string&& data) override { write(std::string_view(data)); }
    void writelines(std::span<const std::string_view> pieces) override;
    void write_eof() override;
    bool can_write_eof() const noexcept override { return false; }
    std::size_t get_write_buffer_size() const noexcept override;
    WriteBufferLimits get_write_buffer_limits() const noexcept override;
    void set_write_buffer_limits(std::optional<std::size_t> high,
                                 std::optional<std::size_t> low) override;
    void set_protocol(std::shared_ptr<Protocol> protocol) override;
    const std::shared_ptr<Protocol>& get_protocol() const noexcept override {
        return protocol_.get();
    }

private:
    enum class Phase : std::uint8_t { unwrapped, handshake, wrapped, shutdown, aborted, lost };
    // While it lives, the protocol above is not asked to pause: what that does then would find
    // bytes that were sent and not yet consumed.
    class Sending {
    public:
        explicit Sending(TlsConnection& connection) noexcept
            : connection_(connection), outer_(std::exchange(connection.sending_, true)) {}
        Sending(const Sending&) = delete;
        Sending& operator=(const Sending&) = delete;
        ~Sending() { connection_.sending_ = outer_; }

    private:
        TlsConnection& connection_;
        const bool outer_;
    };

    std::any extra(std::string_view name) const override;
    BaseTransport& transport() noexcept override { return *this; }
    void detach() noexcept override;

    // Does what the bytes that have arrived allow.
    void advance();
    void handshake();
    void read_all();
    struct Decrypted {
        std::size_t size = 0;
        bool more = true;    // there may be more to decrypt
        bool ended = false;  // the peer has said that it will send nothing more
    };
    Decrypted read_some(std::span<std::byte> room);
    void start_shutdown();
    void shut_down();
    void flush();
    void tell_pause_due();

    template <class Call>
    bool tell_or_fail(const char* failure, Call call);
    void fail(std::exception_ptr error, const char* message);
    void arm(Duration timeout, void (TlsConnection::*expired)());
    void handshake_expired();
    void shutdown_expired();
    void leave_server() noexcept;

    // Constant after construction.
    EventLoop& loop_;
    const std::unique_ptr<SSLObject> ssl_;
    const TlsTimeouts timeouts_;

    // Loop thread only.
    ProtocolSlot protocol_;
    std::shared_ptr<ServerCore> server_;
    std::shared_ptr<Transport> lower_;
    Future<void> connected_;
    TimerHandle deadline_;
    std::exception_ptr error_;  // why this side ended the connection
    Phase phase_ = Phase::unwrapped;
    bool told_;
    bool paused_ = false;
    bool eof_ = false;  // the transport below has reached the end
    // The peer has said good-bye, and all that it was sent is under way: only our own good-bye can
    // be lost, for which no peer has to wait (RFC 8446, 6.1).
    bool complete_ = false;
    bool sending_ = false;
    bool pause_due_ = false;  // the protocol above is to be asked to pause
    DroppedWrites dropped_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
