// TLS over a transport. Follows CPython's asyncio/sslproto.py.
#include "net/tls_connection.hpp"

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Room that is offered to one recv: some records, which are decrypted before the next.
constexpr std::size_t incoming_size = std::size_t{64} * 1024;

std::string seconds_text(Duration duration) {
    std::string text = std::to_string(std::chrono::duration<double>(duration).count());
    text.erase(text.find_last_not_of('0') + 1);
    return text + (text.ends_with('.') ? "0" : "") + " seconds";
}

}  // namespace

TlsConnection::TlsConnection(EventLoop& loop, std::unique_ptr<SSLObject> ssl,
                             std::shared_ptr<Protocol> protocol, TlsTimeouts timeouts,
                             Future<void> connected, std::shared_ptr<ServerCore> server,
                             bool announce)
    : loop_(loop), ssl_(std::move(ssl)), timeouts_(timeouts), protocol_(std::move(protocol)),
      server_(std::move(server)), connected_(std::move(connected)), told_(!announce) {}

TlsConnection::~TlsConnection() {
    deadline_.cancel();
    leave_server();
}

void TlsConnection::detach() noexcept {
    // The protocol may own this, as this owns it.
    const std::shared_ptr<TlsConnection> alive = shared_from_this();
    CompositeNode::unlink();
    phase_ = Phase::lost;
    leave_server();
    protocol_.take();
}

void TlsConnection::leave_server() noexcept {
    if (const auto server = std::move(server_); ServerMember::linked()) {
        server->detach(*this);
    }
}

// ---- the handshake

void TlsConnection::connection_made(std::shared_ptr<Transport> lower) {
    lower_ = std::move(lower);
    LoopAccess::composites(loop_).push_back(*this);
    if (server_ != nullptr) {
        server_->attach(*this);
    }
    phase_ = Phase::handshake;
    arm(timeouts_.handshake, &TlsConnection::handshake_expired);
    advance();
}

void TlsConnection::handshake() {
    const bool done = ssl_->do_handshake();
    flush();
    if (!done) {
        return;
    }
    deadline_.cancel();
    phase_ = Phase::wrapped;
    if (!std::exchange(told_, true)) {
        tell(loop_, *this, *protocol_, "protocol.connection_made() failed",
             [this] { protocol_->connection_made(shared_from_this()); });
    }
    if (connected_ && !connected_.done()) {
        connected_.set_result();
    }
}

void TlsConnection::handshake_expired() {
    fail(std::make_exception_ptr(std::system_error(
             std::make_error_code(std::errc::connection_aborted),
             "the TLS handshake takes longer than " + seconds_text(timeouts_.handshake))),
         "The TLS handshake timed out");
}

void TlsConnection::arm(Duration timeout, void (TlsConnection::*expired)()) {
    deadline_.cancel();
    deadline_ = loop_.call_later(timeout, [this, expired] { (this->*expired)(); });
}

// ---- what the peer sends

std::span<std::byte> TlsConnection::get_buffer(std::ptrdiff_t size_hint) {
    const auto wanted = size_hint > 0 ? static_cast<std::size_t>(size_hint) : incoming_size;
    return ssl_->incoming(std::min(wanted, incoming_size));
}

void TlsConnection::buffer_updated(std::size_t count) {
    ssl_->commit(count);
    advance();
}

void TlsConnection::advance() {
    tell_or_fail("TLS failed", [this] {
        if (phase_ == Phase::handshake) {
            handshake();
        }
        if (phase_ == Phase::wrapped) {
            read_all();
        }
        if (phase_ == Phase::shutdown) {
            shut_down();
        }
    });
    tell_pause_due();
}

void TlsConnection::read_all() {
    Decrypted got;
    while (got.more && !paused_ && phase_ == Phase::wrapped) {
        std::span<std::byte> room;
        if (!tell_or_fail(ProtocolSlot::room_failure, [&] { room = protocol_.room(); })) {
            return;
        }
        got = read_some(room);
        if (got.size > 0 && !tell_or_fail(protocol_.delivery_failure(),
                                          [&] { protocol_.deliver(room.first(got.size)); })) {
            return;
        }
        if (got.ended && phase_ == Phase::wrapped) {
            tell_or_fail("Fatal error: protocol.eof_received() call failed.",
                         [this] { protocol_->eof_received(); });
            complete_ = lower_->get_write_buffer_size() == 0;
            start_shutdown();
        }
    }
    flush();
}

TlsConnection::Decrypted TlsConnection::read_some(std::span<std::byte> room) {
    Decrypted got;
    while (got.more && !got.ended && got.size < room.size()) {
        try {
            const std::optional<std::size_t> size = ssl_->read(room.subspan(got.size));
            got.more = size.has_value();
            got.ended = size == std::size_t{0};
            got.size += size.value_or(0);
        } catch (...) {
            // What came before the error counts; the next read throws the error again.
            if (got.size == 0) {
                throw;
            }
            break;
        }
    }
    return got;
}

bool TlsConnection::eof_received() {
    eof_ = true;
    if (phase_ == Phase::shutdown) {
        return false;  // the answer to our close_notify that many peers give
    }
    ssl_->feed_eof();
    advance();
    // Of what was read before somebody paused, the rest is still to be delivered.
    return paused_ && phase_ == Phase::wrapped;
}

void TlsConnection::pause_reading() {
    if (is_reading()) {
        paused_ = true;
        lower_->pause_reading();
    }
}

void TlsConnection::resume_reading() {
    if (!paused_ || is_closing() || loop_.is_closed()) {
        return;
    }
    paused_ = false;
    lower_->resume_reading();
    // What is decrypted already; not from inside the caller, who may not expect it.
    loop_.call_soon([self = shared_from_this()] { self->advance(); });
}

// ---- what is sent

void TlsConnection::flush() {
    const std::span<const std::byte> bytes = ssl_->outgoing();
    if (!bytes.empty()) {
        const Sending sending(*this);
        lower_->write(bytes);
        ssl_->consume(bytes.size());
    }
}

void TlsConnection::write(std::string_view data) {
    if (phase_ != Phase::wrapped) {
        if (!data.empty()) {
            dropped_.add();
        }
        return;
    }
    tell_or_fail("TLS failed", [&] {
        const Sending sending(*this);
        while (!data.empty()) {
            data.remove_prefix(ssl_->write(std::as_bytes(std::span(data))));
            flush();
        }
    });
    tell_pause_due();
}

void TlsConnection::writelines(std::span<const std::string_view> pieces) {
    // One record for all of them, rather than one for each.
    std::string joined;
    for (const std::string_view piece : pieces) {
        joined += piece;
    }
    write(std::string_view(joined));
}

void TlsConnection::write_eof() {
    throw RuntimeError("TLS cannot end one direction only: close() the connection");
}

void TlsConnection::pause_writing() {
    if (sending_) {
        pause_due_ = true;
    } else if (told_ && protocol_.get() != nullptr) {
        protocol_->pause_writing();
    }
}

void TlsConnection::tell_pause_due() {
    if (std::exchange(pause_due_, false)) {
        guarded([this] { pause_writing(); },
                [this](const std::exception_ptr& error) {
                    report(loop_, "protocol.pause_writing() failed", error, this,
                           protocol_.get().get());
                });
    }
}

void TlsConnection::resume_writing() {
    if (told_ && protocol_.get() != nullptr) {
        protocol_->resume_writing();
    }
}

std::size_t TlsConnection::get_write_buffer_size() const noexcept {
    return lower_->get_write_buffer_size();
}

WriteBufferLimits TlsConnection::get_write_buffer_limits() const noexcept {
    return lower_->get_write_buffer_limits();
}

void TlsConnection::set_write_buffer_limits(std::optional<std::size_t> high,
                                            std::optional<std::size_t> low) {
    lower_->set_write_buffer_limits(high, low);
}

// ---- the end

void TlsConnection::close() {
    if (loop_.is_closed()) {
        return;
    }
    if (phase_ == Phase::wrapped) {
        start_shutdown();
        advance();
    } else if (phase_ == Phase::handshake) {
        abort();
    }
}

void TlsConnection::abort() {
    if (phase_ < Phase::aborted) {
        phase_ = Phase::aborted;
        deadline_.cancel();
        lower_->abort();
    }
}

bool TlsConnection::is_closing() const noexcept {
    return phase_ >= Phase::shutdown || lower_->is_closing();
}

void TlsConnection::start_shutdown() {
    if (phase_ != Phase::wrapped) {
        return;
    }
    phase_ = Phase::shutdown;
    arm(timeouts_.shutdown, &TlsConnection::shutdown_expired);
    if (paused_) {
        lower_->resume_reading();
    }
}

void TlsConnection::shut_down() {
    const bool done = ssl_->unwrap();
    flush();
    if (done || eof_) {
        deadline_.cancel();
        lower_->close();
    }
}

void TlsConnection::shutdown_expired() {
    fail(std::make_exception_ptr(
             TimeoutError("the peer did not answer the end of the TLS connection within " +
                          seconds_text(timeouts_.shutdown))),
         "The TLS shutdown timed out");
}

void TlsConnection::connection_lost(const std::exception_ptr& error) {
    deadline_.cancel();
    CompositeNode::unlink();
    phase_ = Phase::lost;
    if (error_ == nullptr && !complete_) {
        error_ = error;
    }
    leave_server();
    if (connected_ && !connected_.done()) {
        connected_.set_exception(error_ != nullptr
                                     ? error_
                                     : std::make_exception_ptr(std::system_error(
                                           std::make_error_code(std::errc::connection_reset),
                                           "the connection was lost in the TLS handshake")));
    }
    if (const auto protocol = protocol_.take(); told_) {
        tell(loop_, *this, *protocol, "protocol.connection_lost() failed",
             [&] { protocol->connection_lost(error_); });
    }
}

template <class Call>
bool TlsConnection::tell_or_fail(const char* failure, Call call) {
    return guarded(call, [&](const std::exception_ptr& error) { fail(error, failure); });
}

void TlsConnection::fail(std::exception_ptr error, const char* message) {
    if (phase_ >= Phase::aborted) {
        return;
    }
    report_failure(loop_, message, error, this, protocol_.get().get());
    if (error_ == nullptr) {
        error_ = std::move(error);
    }
    flush();  // an alert that tells the peer why, if there is one
    abort();
}

void TlsConnection::set_protocol(std::shared_ptr<Protocol> protocol) {
    if (phase_ != Phase::lost) {
        protocol_.replace(loop_, std::move(protocol));
    }
}

std::any TlsConnection::extra(std::string_view name) const {
    if (name == extra_info::ssl_object.name) {
        return static_cast<const SSLObject*>(ssl_.get());
    }
    return lower_->extra(name);
}

}  // namespace detail
}  // namespace asyncio::inline v0
