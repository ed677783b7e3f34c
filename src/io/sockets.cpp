// The low-level operations on sockets.
#include <asyncio/event_loop.hpp>
#include <asyncio/sockets.hpp>

#include "io/native_address.hpp"
#include "io/socket_access.hpp"
#include "io/system_call.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>

namespace asyncio::inline v0 {

using detail::check;
using detail::throw_errno;

namespace {

// As much as sock_recv takes at once. It goes to the stack first: what is allocated for the caller
// is then exactly what came, and nothing if the operation must wait.
constexpr std::size_t receive_max = std::size_t{64} * 1024;

void make_non_blocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    check(flags, "fcntl");
    if ((flags & O_NONBLOCK) == 0) {
        check(::fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl");
    }
}

void require_non_blocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
        throw ValueError(
            "the socket must be non-blocking: let an asyncio::Socket own it, or set O_NONBLOCK");
    }
}

}  // namespace

// ---- Socket

Socket::Socket(AddressFamily family) : Socket(family, SOCK_STREAM) {}

Socket::Socket(AddressFamily family, int type)
    : fd_(::socket(detail::native_family(family), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    check(fd_, "socket");
}

Socket::Socket(int fd) {
    make_non_blocking(fd);
    fd_ = fd;
}

Socket::~Socket() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

Socket Socket::listen_on(const Address& address, ListenOptions options) {
    Socket socket(address.family());
    detail::turn_on(socket, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
    if (options.reuse_port) {
        detail::turn_on(socket, SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
    }
    if (options.ipv6_only && address.family() == AddressFamily::inet6) {
        detail::turn_on(socket, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
    }
    detail::NativeAddress native(address);
    if (::bind(socket.fd_, native.get(), native.length) < 0 ||
        ::listen(socket.fd_, options.backlog) < 0) {
        throw_errno("cannot listen at " + address.str());
    }
    return socket;
}

void Socket::close() {
    if (fd_ < 0) {
        return;
    }
    if (EventLoop* const loop = get_running_loop_or_null(); loop != nullptr) {
        for (const IoDirection direction : {IoDirection::read, IoDirection::write}) {
            if (loop->poller().watching(fd_, direction) != nullptr) {
                throw RuntimeError("cannot close file descriptor " + std::to_string(fd_) +
                                   ": an operation waits for it; cancel that first");
            }
        }
    }
    check(::close(detach()), "close");
}

void Socket::bind(const Address& address) {
    detail::NativeAddress native(address);
    if (::bind(fd_, native.get(), native.length) < 0) {
        throw_errno("cannot bind to " + address.str());
    }
}

Address Socket::getsockname() const {
    detail::NativeAddress native;
    check(::getsockname(fd_, native.get(), &native.length), "getsockname");
    return native.address();
}

Address Socket::getpeername() const {
    detail::NativeAddress native;
    check(::getpeername(fd_, native.get(), &native.length), "getpeername");
    return native.address();
}

void Socket::shutdown_write() { check(::shutdown(fd_, SHUT_WR), "shutdown"); }

void Socket::set_nodelay(bool nodelay) {
    const int value = nodelay ? 1 : 0;
    check(::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value), "TCP_NODELAY");
}

std::pair<Socket, Socket> socketpair() {
    int fds[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
    return {detail::SocketAccess::adopt(fds[0]), detail::SocketAccess::adopt(fds[1])};
}

namespace detail {

// ---- what transports of datagrams do, too

ssize_t receive_from(int fd, void* data, std::size_t size, Address& sender) {
    NativeAddress native;
    const ssize_t count =
        uninterrupted([&] { return ::recvfrom(fd, data, size, 0, native.get(), &native.length); });
    if (count >= 0) {
        sender = native.address();
    }
    return count;
}

ssize_t send_to(int fd, const void* data, std::size_t size, const Address& address) noexcept {
    // A peer that is gone is an error here, not a signal that ends the process.
    if (address.family() == AddressFamily::none) {
        return uninterrupted([&] { return ::send(fd, data, size, MSG_NOSIGNAL); });
    }
    NativeAddress native(address);
    return uninterrupted(
        [&] { return ::sendto(fd, data, size, MSG_NOSIGNAL, native.get(), native.length); });
}

void turn_on(const Socket& socket, int level, int option, const char* name) {
    const int on = 1;
    check(::setsockopt(socket.fileno(), level, option, &on, sizeof on), name);
}

// ---- waiting

bool SocketOperation::await_ready() {
    EventLoop& loop = Driver::current().loop();
    if (loop.get_debug()) [[unlikely]] {
        require_non_blocking(fd());
    }
    error_ = attempt();
    if (error_ != EAGAIN) {
        return true;
    }
    // Here and not in await_suspend, so that a refusal finds nothing suspended.
    loop.poller().start(*this);
    return false;
}

void SocketOperation::ready(Runnable& self, Turn turn) {
    auto& operation = static_cast<SocketOperation&>(static_cast<IoOperation&>(self));
    if (turn == Turn::discard) {
        return;  // the loop closes, and destroys the coroutine that waits
    }
    ASYNCIO_ASSERT(!operation.done());  // I1
    try {
        operation.error_ = operation.result < 0 ? -operation.result : operation.attempt();
    } catch (...) {
        operation.withdraw();
        operation.set_exception(std::current_exception());
        return;
    }
    if (operation.error_ != EAGAIN) {
        operation.withdraw();
        operation.set_result();
    }
}

bool SocketOperation::cancel(const CancelMessage& message) {
    if (!done()) {
        withdraw();
    }
    return Waiter::cancel(message);
}

void SocketOperation::withdraw() noexcept {
    EventLoop& loop = driver()->loop();
    if (loop.is_closed()) {
        return;  // a foreign driver that outlived its loop, and the poller
    }
    // Readiness touches no memory of ours, so every poller can let go of it at once.
    [[maybe_unused]] const bool released = loop.poller().cancel(*this);
    ASYNCIO_ASSERT(released);
}

void SocketOperation::throw_error() const {
    throw std::system_error(error_, std::generic_category(), describe());
}

// ---- the operations

int Readiness::attempt() {
    pollfd request{file(), static_cast<short>(direction_ == IoDirection::read ? POLLIN : POLLOUT),
                   0};
    const int count = uninterrupted([&] { return ::poll(&request, 1, 0); });
    if (count < 0) {
        return errno;
    }
    if ((request.revents & POLLNVAL) != 0) {
        return EBADF;
    }
    return count == 0 ? EAGAIN : 0;
}

int SockRecv::attempt() {
    char buffer[receive_max];
    const std::size_t size_max = std::min(size_max_, sizeof buffer);
    const ssize_t count = uninterrupted([&] { return ::recv(file(), buffer, size_max, 0); });
    if (count < 0) {
        return errno;
    }
    received_.assign(buffer, static_cast<std::size_t>(count));
    return 0;
}

int SockRecvInto::attempt() {
    const ssize_t count =
        uninterrupted([&] { return ::recv(file(), buffer_.data(), buffer_.size(), 0); });
    if (count < 0) {
        return errno;
    }
    received_ = static_cast<std::size_t>(count);
    return 0;
}

int SockRecvfrom::attempt() {
    char buffer[receive_max];
    const std::size_t size_max = std::min(size_max_, sizeof buffer);
    const ssize_t count = receive_from(file(), buffer, size_max, received_.second);
    if (count < 0) {
        return errno;
    }
    received_.first.assign(buffer, static_cast<std::size_t>(count));
    return 0;
}

int SockRecvfromInto::attempt() {
    const ssize_t count = receive_from(file(), buffer_.data(), buffer_.size(), received_.second);
    if (count < 0) {
        return errno;
    }
    received_.first = static_cast<std::size_t>(count);
    return 0;
}

int SockSendto::attempt() {
    const ssize_t count = send_to(file(), data_.data(), data_.size(), address_);
    if (count < 0) {
        return errno;
    }
    sent_ = static_cast<std::size_t>(count);
    return 0;
}

std::string SockSendto::describe() const { return "cannot send to " + address_.str(); }

int SockSendall::attempt() {
    if (unsent_.empty()) {
        return 0;
    }
    // A peer that is gone is an error here, not a signal that ends the process.
    const ssize_t count =
        uninterrupted([&] { return ::send(file(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL); });
    if (count < 0) {
        return errno;
    }
    unsent_ = unsent_.subspan(static_cast<std::size_t>(count));
    return unsent_.empty() ? 0 : EAGAIN;
}

int SockAccept::attempt() {
    NativeAddress native;
    int fd = -1;
    do {
        native.length = sizeof native.storage;
        fd = ::accept4(file(), native.get(), &native.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0) {
        return errno;
    }
    accepted_.socket = SocketAccess::adopt(fd);
    accepted_.address = native.address();
    return 0;
}

int SockConnect::attempt() {
    if (in_progress_) {
        int error = 0;
        socklen_t size = sizeof error;
        const int result = ::getsockopt(file(), SOL_SOCKET, SO_ERROR, &error, &size);
        return result < 0 ? errno : error;
    }
    if (address_.family() == AddressFamily::none) {
        return EDESTADDRREQ;  // the kernel would take it for a wish to disconnect
    }
    NativeAddress native(address_);
    if (::connect(file(), native.get(), native.length) == 0) {
        return 0;
    }
    if (errno == EINPROGRESS || errno == EINTR) {
        in_progress_ = true;
        return EAGAIN;
    }
    // A Unix socket whose server has no room says "try again", but no event tells when.
    return errno == EAGAIN ? ECONNREFUSED : errno;
}

std::string SockConnect::describe() const { return "cannot connect to " + address_.str(); }

}  // namespace detail
}  // namespace asyncio::inline v0
