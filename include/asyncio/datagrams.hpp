// Datagram endpoints: transports and protocols over UDP and Unix datagram sockets.
#pragma once

#include <asyncio/connections.hpp>

namespace asyncio::inline v0 {

/// Where an endpoint is, or sends to: a host's name or IP address with a port; or an Address, a
/// Unix socket's for instance. By default: nowhere.
class HostPort {
public:
    HostPort() = default;
    HostPort(std::string host, std::uint16_t port)
        : host_(std::move(host)), port_(port), has_host_(true) {}
    // NOLINTNEXTLINE(google-explicit-constructor)
    HostPort(Address address) : address_(std::move(address)) {}

    /// Whether it is somewhere.
    explicit operator bool() const noexcept {
        return has_host_ || address_.family() != AddressFamily::none;
    }
    bool has_host() const noexcept { return has_host_; }
    const std::string& host() const noexcept { return host_; }
    std::uint16_t port() const noexcept { return port_; }
    /// None if there is a host.
    const Address& address() const noexcept { return address_; }

private:
    Address address_;
    std::string host_;
    std::uint16_t port_ = 0;
    bool has_host_ = false;
};

/// How to make a datagram endpoint.
struct DatagramOptions {
    /// Where to receive; port 0 lets the system choose one.
    HostPort local_addr{};
    /// The one address to send to and to receive from.
    HostPort remote_addr{};
    /// Only addresses of this family; `none`: of any.
    AddressFamily family = AddressFamily::none;
    /// Several sockets, also of several processes, may be bound to the same address (SO_REUSEPORT).
    bool reuse_port = false;
    /// Datagrams may be sent to broadcast addresses (SO_BROADCAST). Then the socket is not
    /// connected to `remote_addr`, so answers may come from anywhere.
    bool allow_broadcast = false;
};

/// What `create_datagram_endpoint` gives: `auto [transport, protocol] = co_await ...`.
template <class P>
struct DatagramEndpoint {
    std::shared_ptr<DatagramTransport> transport;
    std::shared_ptr<P> protocol;
};

namespace detail {

using DatagramFactory = std::function<std::shared_ptr<DatagramProtocol>()>;

ASYNCIO_API Coro<std::shared_ptr<DatagramTransport>> open_datagrams(DatagramFactory factory,
                                                                    DatagramOptions options);
ASYNCIO_API Coro<std::shared_ptr<DatagramTransport>> adopt_datagrams(DatagramFactory factory,
                                                                     Socket socket);

// Remembers the protocol that the factory made, with its own type.
template <class F, class Open>
Coro<DatagramEndpoint<ProtocolOf<F>>> typed_endpoint(F factory, Open open) {
    static_assert(std::derived_from<ProtocolOf<F>, DatagramProtocol>,
                  "the factory of a datagram endpoint returns a std::shared_ptr of a class derived "
                  "from asyncio::DatagramProtocol");
    DatagramEndpoint<ProtocolOf<F>> endpoint;
    endpoint.transport = co_await open([&] { return endpoint.protocol = factory(); });
    co_return endpoint;
}

}  // namespace detail

/// A socket for datagrams, bound to `local_addr` and connected to `remote_addr` where they are
/// given, with a transport, and a protocol that `factory()` makes; the protocol is told
/// `connection_made` before this returns. Several addresses of a name are tried in order, one of
/// each family. A socket that was left behind at a local path is removed first.
///
/// Raises: std::system_error of the first address if none will do; gaierror if a name is not known;
/// ValueError if neither address nor family is given, or if the addresses have no family in common.
///
/// Cancel safety: leaves nothing behind. Thread safety: loop thread only. Source: S288, CPython's
/// base_events.create_datagram_endpoint.
template <std::invocable F>
Coro<DatagramEndpoint<detail::ProtocolOf<F>>> create_datagram_endpoint(F factory,
                                                                       DatagramOptions options) {
    return detail::typed_endpoint(std::move(factory), [options = std::move(options)](auto make) {
        return detail::open_datagrams(std::move(make), options);
    });
}
/// Over a socket that exists. Raises: ValueError unless it is one for datagrams.
template <std::invocable F>
Coro<DatagramEndpoint<detail::ProtocolOf<F>>> create_datagram_endpoint(F factory, Socket socket) {
    return detail::typed_endpoint(
        std::move(factory), [socket = std::move(socket)](auto make) mutable {
            return detail::adopt_datagrams(std::move(make), std::move(socket));
        });
}

}  // namespace asyncio::inline v0
