// Protocols: what a transport tells of, by calling methods. The low level under the streams.
#pragma once

#include <asyncio/address.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

namespace asyncio::inline v0 {

class BufferedProtocol;
class DatagramTransport;
class SubprocessTransport;
class Transport;

/// What all protocols are told. Derive from one of the kinds below.
///
/// A transport owns its protocol until `connection_lost` has returned. The methods are called on
/// the loop's thread, never from inside a call of the transport except `pause_writing`,
/// `resume_writing` and `error_received`. What a method throws goes to the loop's exception
/// handler, and ends a connection of bytes if it was thrown for what the peer sent. Source: S277,
/// S285.
class ASYNCIO_API BaseProtocol {
public:
    BaseProtocol() = default;
    BaseProtocol(const BaseProtocol&) = delete;
    BaseProtocol& operator=(const BaseProtocol&) = delete;
    virtual ~BaseProtocol();

    /// The connection has ended: null after `close`, `abort` or the peer's end, else the error.
    /// Called once, as the last.
    virtual void connection_lost(const std::exception_ptr& /*error*/) {}
    /// What waits to be sent exceeds the upper limit: stop writing for a while.
    virtual void pause_writing() {}
    /// It has fallen to the lower limit. Strictly alternates with `pause_writing`.
    virtual void resume_writing() {}
};

/// For a stream of bytes: `connection_made`, `data_received` any number of times, `eof_received` at
/// most once, `connection_lost`.
///
///     struct Echo : asyncio::Protocol {
///         void connection_made(std::shared_ptr<asyncio::Transport> t) override { transport = t; }
///         void data_received(std::string_view data) override { transport->write(data); }
///         std::shared_ptr<asyncio::Transport> transport;
///     };
class ASYNCIO_API Protocol : public BaseProtocol {
public:
    ~Protocol() override;

    /// Keep the handle to write and to close.
    // NOLINTNEXTLINE(performance-unnecessary-value-param)
    virtual void connection_made(std::shared_ptr<Transport> /*transport*/) {}
    /// Some bytes, at least one; the view is valid during the call.
    virtual void data_received(std::string_view /*data*/) {}
    /// The peer will send no more. Return true to go on writing; false closes the transport.
    virtual bool eof_received() { return false; }

    /// The protocol as one that brings its own buffers, or null.
    virtual BufferedProtocol* buffered() noexcept { return nullptr; }
};

/// As Protocol, but what arrives is written where the protocol wants it, without a copy.
class ASYNCIO_API BufferedProtocol : public Protocol {
public:
    ~BufferedProtocol() override;

    /// Where to put what comes next; `size_hint` is how much may be there, or -1. At least one
    /// byte.
    virtual std::span<std::byte> get_buffer(std::ptrdiff_t size_hint) = 0;
    /// That many bytes were put there.
    virtual void buffer_updated(std::size_t count) = 0;

    BufferedProtocol* buffered() noexcept final { return this; }
    /// Fills the buffers from a copy, for transports whose bytes are somewhere already.
    void data_received(std::string_view data) final;
};

/// For datagrams: `connection_made`, the others any number of times, `connection_lost`.
class ASYNCIO_API DatagramProtocol : public BaseProtocol {
public:
    ~DatagramProtocol() override;

    // NOLINTNEXTLINE(performance-unnecessary-value-param)
    virtual void connection_made(std::shared_ptr<DatagramTransport> /*transport*/) {}
    /// One datagram, which may be empty; the view is valid during the call.
    virtual void datagram_received(std::string_view /*data*/, const Address& /*sender*/) {}
    /// A datagram could not be sent, an earlier one was refused, or receiving failed; the transport
    /// goes on.
    virtual void error_received(const std::system_error& /*error*/) {}
};

/// For a program: `connection_made`; of each pipe `pipe_data_received` any number of times and then
/// `pipe_connection_lost`; `process_exited` before, between or after these; and at last
/// `connection_lost`, when the program has ended and all pipes are lost. What a method throws is
/// reported and changes nothing. `pause_writing` and `resume_writing` are those of its standard
/// input. Source: S300.
class ASYNCIO_API SubprocessProtocol : public BaseProtocol {
public:
    ~SubprocessProtocol() override;

    // NOLINTNEXTLINE(performance-unnecessary-value-param)
    virtual void connection_made(std::shared_ptr<SubprocessTransport> /*transport*/) {}
    /// The program wrote to its standard stream `fd`, 1 or 2; the view is valid during the call.
    virtual void pipe_data_received(int /*fd*/, std::string_view /*data*/) {}
    /// The pipe to its standard stream `fd` has ended: null at its end or after `close`, else the
    /// error.
    virtual void pipe_connection_lost(int /*fd*/, const std::exception_ptr& /*error*/) {}
    /// The program has ended; `get_returncode()` tells how.
    virtual void process_exited() {}
};

}  // namespace asyncio::inline v0
