// Making datagram endpoints. Follows create_datagram_endpoint of CPython's asyncio/base_events.py.
#include <asyncio/datagrams.hpp>
#include <asyncio/event_loop.hpp>

#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/close_unless_done.hpp"
#include "net/datagram_transport.hpp"
#include "net/resolve.hpp"
#include "net/stale_socket.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The two addresses of an endpoint; none where there is none.
struct Ends {
    AddressFamily family = AddressFamily::none;
    Address local;
    Address remote;
};

Coro<std::vector<Address>> addresses_of(HostPort where, AddressFamily family) {
    if (where.has_host()) {
        co_return co_await resolve(where.host(), where.port(), SOCK_DGRAM, family);
    }
    std::vector<Address> addresses;
    if (where && (family == AddressFamily::none || family == where.address().family())) {
        addresses.push_back(where.address());
    }
    co_return addresses;
}

// One pair of addresses for each family that has what is asked for, in the order in which they
// should be tried.
Coro<std::vector<Ends>> ends_of(DatagramOptions options) {
    if (!options.local_addr && !options.remote_addr) {
        if (options.family == AddressFamily::none) {
            throw ValueError("a datagram endpoint needs an address or a family");
        }
        co_return {Ends{.family = options.family, .local = {}, .remote = {}}};
    }
    std::vector<Ends> ends;
    for (Address Ends::* const end : {&Ends::local, &Ends::remote}) {
        const HostPort& where = end == &Ends::local ? options.local_addr : options.remote_addr;
        for (const Address& address : co_await addresses_of(where, options.family)) {
            auto same = std::find_if(ends.begin(), ends.end(), [&](const Ends& known) {
                return known.family == address.family();
            });
            if (same == ends.end()) {
                same = ends.insert(same, {.family = address.family(), .local = {}, .remote = {}});
            }
            if (Address& place = (*same).*end; place.family() == AddressFamily::none) {
                place = address;
            }
        }
    }
    const auto lacks = [](const HostPort& wanted, const Address& found) {
        return wanted && found.family() == AddressFamily::none;
    };
    std::erase_if(ends, [&](const Ends& found) {
        return lacks(options.local_addr, found.local) || lacks(options.remote_addr, found.remote);
    });
    if (ends.empty()) {
        throw ValueError("the addresses of a datagram endpoint have no family in common");
    }
    co_return ends;
}

Coro<Socket> open(Ends ends, bool reuse_port, bool allow_broadcast) {
    Socket socket(ends.family, SOCK_DGRAM);
    if (reuse_port) {
        turn_on(socket, SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
    }
    if (allow_broadcast) {
        turn_on(socket, SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST");
    }
    if (ends.local.family() != AddressFamily::none) {
        remove_stale_socket(ends.local);
        socket.bind(ends.local);
    }
    if (ends.remote.family() != AddressFamily::none && !allow_broadcast) {
        co_await sock_connect(socket, ends.remote);
    }
    co_return socket;
}

// Hands the socket to a transport, and waits until the protocol knows.
Coro<std::shared_ptr<DatagramTransport>> begin(DatagramFactory factory, Socket socket,
                                               bool connected, Address remote) {
    EventLoop& loop = get_running_loop();
    const Future<void> made = loop.create_future<void>();
    const auto transport = std::make_shared<FdDatagramTransport>(loop, std::move(socket), connected,
                                                                 std::move(remote), factory());
    transport->begin(made);
    CloseUnlessDone closing(*transport);
    co_await made;
    closing.done();
    co_return transport;
}

}  // namespace

Coro<std::shared_ptr<DatagramTransport>> open_datagrams(DatagramFactory factory,
                                                        DatagramOptions options) {
    std::exception_ptr first_error;
    for (const Ends& ends : co_await ends_of(options)) {
        Socket socket;
        try {
            socket = co_await open(ends, options.reuse_port, options.allow_broadcast);
        } catch (const std::system_error&) {
            first_error = first_error ? first_error : std::current_exception();
            continue;
        }
        const bool connected =
            ends.remote.family() != AddressFamily::none && !options.allow_broadcast;
        co_return co_await begin(std::move(factory), std::move(socket), connected, ends.remote);
    }
    std::rethrow_exception(first_error);
}

Coro<std::shared_ptr<DatagramTransport>> adopt_datagrams(DatagramFactory factory, Socket socket) {
    int type = 0;
    socklen_t size = sizeof type;
    check(::getsockopt(socket.fileno(), SOL_SOCKET, SO_TYPE, &type, &size), "SO_TYPE");
    if (type == SOCK_STREAM) {
        throw ValueError("a datagram endpoint needs a socket for datagrams, not one for a stream");
    }
    Address peer;
    bool connected = true;
    try {
        peer = socket.getpeername();
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::not_connected) {
            throw;
        }
        connected = false;
    }
    co_return co_await begin(std::move(factory), std::move(socket), connected, std::move(peer));
}

}  // namespace detail
}  // namespace asyncio::inline v0
