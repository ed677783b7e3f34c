// The low-level operations on sockets, and the Socket that owns a descriptor. Python has them as
// methods of the loop (`loop.sock_recv`); here they are functions that use the running loop.
#pragma once

#include <asyncio/address.hpp>
#include <asyncio/poller.hpp>
#include <asyncio/waiter.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace asyncio::inline v0 {

namespace detail {

struct SocketAccess;

}  // namespace detail

/// What names a descriptor: a number, or an object with `fileno()`.
class FileDescriptorLike {
public:
    FileDescriptorLike(int fd) noexcept : fd_(fd) {}  // NOLINT(google-explicit-constructor)
    template <class T>
        requires requires(const T& object) {
            { object.fileno() } -> std::same_as<int>;
        }
    FileDescriptorLike(const T& object) noexcept  // NOLINT(google-explicit-constructor)
        : fd_(object.fileno()) {}

    int fileno() const noexcept { return fd_; }

private:
    int fd_;
};

/// How a socket listens.
struct ListenOptions {
    /// How many connections may wait to be accepted; the kernel may have a lower limit.
    int backlog = 100;
    /// Several sockets, also of several processes, may listen at the same address, and the kernel
    /// distributes connections among them (SO_REUSEPORT).
    bool reuse_port = false;
    /// An IPv6 socket takes no IPv4 connections, so another one can listen to these.
    bool ipv6_only = false;
};

/// Owns a socket's descriptor, which is non-blocking and not inherited by child processes.
///
/// Raises: every function but the noexcept ones std::system_error. Thread safety: as a file
/// descriptor: may be moved to another thread, used by one at a time.
class ASYNCIO_API Socket {
public:
    /// Owns nothing.
    Socket() noexcept = default;
    /// A stream socket, not connected.
    explicit Socket(AddressFamily family);
    /// One of another type: SOCK_DGRAM, ...
    Socket(AddressFamily family, int type);
    /// Takes a descriptor over and makes it non-blocking. If that fails, the caller keeps it.
    explicit Socket(int fd);
    Socket(Socket&& other) noexcept : fd_(other.detach()) {}
    Socket& operator=(Socket&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Socket();

    /// A socket that listens at `address`; port 0 lets the system choose one. A server may be
    /// restarted on its old port at once (SO_REUSEADDR).
    static Socket listen_on(const Address& address, ListenOptions options = {});

    /// -1 if it owns nothing.
    int fileno() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Idempotent. Raises: RuntimeError, and stays open, while an operation of the running loop
    /// waits for the descriptor: it would wait for ever.
    void close();
    /// Gives the descriptor up without closing it.
    int detach() noexcept { return std::exchange(fd_, -1); }

    /// Gives it an address of this machine; port 0 lets the system choose one.
    void bind(const Address& address);
    Address getsockname() const;
    Address getpeername() const;
    /// The peer sees the end of the stream once it has read what was sent.
    void shutdown_write();
    /// TCP sends what it has at once instead of collecting small pieces.
    void set_nodelay(bool nodelay = true);

private:
    friend struct detail::SocketAccess;
    int fd_ = -1;
};

/// Two connected stream sockets within this machine.
ASYNCIO_API std::pair<Socket, Socket> socketpair();

/// What `sock_accept` returns.
struct Accepted {
    Socket socket;
    /// The peer's.
    Address address;
};

namespace detail {

// One operation on a descriptor. It is tried by the await itself; if it would block, the poller
// tells when it is worth another try. The try that completes it runs as a callback of the loop, and
// the task goes on in the iteration after that: two hops, as with CPython's sock_* methods.
//
// Invariants:
//  1. From the suspension until it is done it is with the poller, and no longer.
//  2. `attempt` is called by the await and while it is not done, never later: then the caller's
//     buffer is the caller's again.
class ASYNCIO_API SocketOperation : public Waiter, private IoOperation {
public:
    bool await_ready();
    template <std::derived_from<Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        suspend(handle, WaitKind::io);
    }
    bool cancel(const CancelMessage& message) override;

protected:
    SocketOperation(FileDescriptorLike file, IoDirection direction, const char* name) noexcept
        : IoOperation(&SocketOperation::ready, file.fileno(), direction, true), name_(name) {}
    // Moves one that has not started, as it must to become the local of a coroutine.
    SocketOperation(SocketOperation&& other) noexcept
        : SocketOperation(other.fd(), other.direction(), other.name_) {}
    ~SocketOperation() {
        if (!done()) [[unlikely]] {
            withdraw();
        }
    }

    // Goes as far as it can without blocking. Returns 0 when the operation is complete, EAGAIN when
    // the descriptor must be ready for more, else the error that ends it.
    virtual int attempt() = 0;
    // For the text of an error.
    virtual std::string describe() const { return name_; }

    int file() const noexcept { return fd(); }
    // What await_resume begins with.
    void check_outcome() {
        resumed();
        if (error_ != 0) [[unlikely]] {
            throw_error();
        }
    }

private:
    static void ready(Runnable& self, Turn turn);
    void withdraw() noexcept;
    [[noreturn]] void throw_error() const;

    const char* name_;
    int error_ = 0;
};

// The parts of an operation that depend on what it gives.
template <class Operation, class T>
class SocketAwaiter : public SocketOperation {
public:
    T await_resume() {
        check_outcome();
        return static_cast<Operation*>(this)->take();
    }
    Coro<T> as_coro() && { return run(static_cast<Operation&&>(*this)); }
    // NOLINTNEXTLINE(google-explicit-constructor)
    operator Coro<T>() && { return std::move(*this).as_coro(); }

protected:
    using SocketOperation::SocketOperation;
    SocketAwaiter(SocketAwaiter&&) noexcept = default;
    ~SocketAwaiter() = default;

private:
    static Coro<T> run(Operation operation) { co_return co_await std::move(operation); }
};

class ASYNCIO_API [[nodiscard]] Readiness final : public SocketAwaiter<Readiness, void> {
public:
    Readiness(FileDescriptorLike file, IoDirection direction) noexcept
        : SocketAwaiter(file, direction, direction == IoDirection::read ? "readable" : "writable"),
          direction_(direction) {}
    static void take() noexcept {}

private:
    int attempt() override;
    IoDirection direction_;
};

class ASYNCIO_API [[nodiscard]] SockRecv final : public SocketAwaiter<SockRecv, std::string> {
public:
    SockRecv(FileDescriptorLike file, std::size_t size_max) noexcept
        : SocketAwaiter(file, IoDirection::read, "sock_recv"), size_max_(size_max) {}
    std::string take() noexcept { return std::move(received_); }

private:
    int attempt() override;
    std::size_t size_max_;
    std::string received_;
};

class ASYNCIO_API [[nodiscard]] SockRecvInto final
    : public SocketAwaiter<SockRecvInto, std::size_t> {
public:
    SockRecvInto(FileDescriptorLike file, std::span<std::byte> buffer) noexcept
        : SocketAwaiter(file, IoDirection::read, "sock_recv_into"), buffer_(buffer) {}
    std::size_t take() const noexcept { return received_; }

private:
    int attempt() override;
    std::span<std::byte> buffer_;
    std::size_t received_ = 0;
};

class ASYNCIO_API [[nodiscard]] SockRecvfrom final
    : public SocketAwaiter<SockRecvfrom, std::pair<std::string, Address>> {
public:
    SockRecvfrom(FileDescriptorLike file, std::size_t size_max) noexcept
        : SocketAwaiter(file, IoDirection::read, "sock_recvfrom"), size_max_(size_max) {}
    std::pair<std::string, Address> take() noexcept { return std::move(received_); }

private:
    int attempt() override;
    std::size_t size_max_;
    std::pair<std::string, Address> received_;
};

class ASYNCIO_API [[nodiscard]] SockRecvfromInto final
    : public SocketAwaiter<SockRecvfromInto, std::pair<std::size_t, Address>> {
public:
    SockRecvfromInto(FileDescriptorLike file, std::span<std::byte> buffer) noexcept
        : SocketAwaiter(file, IoDirection::read, "sock_recvfrom_into"), buffer_(buffer) {}
    std::pair<std::size_t, Address> take() noexcept { return std::move(received_); }

private:
    int attempt() override;
    std::span<std::byte> buffer_;
    std::pair<std::size_t, Address> received_;
};

class ASYNCIO_API [[nodiscard]] SockSendto final : public SocketAwaiter<SockSendto, std::size_t> {
public:
    SockSendto(FileDescriptorLike file, std::span<const std::byte> data, Address address) noexcept
        : SocketAwaiter(file, IoDirection::write, "sock_sendto"), data_(data),
          address_(std::move(address)) {}
    std::size_t take() const noexcept { return sent_; }

private:
    int attempt() override;
    std::string describe() const override;
    std::span<const std::byte> data_;
    Address address_;
    std::size_t sent_ = 0;
};

class ASYNCIO_API [[nodiscard]] SockSendall final : public SocketAwaiter<SockSendall, void> {
public:
    SockSendall(FileDescriptorLike file, std::span<const std::byte> data) noexcept
        : SocketAwaiter(file, IoDirection::write, "sock_sendall"), unsent_(data) {}
    static void take() noexcept {}

private:
    int attempt() override;
    std::span<const std::byte> unsent_;
};

class ASYNCIO_API [[nodiscard]] SockAccept final : public SocketAwaiter<SockAccept, Accepted> {
public:
    explicit SockAccept(FileDescriptorLike file) noexcept
        : SocketAwaiter(file, IoDirection::read, "sock_accept") {}
    Accepted take() noexcept { return std::move(accepted_); }

private:
    int attempt() override;
    Accepted accepted_;
};

class ASYNCIO_API [[nodiscard]] SockConnect final : public SocketAwaiter<SockConnect, void> {
public:
    SockConnect(FileDescriptorLike file, Address address) noexcept
        : SocketAwaiter(file, IoDirection::write, "sock_connect"), address_(std::move(address)) {}
    static void take() noexcept {}

private:
    int attempt() override;
    std::string describe() const override;
    Address address_;
    bool in_progress_ = false;
};

}  // namespace detail

// What holds for all operations below:
//
// They try first and suspend only if they must, so an operation that can go on at once gives no
// other task a turn. They can be awaited, or handed to create_task, gather and the like as a
// coroutine; what they are given by reference must live until they are done.
//
// Raises: std::system_error if the kernel refuses; RuntimeError if another operation or add_reader,
// add_writer waits for the same direction of the descriptor; in debug mode ValueError for a socket
// that blocks.
//
// Cancel safety: a cancelled operation leaves the descriptor at once, and its buffer is not touched
// any more. What was sent or received by then is not reported: to go on with a stream after that,
// use `readable`, `writable` and calls of your own.
//
// Thread safety: loop thread only. Cost: no allocation but the result's; one system call if it need
// not wait. Differs from CPython: what waits for the same direction already is not replaced.
// Source: S290.

/// Waits until reading would not block: there is data, the end of the stream, or an error.
inline detail::Readiness readable(FileDescriptorLike file) noexcept {
    return {file, IoDirection::read};
}
/// Waits until writing would not block.
inline detail::Readiness writable(FileDescriptorLike file) noexcept {
    return {file, IoDirection::write};
}

/// Receives what is there, at most `size_max` bytes and at most 64 KiB; "" at the end of the
/// stream.
inline detail::SockRecv sock_recv(FileDescriptorLike socket, std::size_t size_max) noexcept {
    return {socket, size_max};
}

/// Receives what is there into `buffer`; returns the number of bytes, 0 at the end of the stream.
inline detail::SockRecvInto sock_recv_into(FileDescriptorLike socket,
                                           std::span<std::byte> buffer) noexcept {
    return {socket, buffer};
}

/// Receives one datagram, and the address it came from; what exceeds `size_max`, or 64 KiB, is
/// dropped.
inline detail::SockRecvfrom sock_recvfrom(FileDescriptorLike socket,
                                          std::size_t size_max) noexcept {
    return {socket, size_max};
}

/// Receives one datagram into `buffer`; returns its size, at most the buffer's, and the address it
/// came from.
inline detail::SockRecvfromInto sock_recvfrom_into(FileDescriptorLike socket,
                                                   std::span<std::byte> buffer) noexcept {
    return {socket, buffer};
}

/// Sends one datagram to `address`, or where the socket is connected to if that is none; returns
/// the number of bytes.
inline detail::SockSendto sock_sendto(FileDescriptorLike socket, std::span<const std::byte> data,
                                      Address address) noexcept {
    return {socket, data, std::move(address)};
}
inline detail::SockSendto sock_sendto(FileDescriptorLike socket, std::string_view text,
                                      Address address) noexcept {
    return {socket, std::as_bytes(std::span(text)), std::move(address)};
}

/// Sends everything.
inline detail::SockSendall sock_sendall(FileDescriptorLike socket,
                                        std::span<const std::byte> data) noexcept {
    return {socket, data};
}
inline detail::SockSendall sock_sendall(FileDescriptorLike socket, std::string_view text) noexcept {
    return {socket, std::as_bytes(std::span(text))};
}

/// Waits for a connection to a listening socket. One that its peer gave up meanwhile is skipped.
inline detail::SockAccept sock_accept(FileDescriptorLike socket) noexcept {
    return detail::SockAccept(socket);
}

/// Connects. After an error or a cancellation the socket is of no further use but to be closed.
inline detail::SockConnect sock_connect(FileDescriptorLike socket, Address address) noexcept {
    return {socket, std::move(address)};
}

}  // namespace asyncio::inline v0
