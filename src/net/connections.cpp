// Connecting. Follows create_connection of CPython's asyncio/base_events.py.
#include <asyncio/connections.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exception_group.hpp>
#include <asyncio/staggered.hpp>

#include "net/close_unless_done.hpp"
#include "net/fd_transport.hpp"
#include "net/resolve.hpp"
#include "net/stream_protocol.hpp"
#include "net/tls_connection.hpp"
#include "net/upgrade.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

namespace {

using TransportPtr = std::shared_ptr<Transport>;

// Alternates between families, so that a family that leads nowhere costs one attempt. Source:
// CPython's _interleave_addrinfos, RFC 8305 section 4.
std::vector<Address> interleaved(const std::vector<Address>& addresses, std::size_t first_count) {
    std::vector<std::vector<Address>> families;
    for (const Address& address : addresses) {
        auto family = std::find_if(families.begin(), families.end(), [&](const auto& members) {
            return members.front().family() == address.family();
        });
        if (family == families.end()) {
            family = families.emplace(family);
        }
        family->push_back(address);
    }
    std::vector<Address> result;
    const auto head = std::min(std::max(first_count, std::size_t{1}) - 1, families.front().size());
    const auto middle = families.front().begin() + static_cast<std::ptrdiff_t>(head);
    result.assign(families.front().begin(), middle);
    families.front().erase(families.front().begin(), middle);
    for (std::size_t i = 0; result.size() < addresses.size(); ++i) {
        for (const auto& members : families) {
            if (i < members.size()) {
                result.push_back(members[i]);
            }
        }
    }
    return result;
}

Coro<Socket> connect_to(Address address, std::optional<Address> local) {
    Socket socket(address.family());
    if (local && local->family() == address.family()) {
        socket.bind(*local);
    }
    co_await sock_connect(socket, address);
    co_return socket;
}

// The error of a connection that nowhere succeeded.
[[noreturn]] void throw_all(std::vector<std::exception_ptr> errors, bool all_errors) {
    if (all_errors) {
        throw ExceptionGroup("create_connection failed", std::move(errors));
    }
    if (errors.size() == 1) {
        std::rethrow_exception(errors.front());
    }
    std::string texts;
    std::string first;
    std::error_code code;
    bool all_say_the_same = true;
    for (const std::exception_ptr& error : errors) {
        try {
            std::rethrow_exception(error);
        } catch (const std::system_error& failure) {
            if (texts.empty()) {
                code = failure.code();
                first = failure.what();
            }
            all_say_the_same = all_say_the_same && first == failure.what();
            texts += (texts.empty() ? "" : "; ") + std::string(failure.what());
        }
    }
    if (all_say_the_same) {
        std::rethrow_exception(errors.front());
    }
    throw std::system_error(code, "Multiple exceptions: " + texts);
}

Coro<Socket> connect_to_any(std::vector<Address> addresses, ConnectOptions options) {
    if (addresses.empty()) {
        throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                                "getaddrinfo() returned no address");
    }
    if (options.local_addr) {
        std::erase_if(addresses, [&](const Address& address) {
            return address.family() != options.local_addr->family();
        });
        if (addresses.empty()) {
            throw ValueError("the host has no address of the family of local_addr, " +
                             options.local_addr->str());
        }
    }
    const std::size_t interleave =
        options.interleave.value_or(options.happy_eyeballs_delay ? 1 : 0);
    if (interleave > 0) {
        addresses = interleaved(addresses, interleave);
    }
    std::vector<std::exception_ptr> errors;
    if (options.happy_eyeballs_delay) {
        std::vector<std::function<Coro<Socket>()>> attempts;
        attempts.reserve(addresses.size());
        for (const Address& address : addresses) {
            attempts.emplace_back(
                [address, &options] { return connect_to(address, options.local_addr); });
        }
        auto race = co_await staggered_race(std::move(attempts), options.happy_eyeballs_delay);
        if (race.value) {
            co_return std::move(*race.value);
        }
        errors = std::move(race.exceptions);
    } else {
        for (const Address& address : addresses) {
            try {
                co_return co_await connect_to(address, options.local_addr);
            } catch (const std::system_error&) {
                errors.push_back(std::current_exception());
            }
        }
    }
    throw_all(std::move(errors), options.all_errors);
}

// How the two ends talk over a socket.
struct Security {
    std::shared_ptr<const SSLContext> ssl;  // null: in the clear
    bool server_side = false;
    std::string server_hostname;
    TlsTimeouts timeouts;
};

// Hands the socket to a transport, and waits until the protocol knows.
Coro<TransportPtr> begin(ProtocolFactory factory, Socket socket, Address peer, Security security) {
    EventLoop& loop = get_running_loop();
    const Future<void> connected = loop.create_future<void>();
    std::shared_ptr<Protocol> protocol = factory();
    std::shared_ptr<TlsConnection> tls;
    if (security.ssl != nullptr) {
        tls = std::make_shared<TlsConnection>(
            loop, wrap(*security.ssl, security.server_side, security.server_hostname),
            std::move(protocol), security.timeouts, connected);
        protocol = tls;
    }
    auto transport = std::make_shared<FdTransport>(
        loop, std::move(socket), FdTransport::Kind::socket, std::move(peer), std::move(protocol));
    transport->begin(tls == nullptr ? connected : Future<void>());
    CloseUnlessDone closing(*transport);
    co_await connected;
    closing.done();
    if (tls != nullptr) {
        co_return tls;
    }
    co_return transport;
}

Coro<TransportPtr> begin(ProtocolFactory factory, Socket socket, Address peer,
                         StreamOptions options) {
    return begin(std::move(factory), std::move(socket), std::move(peer),
                 Security{.ssl = std::move(options.ssl),
                          .server_side = options.server_side,
                          .server_hostname = std::move(options.server_hostname),
                          .timeouts = {.handshake = options.ssl_handshake_timeout,
                                       .shutdown = options.ssl_shutdown_timeout}});
}

Coro<StreamPair> streams_over(Coro<TransportPtr> connecting,
                              std::shared_ptr<StreamProtocol> protocol) {
    co_await std::move(connecting);
    co_return protocol->streams();
}

std::pair<std::shared_ptr<StreamProtocol>, ProtocolFactory> client_protocol(std::size_t limit) {
    auto protocol = std::make_shared<StreamProtocol>(checked_limit(limit), nullptr);
    return {protocol, [protocol] { return protocol; }};
}

}  // namespace

Coro<TransportPtr> connect(ProtocolFactory factory, std::string host, std::uint16_t port,
                           ConnectOptions options) {
    Socket socket =
        co_await connect_to_any(co_await resolve(host, port, SOCK_STREAM, options.family), options);
    socket.set_nodelay();
    Address peer = socket.getpeername();
    co_return co_await begin(std::move(factory), std::move(socket), std::move(peer),
                             Security{.ssl = options.ssl,
                                      .server_hostname = options.server_hostname.empty()
                                                             ? host
                                                             : options.server_hostname,
                                      .timeouts = {.handshake = options.ssl_handshake_timeout,
                                                   .shutdown = options.ssl_shutdown_timeout}});
}

Coro<TransportPtr> connect_unix(ProtocolFactory factory, std::string path, StreamOptions options) {
    const Address address = Address::local(path);
    Socket socket = co_await connect_to(address, std::nullopt);
    co_return co_await begin(std::move(factory), std::move(socket), address, std::move(options));
}

Coro<TransportPtr> adopt(ProtocolFactory factory, Socket socket, StreamOptions options) {
    Address peer = socket.getpeername();
    if (peer.family() == AddressFamily::inet || peer.family() == AddressFamily::inet6) {
        socket.set_nodelay();
    }
    co_return co_await begin(std::move(factory), std::move(socket), std::move(peer),
                             std::move(options));
}

std::unique_ptr<SSLObject> wrap(const SSLContext& ssl, bool server_side,
                                const std::string& server_hostname) {
    if (!server_side && server_hostname.empty()) {
        throw ValueError("TLS needs a server_hostname, whom the server's certificate must be for");
    }
    return ssl.wrap_bio(server_side, server_hostname);
}

Coro<TransportPtr> upgrade(TransportPtr transport, std::shared_ptr<Protocol> protocol,
                           std::unique_ptr<SSLObject> ssl, TlsTimeouts timeouts,
                           std::string early) {
    EventLoop& loop = get_running_loop();
    const Future<void> connected = loop.create_future<void>();
    auto tls = std::make_shared<TlsConnection>(loop, std::move(ssl), std::move(protocol), timeouts,
                                               connected, nullptr, false);
    CloseUnlessDone closing(*transport);
    transport->pause_reading();  // an end that was told already is then told to TLS, too
    transport->set_protocol(tls);
    tls->connection_made(transport);
    tls->data_received(early);
    transport->resume_reading();
    co_await connected;
    closing.done();
    co_return tls;
}

}  // namespace detail

Coro<std::shared_ptr<Transport>> start_tls(std::shared_ptr<Transport> transport,
                                           std::shared_ptr<Protocol> protocol,
                                           const std::shared_ptr<const SSLContext>& ssl,
                                           const StartTlsOptions& options) {
    return detail::upgrade(
        std::move(transport), std::move(protocol),
        detail::wrap(*ssl, options.server_side, options.server_hostname),
        {.handshake = options.ssl_handshake_timeout, .shutdown = options.ssl_shutdown_timeout}, {});
}

Coro<StreamPair> open_connection(std::string host, std::uint16_t port, ConnectOptions options) {
    auto [protocol, factory] = detail::client_protocol(options.limit);
    return detail::streams_over(
        detail::connect(std::move(factory), std::move(host), port, std::move(options)), protocol);
}

Coro<StreamPair> open_connection(Socket socket, StreamOptions options) {
    auto [protocol, factory] = detail::client_protocol(options.limit);
    return detail::streams_over(
        detail::adopt(std::move(factory), std::move(socket), std::move(options)), protocol);
}

Coro<StreamPair> open_unix_connection(std::string path, StreamOptions options) {
    auto [protocol, factory] = detail::client_protocol(options.limit);
    return detail::streams_over(
        detail::connect_unix(std::move(factory), std::move(path), std::move(options)), protocol);
}

}  // namespace asyncio::inline v0
