// Sending files. Follows CPython's asyncio/base_events.py and selector_events.py.
#include <asyncio/sendfile.hpp>

#include "io/system_call.hpp"
#include "net/fd_transport.hpp"
#include "net/io_line.hpp"
#include "net/stream_protocol.hpp"

#include <sys/socket.h>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Whether the kernel cannot send this file, or not to there.
bool is_refusal(const FilePart& part, int error) noexcept {
    return part.sent() == 0 && (error == EINVAL || error == ENOSYS || error == EOPNOTSUPP);
}

[[noreturn]] void throw_error_of_sendfile(int error) {
    throw std::system_error(error, std::generic_category(), "sendfile");
}

void require_fallback(bool allowed) {
    if (!allowed) {
        throw SendfileNotAvailableError(
            "the kernel cannot send this file over this connection; with `fallback` it would be "
            "read and written");
    }
}

// ---- to a socket

class SockSendfile final : public SocketAwaiter<SockSendfile, int> {
public:
    SockSendfile(FileDescriptorLike socket, FilePart& part) noexcept
        : SocketAwaiter(socket, IoDirection::write, "sock_sendfile"), part_(part) {}
    // The error of a kernel that cannot, or 0.
    int take() const noexcept { return refusal_; }

private:
    int attempt() override {
        const int error = part_.send_some(file());
        if (is_refusal(part_, error)) {
            refusal_ = error;
            return 0;
        }
        return error;
    }

    FilePart& part_;
    int refusal_ = 0;
};

void require_stream(int socket) {
    int type = 0;
    socklen_t size = sizeof type;
    check(::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size), "sock_sendfile");
    if (type != SOCK_STREAM) {
        throw ValueError("only SOCK_STREAM type sockets are supported");
    }
}

Coro<void> send_by_reading(int socket, FilePart& part) {
    for (std::string piece = co_await part.read_some(); !piece.empty();
         piece = co_await part.read_some()) {
        std::string_view rest = piece;
        while (!rest.empty()) {
            const ssize_t count = uninterrupted(
                [&] { return ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL); });
            if (count >= 0) {
                part.taken(static_cast<std::size_t>(count));
                rest.remove_prefix(static_cast<std::size_t>(count));
            } else if (would_block(errno)) {
                co_await writable(socket);
            } else {
                throw_errno("sock_sendfile");
            }
        }
    }
}

// ---- over a transport

class PausedReading {
public:
    explicit PausedReading(Transport& transport)
        : transport_(transport), was_reading_(transport.is_reading()) {
        transport_.pause_reading();
    }
    PausedReading(const PausedReading&) = delete;
    PausedReading& operator=(const PausedReading&) = delete;
    ~PausedReading() {
        if (was_reading_) {
            transport_.resume_reading();
        }
    }

private:
    Transport& transport_;
    const bool was_reading_;
};

// Returns false if the kernel cannot.
Coro<bool> send_natively(FdTransport& transport, FilePart& part) {
    struct Sending {
        Sending(FdTransport& transport, FilePart& part, Future<int> sent) : transport(transport) {
            transport.begin_file(part, std::move(sent));
        }
        Sending(const Sending&) = delete;
        Sending& operator=(const Sending&) = delete;
        ~Sending() { transport.end_file(); }
        FdTransport& transport;
    };
    const Future<int> sent = get_running_loop().create_future<int>();
    const PausedReading paused(transport);
    const Sending sending(transport, part, sent);
    const int error = co_await sent;
    if (is_refusal(part, error)) {
        co_return false;
    }
    if (error != 0) {
        throw_error_of_sendfile(error);
    }
    co_return true;
}

// Stands in for a transport's protocol while a file is written to it. Nothing is kept unsent but
// one piece: the limits of the transport are 0 as long.
//
// Invariant: the protocol was told to pause exactly if `told_paused_`.
class FileWriter final : public Protocol, public std::enable_shared_from_this<FileWriter> {
public:
    FileWriter(EventLoop& loop, Transport& transport)
        : loop_(loop), transport_(transport), protocol_(transport.get_protocol()),
          limits_(transport.get_write_buffer_limits()) {}

    void begin() {
        transport_.set_write_buffer_limits(0);  // tells the protocol to pause if something waits
        told_paused_ = paused_ = transport_.get_write_buffer_size() > 0;
        transport_.set_protocol(shared_from_this());
    }
    void end() {
        if (lost_ || loop_.is_closed()) {
            return;
        }
        transport_.set_protocol(protocol_);
        if (paused_ && !told_paused_) {
            tell(loop_, transport_, *protocol_, "protocol.pause_writing() failed",
                 [this] { protocol_->pause_writing(); });
        } else if (told_paused_ && !paused_) {
            tell(loop_, transport_, *protocol_, "protocol.resume_writing() failed",
                 [this] { protocol_->resume_writing(); });
        }
        transport_.set_write_buffer_limits(limits_.high, limits_.low);
    }
    // Waits until everything was sent.
    Coro<void> drain() {
        while (paused_ && !lost_) {
            co_await drains_.wait();
        }
        if (error_ != nullptr) {
            std::rethrow_exception(error_);
        }
        if (lost_ || transport_.is_closing()) {
            throw std::system_error(std::make_error_code(std::errc::connection_reset),
                                    "Connection closed by peer");
        }
    }

    void data_received(std::string_view data) override { protocol_->data_received(data); }
    bool eof_received() override { return protocol_->eof_received(); }
    void connection_lost(const std::exception_ptr& error) override {
        lost_ = true;
        error_ = error;
        drains_.wake_all();
        protocol_->connection_lost(error);
    }
    void pause_writing() override { paused_ = true; }
    void resume_writing() override {
        paused_ = false;
        drains_.wake_all();
    }

private:
    EventLoop& loop_;
    Transport& transport_;
    const std::shared_ptr<Protocol> protocol_;
    const WriteBufferLimits limits_;
    IoLine drains_;
    bool told_paused_ = false;
    bool paused_ = false;
    bool lost_ = false;
    std::exception_ptr error_;
};

Coro<void> send_by_writing(Transport& transport, FilePart& part) {
    struct StandIn {
        explicit StandIn(FileWriter& writer) : writer(writer) { writer.begin(); }
        StandIn(const StandIn&) = delete;
        StandIn& operator=(const StandIn&) = delete;
        ~StandIn() { writer.end(); }
        FileWriter& writer;
    };
    const PausedReading paused(transport);
    const auto writer = std::make_shared<FileWriter>(get_running_loop(), transport);
    const StandIn stand_in(*writer);
    co_await writer->drain();
    for (std::string piece = co_await part.read_some(); !piece.empty();
         piece = co_await part.read_some()) {
        const std::size_t size = piece.size();
        transport.write(std::move(piece));
        part.taken(size);
        co_await writer->drain();
    }
}

// `transport` is kept by the caller.
Coro<std::uint64_t> send_over(Transport& transport, FileDescriptorLike file,
                              SendfileOptions options) {
    if (transport.is_closing()) {
        throw RuntimeError("Transport is closing");
    }
    FilePart part(file, options);
    auto* const direct = dynamic_cast<FdTransport*>(&transport);
    if (direct == nullptr || !direct->is_socket() || !co_await send_natively(*direct, part)) {
        require_fallback(options.fallback);
        co_await send_by_writing(transport, part);
    }
    co_return part.sent();
}

}  // namespace

}  // namespace detail

Coro<std::uint64_t> sock_sendfile(FileDescriptorLike socket, FileDescriptorLike file,
                                  SendfileOptions options) {
    detail::FilePart part(file, options);
    detail::require_stream(socket.fileno());
    if (co_await detail::SockSendfile(socket, part) != 0) {
        detail::require_fallback(options.fallback);
        co_await detail::send_by_reading(socket.fileno(), part);
    }
    co_return part.sent();
}

Coro<std::uint64_t> sendfile(std::shared_ptr<Transport> transport, FileDescriptorLike file,
                             SendfileOptions options) {
    co_return co_await detail::send_over(*transport, file, options);
}

Coro<std::uint64_t> sendfile(StreamWriter writer, FileDescriptorLike file,
                             SendfileOptions options) {
    co_return co_await detail::send_over(writer.transport(), file, options);
}

}  // namespace asyncio::inline v0
