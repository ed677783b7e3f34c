// Transports: connections that buffer what is written and tell a protocol of what arrives.
#pragma once

#include <asyncio/protocols.hpp>

#include <any>
#include <optional>
#include <string>
#include <utility>

namespace asyncio::inline v0 {

class SSLObject;

/// Names one piece of what `get_extra_info` knows, and its type. Transports of your own may have
/// more of them.
template <class T>
struct ExtraInfo {
    const char* name;
};

namespace extra_info {

/// The other end's address. Unknown to pipes.
inline constexpr ExtraInfo<Address> peername{"peername"};
/// This end's address.
inline constexpr ExtraInfo<Address> sockname{"sockname"};
/// The file descriptor, to ask for options or to set them. Not to be closed, read or written.
inline constexpr ExtraInfo<int> socket{"socket"};
/// The same of a pipe.
inline constexpr ExtraInfo<int> pipe{"pipe"};
/// What TLS knows of the peer and the connection; valid as long as the transport.
inline constexpr ExtraInfo<const SSLObject*> ssl_object{"ssl_object"};

}  // namespace extra_info

/// What all transports have in common.
///
/// Ownership: an open transport keeps itself alive until its protocol was told `connection_lost`,
/// so a handle may be dropped without closing. After that, calls are harmless.
///
/// Thread safety: loop thread only.
class ASYNCIO_API BaseTransport {
public:
    BaseTransport() = default;
    BaseTransport(const BaseTransport&) = delete;
    BaseTransport& operator=(const BaseTransport&) = delete;
    virtual ~BaseTransport();

    /// Stops reading, sends what was written, then ends the connection: `connection_lost` follows
    /// in a later iteration. Idempotent. Source: S280.
    virtual void close() = 0;
    /// Ends the connection at once; what was written and not sent is dropped.
    virtual void abort() = 0;
    virtual bool is_closing() const noexcept = 0;

    /// For instance `get_extra_info(extra_info::peername)`; empty if this transport has none.
    template <class T>
    std::optional<T> get_extra_info(ExtraInfo<T> which) const {
        std::any value = extra(which.name);
        T* const known = std::any_cast<T>(&value);
        return known == nullptr ? std::nullopt : std::optional<T>(std::move(*known));
    }

    /// What get_extra_info looks up, for transports over others: the value of that name, of the
    /// type its ExtraInfo tells; empty if there is none.
    virtual std::any extra(std::string_view name) const;
};

/// How much may wait to be sent before the protocol is asked to pause, and when it may go on.
struct WriteBufferLimits {
    std::size_t low;
    std::size_t high;
};

/// A transport of bytes: a socket, TLS over another transport, a pipe. A pipe goes one way; the
/// methods of the other raise RuntimeError.
class ASYNCIO_API Transport : public BaseTransport {
public:
    ~Transport() override;

    // ---- reading

    /// No more `data_received` until `resume_reading`. Both may be called at any time and do
    /// nothing if there is nothing to do. Source: S284.
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
    virtual bool is_reading() const noexcept = 0;

    // ---- writing

    /// Sends, or keeps a copy of what cannot be sent at once. Never waits: heed `pause_writing`.
    /// What is written after the connection was lost is dropped. Raises: RuntimeError after
    /// `write_eof`. Source: S279, S281, S282.
    virtual void write(std::string_view data) = 0;
    /// Without the copy.
    virtual void write(std::string&& data) = 0;
    void write(const char* text) { write(std::string_view(text)); }
    void write(std::span<const std::byte> data) {
        write(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()));
    }
    /// Several pieces, with as few system calls as possible.
    virtual void writelines(std::span<const std::string_view> pieces) = 0;
    /// The peer sees the end once it has read what was written; reading goes on.
    virtual void write_eof() = 0;
    virtual bool can_write_eof() const noexcept = 0;

    /// Bytes that wait to be sent.
    virtual std::size_t get_write_buffer_size() const noexcept = 0;
    virtual WriteBufferLimits get_write_buffer_limits() const noexcept = 0;
    /// Without values: 64 KiB, and a quarter of the upper one. Raises: ValueError unless
    /// low <= high. Source: S283.
    virtual void set_write_buffer_limits(std::optional<std::size_t> high = std::nullopt,
                                         std::optional<std::size_t> low = std::nullopt) = 0;

    // ---- the protocol

    virtual void set_protocol(std::shared_ptr<Protocol> protocol) = 0;
    /// Null once the connection was lost.
    virtual const std::shared_ptr<Protocol>& get_protocol() const noexcept = 0;
};

/// A transport of datagrams. What arrives while reading is paused waits in the kernel, which drops
/// what it has no room for.
class ASYNCIO_API DatagramTransport : public BaseTransport {
public:
    ~DatagramTransport() override;

    /// As in Transport.
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
    virtual bool is_reading() const noexcept = 0;

    /// Sends one datagram, which may be empty, or keeps a copy until the kernel takes it; never
    /// waits: heed `pause_writing`. Without an address: to the remote one of the endpoint.
    ///
    /// Errors go to `error_received`, which is called at once, and end nothing. Raises: ValueError
    /// if there is no address, or another one than the endpoint's remote one. Source: S288.
    virtual void sendto(std::string_view data, const Address& address = {}) = 0;
    void sendto(std::span<const std::byte> data, const Address& address = {}) {
        sendto(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()), address);
    }

    /// What waits to be sent: the bytes, and 8 for each datagram.
    virtual std::size_t get_write_buffer_size() const noexcept = 0;
    virtual WriteBufferLimits get_write_buffer_limits() const noexcept = 0;
    virtual void set_write_buffer_limits(std::optional<std::size_t> high = std::nullopt,
                                         std::optional<std::size_t> low = std::nullopt) = 0;

    virtual void set_protocol(std::shared_ptr<DatagramProtocol> protocol) = 0;
    /// Null once the connection was lost.
    virtual const std::shared_ptr<DatagramProtocol>& get_protocol() const noexcept = 0;
};

/// A program that runs, and the pipes to it. `close` closes the pipes and kills it; `abort` drops
/// what waits to be written to it, too. Python: SubprocessTransport.
class ASYNCIO_API SubprocessTransport : public BaseTransport {
public:
    ~SubprocessTransport() override;

    virtual int get_pid() const noexcept = 0;
    /// The exit code, or minus the number of the signal that ended it; nothing while it runs.
    virtual const std::optional<int>& get_returncode() const noexcept = 0;
    /// The transport of the pipe to its standard stream 0, 1 or 2; null if that is no pipe.
    virtual std::shared_ptr<Transport> get_pipe_transport(int fd) const noexcept = 0;

    /// Raises: ProcessLookupError, a std::system_error of ESRCH, once it has ended. Never reaches
    /// another process. Source: S297.
    virtual void send_signal(int number) = 0;
    /// SIGTERM.
    void terminate();
    /// SIGKILL.
    void kill();
};

}  // namespace asyncio::inline v0
