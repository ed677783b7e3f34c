// Connections to servers: streams for coroutines, and transports with protocols below them.
#pragma once

#include <asyncio/address.hpp>
#include <asyncio/clock.hpp>
#include <asyncio/coro.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/streams.hpp>

#include <functional>

namespace asyncio::inline v0 {

/// How to connect.
struct ConnectOptions {
    /// Only addresses of this family; `none`: of any.
    AddressFamily family = AddressFamily::none;
    /// Where to connect from.
    std::optional<Address> local_addr{};
    /// Starts an attempt with the next address if the ones before have not succeeded after this
    /// time (RFC 8305 recommends 250 ms). Without a value: one after the other, each until it
    /// fails.
    std::optional<Duration> happy_eyeballs_delay{};
    /// How many addresses of the first family come before they alternate. Without a value: 1 with
    /// `happy_eyeballs_delay`, else the system's order stays as it is.
    std::optional<std::size_t> interleave{};
    /// Throw the errors of all addresses as an ExceptionGroup, instead of one error.
    bool all_errors = false;
    /// Speak TLS; `ssl::create_default_context()` of <asyncio/openssl.hpp> gives one.
    std::shared_ptr<const SSLContext> ssl{};
    /// Whom the server's certificate must be for; empty: for the host.
    std::string server_hostname{};
    Duration ssl_handshake_timeout = default_ssl_handshake_timeout;
    Duration ssl_shutdown_timeout = default_ssl_shutdown_timeout;
    /// Of the StreamReader.
    std::size_t limit = default_stream_limit;
};

/// How to talk over a socket that is connected already, or at a path.
struct StreamOptions {
    /// As in ConnectOptions; a client's `server_hostname` must be given, for there is no host.
    std::shared_ptr<const SSLContext> ssl{};
    std::string server_hostname{};
    Duration ssl_handshake_timeout = default_ssl_handshake_timeout;
    Duration ssl_shutdown_timeout = default_ssl_shutdown_timeout;
    /// True for the socket of a client that was accepted outside asyncio.
    bool server_side = false;
    /// Of the StreamReader.
    std::size_t limit = default_stream_limit;
};

/// What `create_connection` gives: `auto [transport, protocol] = co_await ...`.
template <class P, class T = Transport>
struct Connection {
    std::shared_ptr<T> transport;
    std::shared_ptr<P> protocol;
};

namespace detail {

using ProtocolFactory = std::function<std::shared_ptr<Protocol>()>;

ASYNCIO_API Coro<std::shared_ptr<Transport>> connect(ProtocolFactory factory, std::string host,
                                                     std::uint16_t port, ConnectOptions options);
ASYNCIO_API Coro<std::shared_ptr<Transport>> connect_unix(ProtocolFactory factory, std::string path,
                                                          StreamOptions options);
ASYNCIO_API Coro<std::shared_ptr<Transport>> adopt(ProtocolFactory factory, Socket socket,
                                                   StreamOptions options);

// The types a factory's protocol has.
template <class F>
using ProtocolOf = typename std::invoke_result_t<F&>::element_type;

// Remembers the protocol that the factory made, with its own type.
template <class Base = Protocol, class T = Transport, class F, class Connect>
Coro<Connection<ProtocolOf<F>, T>> typed_connection(F factory, Connect connect) {
    static_assert(std::derived_from<ProtocolOf<F>, Base>,
                  "a protocol factory returns a std::shared_ptr of a class derived from "
                  "asyncio::Protocol, for a program from asyncio::SubprocessProtocol");
    Connection<ProtocolOf<F>, T> connection;
    connection.transport = co_await connect([&] { return connection.protocol = factory(); });
    co_return connection;
}

}  // namespace detail

// What holds for all of these:
//
// Raises: std::system_error if no address can be connected to (with several, the code of the first
// and the texts of all), gaierror if the name is not known.
//
// Cancel safety: a cancelled attempt leaves nothing behind. Thread safety: loop thread only.
// Source: S287, S289, CPython's base_events.create_connection.

/// Connects and gives streams. `host` is a name or an IP address.
ASYNCIO_API Coro<StreamPair> open_connection(std::string host, std::uint16_t port,
                                             ConnectOptions options = {});
/// Streams over a stream socket that is connected already.
ASYNCIO_API Coro<StreamPair> open_connection(Socket socket, StreamOptions options = {});
/// To the socket of that path, or with a leading '\0' of that name without a file.
ASYNCIO_API Coro<StreamPair> open_unix_connection(std::string path, StreamOptions options = {});

/// Connects, and calls `factory()` for the protocol once it succeeded; the transport tells it
/// `connection_made` before this returns.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>>> create_connection(F factory, std::string host,
                                                          std::uint16_t port,
                                                          ConnectOptions options = {}) {
    return detail::typed_connection(std::move(factory), [host = std::move(host), port,
                                                         options = std::move(options)](auto make) {
        return detail::connect(std::move(make), host, port, options);
    });
}
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>>> create_unix_connection(F factory, std::string path,
                                                               StreamOptions options = {}) {
    return detail::typed_connection(
        std::move(factory), [path = std::move(path), options = std::move(options)](auto make) {
            return detail::connect_unix(std::move(make), path, options);
        });
}
/// Over a connected stream socket, for instance one that was accepted outside asyncio.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>>> connect_accepted_socket(F factory, Socket socket,
                                                                StreamOptions options = {}) {
    return detail::typed_connection(
        std::move(factory),
        [socket = std::move(socket), options = std::move(options)](auto make) mutable {
            return detail::adopt(std::move(make), std::move(socket), std::move(options));
        });
}

/// Goes on in TLS over a connection that exists: hands `transport` over to TLS, and gives the
/// transport that `protocol` writes to from now on. `protocol` is not told connection_made again.
/// If the handshake fails, the connection is closed. Source: CPython's base_events.start_tls.
ASYNCIO_API Coro<std::shared_ptr<Transport>> start_tls(std::shared_ptr<Transport> transport,
                                                       std::shared_ptr<Protocol> protocol,
                                                       const std::shared_ptr<const SSLContext>& ssl,
                                                       const StartTlsOptions& options = {});

}  // namespace asyncio::inline v0
