// Sockets and pipes as transports.
#include "net/fd_transport.hpp"

#include "io/system_call.hpp"
#include "net/broken_pipe.hpp"
#include "net/receive_buffer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
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

mode_t file_type(int fd) noexcept {
    struct stat status{};
    return ::fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : 0;
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
    : SelectorTransport(loop, std::move(socket), std::move(peer), std::move(protocol),
                        static_cast<Act>(kind == Kind::write_pipe ? &FdTransport::on_hang_up
                                                                  : &FdTransport::on_readable),
                        static_cast<Act>(&FdTransport::on_writable)),
      kind_(kind), file_type_(kind == Kind::socket ? S_IFSOCK : file_type(fileno())),
      server_(std::move(server)) {}

void FdTransport::begin(Future<void> connected) {
    SelectorTransport::begin(std::move(connected));
    if (server_ != nullptr) {
        server_->attach(*this);
    }
}

// ---- what the system does

ssize_t FdTransport::receive_now(std::span<std::byte> room) noexcept {
    return uninterrupted([&] {
        return is_socket() ? ::recv(fileno(), room.data(), room.size(), 0)
                           : ::read(fileno(), room.data(), room.size());
    });
}

ssize_t FdTransport::send_now(std::span<const iovec> pieces) noexcept {
    if (!is_socket()) {
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

void FdTransport::shut_down_writing() noexcept {
    // It fails where the connection is broken, which reading is about to tell.
    ::shutdown(fileno(), SHUT_WR);
}

// ---- reading

void FdTransport::on_readable() {
    std::span<std::byte> room;
    if (!tell_or_fail(ProtocolSlot::room_failure, [&] { room = protocol_.room(); })) {
        return;
    }
    const ssize_t received = receive_now(room);
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
    // Also told of what the other end of a socket sends, which is not for us to read.
    pollfd end{fileno(), POLLRDHUP, 0};
    if (::poll(&end, 1, 0) == 0) {
        stop_reading();
    } else if (buffer_.empty()) {
        close();
    } else {
        errno = EPIPE;
        fail_errno("The reader of the pipe is gone");
    }
}

// ---- writing

bool FdTransport::drop_or_refuse() {
    if (kind_ == Kind::read_pipe) {
        throw RuntimeError("this end of the pipe is for reading; write to the other one");
    }
    if (eof_written_) {
        throw RuntimeError("Cannot call write() after write_eof()");
    }
    if (file_ != nullptr) {
        throw RuntimeError("unable to write; sendfile is in progress");
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
    if (!send_first({&piece, 1}, sent)) {
        return;
    }
    if (sent == data.size()) {
        if (owner != nullptr) {
            reuse(std::move(*owner));
        }
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

void FdTransport::on_writable() {
    if (buffer_.empty()) {
        on_file_turn();
        return;
    }
    std::array<iovec, pieces_max> pieces;
    const ssize_t sent = send_now({pieces.data(), buffer_.describe(pieces)});
    if (sent < 0) {
        if (!would_block(errno)) {
            fail_errno("Fatal write error");
        }
        return;
    }
    buffer_.consume(static_cast<std::size_t>(sent));
    if (all_is_sent() && eof_written_) {
        shut_down_writing();
    }
}

void FdTransport::begin_file(FilePart& part, Future<int> sent) {
    may_write();
    file_ = &part;
    file_sent_ = std::move(sent);
    start_writing();
}

void FdTransport::on_file_turn() {
    const bool wanted = !file_sent_.done();  // else whoever waited was cancelled
    const int error = wanted ? file_->send_some(fileno()) : ECANCELED;
    if (!would_block(error)) {
        end_file();
        if (wanted) {
            file_sent_.set_result(error);
        }
    }
}

void FdTransport::end_file() noexcept {
    if (std::exchange(file_, nullptr) == nullptr || !buffer_.empty() || loop_.is_closed()) {
        return;
    }
    stop_writing();
    if (closing_) {
        lose(nullptr);
    } else if (eof_written_) {
        shut_down_writing();
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
    if (!has_unsent()) {
        shut_down_writing();
    }
}

// ---- the end

void FdTransport::fail_errno(const char* message) {
    const std::error_code code(errno, std::generic_category());
    const bool has_peer = peer_.family() != AddressFamily::none;
    fail(std::make_exception_ptr(
             std::system_error(code, has_peer ? "connection with " + peer_.str() : "connection")),
         message);
}

void FdTransport::drop_unsent(const std::exception_ptr& error) noexcept {
    buffer_.clear();
    if (std::exchange(file_, nullptr) != nullptr && !file_sent_.done() && !loop_.is_closed()) {
        file_sent_.set_exception(error != nullptr
                                     ? error
                                     : std::make_exception_ptr(std::system_error(
                                           std::make_error_code(std::errc::connection_aborted),
                                           "the connection was closed while a file was sent")));
    }
}

void FdTransport::disconnect() noexcept {
    if (block_at_the_end_) {
        // Other programs at the same terminal expect that.
        ::fcntl(fileno(), F_SETFL, ::fcntl(fileno(), F_GETFL) & ~O_NONBLOCK);
    }
    SelectorTransport::disconnect();
}

// A terminal that is written to can be read as long as somebody types: that is no end.
bool FdTransport::can_be_read() const noexcept {
    return kind_ != Kind::write_pipe || !S_ISCHR(file_type_);
}

void FdTransport::released() noexcept {
    if (const auto server = std::move(server_); server != nullptr) {
        server->detach(*this);
    }
}

std::any FdTransport::extra(std::string_view name) const {
    if (kind_ == Kind::socket) {
        return SelectorTransport::extra(name);
    }
    return name == extra_info::pipe.name && fileno() >= 0 ? std::any(fileno()) : std::any();
}

}  // namespace detail
}  // namespace asyncio::inline v0
