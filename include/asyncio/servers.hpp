// Servers: what listens, accepts connections and hands them to handlers or protocols.
#pragma once

#include <asyncio/connections.hpp>
#include <asyncio/task.hpp>

#include <concepts>
#include <initializer_list>

namespace asyncio::inline v0 {

namespace detail {

class ServerState;

}  // namespace detail

/// Where a server listens: names or IP addresses; none, or "", stands for all interfaces of the
/// machine.
class Hosts {
public:
    Hosts() = default;
    Hosts(std::nullopt_t) {}                              // NOLINT(google-explicit-constructor)
    Hosts(std::string host) : names_{std::move(host)} {}  // NOLINT(google-explicit-constructor)
    Hosts(const char* host) : names_{host} {}             // NOLINT(google-explicit-constructor)
    Hosts(std::vector<std::string> hosts)                 // NOLINT(google-explicit-constructor)
        : names_(std::move(hosts)) {}
    Hosts(std::initializer_list<std::string> hosts) : names_(hosts) {}

    const std::vector<std::string>& names() const noexcept { return names_; }

private:
    std::vector<std::string> names_;
};

/// How to serve.
struct ServerOptions {
    /// Only addresses of this family; `none`: of any.
    AddressFamily family = AddressFamily::none;
    /// How many connections may wait to be accepted, and how many are accepted in a row.
    int backlog = 100;
    /// Several servers, also of several processes, may listen at the same address (SO_REUSEPORT).
    bool reuse_port = false;
    /// The kernel asks silent peers now and then whether they are still there (SO_KEEPALIVE).
    bool keep_alive = false;
    /// False: `start_serving` or `serve_forever` begins to accept.
    bool start_serving = true;
    /// Speak TLS; of <asyncio/openssl.hpp>: `ssl::create_default_context(Purpose::client_auth)`.
    std::shared_ptr<const SSLContext> ssl{};
    Duration ssl_handshake_timeout = default_ssl_handshake_timeout;
    Duration ssl_shutdown_timeout = default_ssl_shutdown_timeout;
    /// Of the StreamReaders.
    std::size_t limit = default_stream_limit;
};

/// How to serve at a path.
struct UnixServerOptions {
    int backlog = 100;
    bool start_serving = true;
    /// Remove the path when the server closes, if it is still this server's.
    bool cleanup_socket = true;
    /// As in ServerOptions.
    std::shared_ptr<const SSLContext> ssl{};
    Duration ssl_handshake_timeout = default_ssl_handshake_timeout;
    Duration ssl_shutdown_timeout = default_ssl_shutdown_timeout;
    std::size_t limit = default_stream_limit;
};

/// A server that listens. A cheap handle: copies name the same server. It listens until `close`,
/// or until the last handle goes.
///
/// A connection that cannot be accepted for lack of descriptors or memory waits: the server
/// reports it, and tries again after a second.
///
/// Thread safety: loop thread only. Source: S270 to S276, S286, CPython's base_events.Server.
class ASYNCIO_API Server {
public:
    /// Begins to accept. Idempotent. Raises: RuntimeError if it is closed.
    void start_serving();
    /// Accepts until cancelled; then closes the server, and waits for its connections to end.
    /// Raises: RuntimeError if it is closed, or another task serves already.
    Coro<void> serve_forever();
    bool is_serving() const noexcept;

    /// Stops listening; connections go on. Idempotent.
    void close();
    /// Closes all connections: what was written is still sent.
    void close_clients();
    /// Ends all connections at once.
    void abort_clients();
    /// Waits until the server is closed and its last connection has ended. Cancel safety: nothing
    /// is changed.
    Coro<void> wait_closed();

    /// Where it listens; empty once it is closed.
    std::vector<Address> sockets() const;

    friend bool operator==(const Server&, const Server&) = default;

private:
    friend class detail::ServerState;
    explicit Server(std::shared_ptr<detail::ServerState> state);

    struct Owner;
    std::shared_ptr<Owner> owner_;
};

namespace detail {

using ClientHandler = std::function<void(StreamPair)>;

ASYNCIO_API Coro<Server> serve(ProtocolFactory factory, Hosts hosts, std::uint16_t port,
                               ServerOptions options);
ASYNCIO_API Coro<Server> serve_unix(ProtocolFactory factory, std::string path,
                                    UnixServerOptions options);
ASYNCIO_API ProtocolFactory stream_factory(ClientHandler handler, std::size_t limit);

// For an error of a handler: reports it and closes the connection.
ASYNCIO_API void report_client_failed(Transport& transport);

// Runs a handler that is a coroutine. `keep` is the stream's last handle while it runs.
template <class F>
Coro<void> handle_client(std::shared_ptr<F> handler, StreamPair streams, StreamWriter keep) {
    try {
        co_await std::invoke(*handler, std::move(streams.reader), std::move(streams.writer));
    } catch (const CancelledError&) {
        keep.close();
        throw;
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        report_client_failed(keep.transport());
    }
}

template <class F>
ClientHandler client_handler(F handler) {
    static_assert(std::invocable<F&, StreamReader, StreamWriter>,
                  "a handler of clients is called as handler(StreamReader, StreamWriter)");
    auto shared = std::make_shared<F>(std::move(handler));
    if constexpr (CoroLike<std::invoke_result_t<F&, StreamReader, StreamWriter>>) {
        return [shared](StreamPair streams) {
            StreamWriter keep = streams.writer;
            create_task(handle_client<F>, shared, std::move(streams), std::move(keep));
        };
    } else {
        return [shared](StreamPair streams) {
            std::invoke(*shared, std::move(streams.reader), std::move(streams.writer));
        };
    }
}

}  // namespace detail

// What holds for all of these: they return when the server listens. Raises: std::system_error if
// it cannot listen, with the address in the text; gaierror for a name that is not known.

/// Serves streams: `handler(reader, writer)` is called for each connection. If it is a coroutine it
/// becomes a task; what it throws is reported, and ends its connection only.
template <class F>
Coro<Server> start_server(F handler, Hosts hosts, std::uint16_t port, ServerOptions options = {}) {
    auto factory =
        detail::stream_factory(detail::client_handler(std::move(handler)), options.limit);
    return detail::serve(std::move(factory), std::move(hosts), port, options);
}
/// The same at a path, which is replaced if it is a socket, even one that somebody listens at.
template <class F>
Coro<Server> start_unix_server(F handler, std::string path, UnixServerOptions options = {}) {
    auto factory =
        detail::stream_factory(detail::client_handler(std::move(handler)), options.limit);
    return detail::serve_unix(std::move(factory), std::move(path), options);
}

/// Serves protocols: `factory()` is called for each connection.
template <std::invocable F>
Coro<Server> create_server(F factory, Hosts hosts, std::uint16_t port, ServerOptions options = {}) {
    return detail::serve(std::move(factory), std::move(hosts), port, options);
}
template <std::invocable F>
Coro<Server> create_unix_server(F factory, std::string path, UnixServerOptions options = {}) {
    return detail::serve_unix(std::move(factory), std::move(path), options);
}

}  // namespace asyncio::inline v0
