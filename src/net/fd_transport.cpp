// Sockets and pipes as transports.
#include "net/fd_transport.hpp"

#include "io/system_call.hpp"
#include "net/broken_pipe.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Pieces of one system call; the kernel allows 1,024, and more than this saves nothing.
constexpr std::size_t pieces_max = 64;

bool is_socket(int fd) noexcept {
    struct stat status{};
    return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

std::size_t total_size(std::span<const iovec> pieces) noexcept {
    return std::accumulate(
        pieces.begin(), pieces.end(), std::size_t{0},
        [](std::size_t size, const iovec& piece) { return size + piece.iov_len; });
}

iovec as_piece(std::string_view data) noexcept {
    return {const_cast<char*>(data.data()), data.size()};
}

}  // namespace

FdTransport::FdTransport(EventLoop& loop, Socket socket, Kind kind, Address peer,
                         std::shared_ptr<Protocol> protocol, std::shared_ptr<ServerCore> server)
    : loop_(loop), kind_(kind), is_socket_(kind == Kind::socket || is_socket(socket.fileno())),
      peer_(std::move(peer)), socket_(std::move(socket)), protocol_(std::move(protocol)),
      server_(std::move(server)),
      reader_(*this, IoDirection::read,
              kind == Kind::write_pipe ? &FdTransport::on_hang_up : &FdTransport::on_readable),
      writer_(*this, IoDirection::write, &FdTransport::on_writable) {}

FdTransport::~FdTransport() {
    ASYNCIO_ASSERT(!reading_ && !writing_);  // I1 and I2
}

void FdTransport::begin(Future<void> connected) {
    loop_.call_soon([self = shared_from_this(), connected = std::move(connected)] {
        self->connection_made(connected);
    });
    self_ = shared_from_this();
    LoopAccess::composites(loop_).push_back(*this);
    if (server_ != nullptr) {
        server_->attach(*this);
    }
}

void FdTransport::connection_made(const Future<void>& connected) {
    begun_ = true;
    tell(loop_, *this, *protocol_, "protocol.connection_made() failed",
         [this] { protocol_->connection_made(shared_from_this()); });
    if (is_reading()) {
        start_reading();
    }
    if (connected && !connected.done()) {
        connected.set_result();
    }
}

void FdTransport::Watch::run(Runnable& self, Turn turn) {
    auto& watch = static_cast<Watch&>(static_cast<IoOperation&>(self));
    if (turn == Turn::run) {
        (watch.transport.*watch.act)();
    }
}

// ---- reading

void FdTransport::on_readable() {
    std::span<std::byte> room;
    if (!tell_or_fail(ProtocolSlot::room_failure, [&] { room = protocol_.room(); })) {
        return;
    }
    const ssize_t received = uninterrupted([&] {
        return is_socket_ ? ::recv(fileno(), room.data(), room.size(), 0)
                          : ::read(fileno(), room.data(), room.size());
    });
    if (received < 0) {
        if (!would_block(errno)) {
            fail_errno("Fatal read error");
        }
        return;
    }
    if (received == 0) {
        on_eof();
        return;
    }
    tell_or_fail(protocol_.delivery_failure(),
                 [&] { protocol_.deliver(room.first(static_cast<std::size_t>(received))); });
}

void FdTransport::on_eof() {
    bool keep_open = false;
    if (!tell_or_fail("Fatal error: protocol.eof_received() call failed.",
                      [&] { keep_open = protocol_->eof_received(); })) {
        return;
    }
    if (keep_open && kind_ == Kind::socket) {
        // Level triggered, the end would be told again and again.
        stop_reading();
    } else {
        close();
    }
}

void FdTransport::on_hang_up() {
    if (buffer_.empty()) {
        close();
    } else {
        errno = EPIPE;
        fail_errno("The reader of the pipe is gone");
    }
}

void FdTransport::pause_reading() {
    if (is_reading()) {
        paused_ = true;
        stop_reading();
    }
}

void FdTransport::resume_reading() {
    if (!closing_ && paused_) {
        paused_ = false;
        if (begun_) {
            start_reading();
        }
    }
}

void FdTransport::start_reading() {
    if (reading_) {
        return;
    }
    tell_or_fail("Cannot wait for what the peer sends", [this] {
        loop_.poller().start(reader_);
        reading_ = true;
    });
}

void FdTransport::stop_reading() noexcept {
    if (std::exchange(reading_, false)) {
        loop_.poller().cancel(reader_);
    }
}

// ---- writing

ssize_t FdTransport::send_now(std::span<const iovec> pieces) noexcept {
    if (!is_socket_) {
        const NoBrokenPipeSignal quiet;
        return uninterrupted(
            [&] { return ::writev(fileno(), pieces.data(), static_cast<int>(pieces.size())); });
    }
    // A peer that is gone is an error here, not a signal that ends the process.
    if (pieces.size() == 1) {
        return uninterrupted(
            [&] { return ::send(fileno(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL); });
    }
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    return uninterrupted([&] { return ::sendmsg(fileno(), &message, MSG_NOSIGNAL); });
}

bool FdTransport::may_write() {
    if (kind_ == Kind::read_pipe) {
        throw RuntimeError("this end of the pipe is for reading; write to the other one");
    }
    if (eof_written_) {
        throw RuntimeError("Cannot call write() after write_eof()");
    }
    if (!lost_) [[likely]] {
        return true;
    }
    dropped_.add();
    return false;
}

bool FdTransport::send_first(std::span<const iovec> pieces, std::size_t& sent) {
    if (!buffer_.empty()) {
        return true;
    }
    const ssize_t count = send_now(pieces);
    if (count < 0 && !would_block(errno)) {
        fail_errno("Fatal write error");
        return false;
    }
    sent = count < 0 ? 0 : static_cast<std::size_t>(count);
    return true;
}

void FdTransport::write_some(std::string_view data, std::string* owner) {
    if (!may_write() || data.empty()) {
        return;
    }
    const iovec piece = as_piece(data);
    std::size_t sent = 0;
    if (!send_first({&piece, 1}, sent) || sent == data.size()) {
        return;
    }
    if (owner != nullptr) {
        buffer_.append(std::move(*owner), sent);
    } else {
        buffer_.append(data.substr(sent));
    }
    wait_until_writable();
}

void FdTransport::writelines(std::span<const std::string_view> pieces) {
    if (!may_write()) {
        return;
    }
    while (!pieces.empty()) {
        std::array<iovec, pieces_max> offered;
        const std::size_t count = std::min(pieces.size(), offered.size());
        std::transform(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(count),
                       offered.begin(), as_piece);
        std::size_t sent = 0;
        if (!send_first({offered.data(), count}, sent)) {
            return;
        }
        if (sent < total_size({offered.data(), count})) {
            for (std::string_view piece : pieces) {
                const std::size_t done = std::min(sent, piece.size());
                buffer_.append(piece.substr(done));
                sent -= done;
            }
            wait_until_writable();
            return;
        }
        pieces = pieces.subspan(count);
    }
}

void FdTransport::wait_until_writable() {
    if (!writing_ && !tell_or_fail("Cannot wait until the peer takes more", [this] {
            loop_.poller().start(writer_);
            writing_ = true;
        })) {
        return;
    }
    flow_.grown(buffer_.size(), *protocol_, *this, loop_);
}

void FdTransport::on_writable() {
    std::array<iovec, pieces_max> pieces;
    const ssize_t sent = send_now({pieces.data(), buffer_.describe(pieces)});
    if (sent < 0) {
        if (!would_block(errno)) {
            fail_errno("Fatal write error");
        }
        return;
    }
    buffer_.consume(static_cast<std::size_t>(sent));
    const std::shared_ptr<FdTransport> alive = self_;
    flow_.shrunk(buffer_.size(), *protocol_, *this, loop_);  // which may write more
    if (!buffer_.empty() || lost_) {
        return;
    }
    stop_writing();
    if (closing_) {
        lost_ = true;
        connection_lost(nullptr);
    } else if (eof_written_) {
        ::shutdown(fileno(), SHUT_WR);
    }
}

void FdTransport::write_eof() {
    if (kind_ == Kind::read_pipe) {
        throw RuntimeError("this end of the pipe is for reading; close() it");
    }
    if (kind_ == Kind::write_pipe) {
        close();
        return;
    }
    if (closing_ || eof_written_) {
        return;
    }
    eof_written_ = true;
    if (buffer_.empty()) {
        // It fails where the connection is broken, which reading is about to tell.
        ::shutdown(fileno(), SHUT_WR);
    }
}

void FdTransport::stop_writing() noexcept {
    if (std::exchange(writing_, false)) {
        loop_.poller().cancel(writer_);
    }
}

void FdTransport::set_write_buffer_limits(std::optional<std::size_t> high,
                                          std::optional<std::size_t> low) {
    flow_.set_limits(high, low);
    if (!lost_) {
        flow_.grown(buffer_.size(), *protocol_, *this, loop_);
    }
}

// ---- the end

template <class Call>
bool FdTransport::tell_or_fail(const char* failure, Call call) {
    return guarded(call, [&](const std::exception_ptr& error) { fail(error, failure); });
}

void FdTransport::fail_errno(const char* message) {
    const std::error_code code(errno, std::generic_category());
    const bool has_peer = peer_.family() != AddressFamily::none;
    fail(std::make_exception_ptr(
             std::system_error(code, has_peer ? "connection with " + peer_.str() : "connection")),
         message);
}

void FdTransport::fail(std::exception_ptr error, const char* message) {
    report_failure(loop_, message, error, this, protocol_.get().get());
    force_close(std::move(error));
}

void FdTransport::close() {
    if (closing_ || loop_.is_closed()) {
        return;  // a loop that closes is about to call detach()
    }
    closing_ = true;
    stop_reading();
    if (buffer_.empty()) {
        lose(nullptr);
    }
}

void FdTransport::force_close(std::exception_ptr error) {
    if (lost_ || loop_.is_closed()) {
        return;
    }
    stop_writing();
    buffer_.clear();
    closing_ = true;
    stop_reading();
    lose(std::move(error));
}

void FdTransport::lose(std::exception_ptr error) {
    lost_ = true;
    loop_.call_soon(
        [self = shared_from_this(), error = std::move(error)] { self->connection_lost(error); });
}

void FdTransport::connection_lost(const std::exception_ptr& error) {
    struct Release {
        explicit Release(FdTransport& transport) noexcept : transport(transport) {}
        Release(const Release&) = delete;
        Release& operator=(const Release&) = delete;
        ~Release() { transport.release(); }
        FdTransport& transport;
    } const at_the_end(*this);
    if (begun_) {
        tell(loop_, *this, *protocol_, "protocol.connection_lost() failed",
             [&] { protocol_->connection_lost(error); });
    }
}

void FdTransport::release() noexcept {
    stop_reading();
    stop_writing();
    CompositeNode::unlink();
    const Socket closed = std::move(socket_);
    const auto protocol = protocol_.take();
    if (const auto server = std::move(server_); server != nullptr) {
        server->detach(*this);
    }
    const auto last = std::move(self_);
}

void FdTransport::detach() noexcept {
    if (loop_.get_debug()) {
        log(LogLevel::warning,
            "ResourceWarning: the loop was closed while a transport was open" +
                (peer_.family() == AddressFamily::none ? "" : " to " + peer_.str()));
    }
    closing_ = true;
    lost_ = true;
    buffer_.clear();
    release();
}

void FdTransport::set_protocol(std::shared_ptr<Protocol> protocol) {
    if (self_ != nullptr) {  // else nobody will be told of anything
        protocol_.replace(loop_, std::move(protocol));
    }
}

std::any FdTransport::extra(std::string_view name) const {
    if (name == extra_info::peername.name && peer_.family() != AddressFamily::none) {
        return peer_;
    }
    if (kind_ == Kind::socket && socket_) {
        if (name == extra_info::socket.name) {
            return fileno();
        }
        if (name == extra_info::sockname.name) {
            return socket_.getsockname();
        }
    }
    return {};
}

}  // namespace detail
}  // namespace asyncio::inline v0
