// Servers. Follow Server and create_server of CPython's asyncio/base_events.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/servers.hpp>
#include <asyncio/sleep.hpp>

#include "io/native_address.hpp"
#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/fd_transport.hpp"
#include "net/protocol_slot.hpp"
#include "net/resolve.hpp"
#include "net/server_state.hpp"
#include "net/stale_socket.hpp"
#include "net/stream_protocol.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// After this time a server tries again to accept, when descriptors or memory were short.
constexpr std::chrono::seconds accept_retry_delay{1};

bool is_out_of_resources(int error) noexcept {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Errors of a connection that ended before it was accepted; the next one may be good.
bool is_of_connection(int error) noexcept {
    constexpr int errors[] = {ECONNABORTED, EINTR,       ENETDOWN, EPROTO,
                              ENOPROTOOPT,  EHOSTDOWN,   ENONET,   EHOSTUNREACH,
                              EOPNOTSUPP,   ENETUNREACH, EPERM};
    return std::find(std::begin(errors), std::end(errors), error) != std::end(errors);
}

}  // namespace

// A listening socket, and its turn to accept.
struct ServerState::Listener final : IoOperation {
    Listener(ServerState& owner, Socket listening) noexcept
        : IoOperation(&Listener::run, listening.fileno(), IoDirection::read, true), server(owner),
          socket(std::move(listening)) {}
    ~Listener() { stop(); }

    void start() {
        if (!accepting) {
            server.loop_.poller().start(*this);
            accepting = true;
        }
    }
    void stop() noexcept {
        retry.cancel();
        if (std::exchange(accepting, false)) {
            server.loop_.poller().cancel(*this);
        }
    }
    static void run(Runnable& self, Turn turn) {
        auto& listener = static_cast<Listener&>(static_cast<IoOperation&>(self));
        if (turn == Turn::run) {
            const std::shared_ptr<ServerState> alive = listener.server.shared_from_this();
            listener.server.accept_some(listener);
        }
    }

    ServerState& server;
    Socket socket;
    TimerHandle retry;
    bool accepting = false;
};

ServerState::ServerState(EventLoop& loop, ProtocolFactory factory, std::vector<Socket> sockets,
                         int backlog, ServerSecurity security, std::optional<SocketFile> file)
    : loop_(loop), factory_(std::move(factory)), backlog_(backlog), security_(std::move(security)),
      file_(std::move(file)) {
    for (Socket& socket : sockets) {
        listeners_.push_back(std::make_unique<Listener>(*this, std::move(socket)));
    }
    LoopAccess::composites(loop_).push_back(*this);
}

ServerState::~ServerState() { ASYNCIO_ASSERT(ended()); }

// ---- accepting

void ServerState::start_serving() {
    if (listeners_.empty()) {
        throw RuntimeError("the server is closed: start another one");
    }
    if (!std::exchange(serving_, true)) {
        for (const auto& listener : listeners_) {
            listener->start();
        }
    }
}

void ServerState::accept_some(Listener& listener) {
    // As many as may wait; when more come meanwhile, others get their turn first.
    for (int i = 0; i <= backlog_ && serving_ && accept_one(listener); ++i) {
    }
}

bool ServerState::accept_one(Listener& listener) {
    NativeAddress native;
    const int fd =
        ::accept4(listener.fd(), native.get(), &native.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        accepted(SocketAccess::adopt(fd), native.address());
        return true;
    }
    if (would_block(errno)) {
        return false;
    }
    if (is_of_connection(errno)) {
        return true;
    }
    pause(listener, errno);
    return false;
}

void ServerState::accepted(Socket socket, Address peer) {
    try {
        std::shared_ptr<Protocol> protocol = factory_();
        std::shared_ptr<ServerCore> whom = shared_from_this();
        if (security_.ssl != nullptr) {
            protocol = std::make_shared<TlsConnection>(loop_, security_.ssl->wrap_bio(true, {}),
                                                       std::move(protocol), security_.timeouts,
                                                       Future<void>(), std::move(whom));
        }
        const auto transport =
            std::make_shared<FdTransport>(loop_, std::move(socket), FdTransport::Kind::socket,
                                          std::move(peer), std::move(protocol), std::move(whom));
        transport->begin();
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        report(loop_, "Error on transport creation for incoming connection",
               std::current_exception());
    }
}

void ServerState::pause(Listener& listener, int error) {
    // Level triggered, the loop would spin until somebody closes a descriptor.
    listener.stop();
    listener.retry = loop_.call_later(accept_retry_delay, [&listener] { listener.start(); });
    report(loop_,
           is_out_of_resources(error)
               ? "socket.accept() out of system resource; the server tries again after a second"
               : "socket.accept() failed; the server tries again after a second",
           std::make_exception_ptr(std::system_error(error, std::generic_category(), "accept")));
}

// ---- closing

void ServerState::close() noexcept {
    if (listeners_.empty()) {
        return;
    }
    serving_ = false;
    remove_file();
    listeners_.clear();
    CompositeNode::unlink();
    if (const Future<void> serving = std::exchange(serving_forever_, {}); serving) {
        serving.cancel();
    }
    wake_if_ended();
}

void ServerState::remove_file() noexcept {
    struct stat status{};
    if (file_ && ::stat(file_->path.c_str(), &status) == 0 && status.st_ino == file_->inode &&
        status.st_dev == file_->device) {
        ::unlink(file_->path.c_str());
    }
}

void ServerState::wake_if_ended() noexcept {
    if (ended()) {
        closes_.wake_all();
    }
}

void ServerState::close_clients() {
    members_.for_each([](ServerMember& member) { member.transport().close(); });
}

void ServerState::abort_clients() {
    members_.for_each([](ServerMember& member) { member.transport().abort(); });
}

Coro<void> ServerState::wait_closed(std::shared_ptr<ServerState> self) {
    while (!self->ended()) {
        co_await self->closes_.wait();
    }
}

Coro<void> ServerState::serve_forever(std::shared_ptr<ServerState> self) {
    if (self->serving_forever_) {
        throw RuntimeError("another task is in serve_forever() of this server already");
    }
    self->start_serving();
    const Future<void> forever = self->loop_.create_future<void>();
    self->serving_forever_ = forever;
    std::exception_ptr cancelled;
    try {
        co_await forever;
    } catch (const CancelledError&) {
        cancelled = std::current_exception();
    }
    self->serving_forever_ = {};
    self->close();
    co_await wait_closed(self);
    std::rethrow_exception(cancelled);
}

std::vector<Address> ServerState::sockets() const {
    std::vector<Address> addresses;
    addresses.reserve(listeners_.size());
    for (const auto& listener : listeners_) {
        addresses.push_back(listener->socket.getsockname());
    }
    return addresses;
}

// ---- making one

namespace {

Coro<Server> start(std::shared_ptr<ServerState> state, bool start_serving) {
    Server server = ServerState::handle(state);
    if (start_serving) {
        state->start_serving();
        // A turn for what else begins, as CPython's create_server gives.
        co_await sleep(Duration::zero());
    }
    co_return server;
}

Socket listen(const Address& address, const ServerOptions& options) {
    Socket socket = Socket::listen_on(
        address, {.backlog = options.backlog, .reuse_port = options.reuse_port, .ipv6_only = true});
    // Accepted sockets inherit both.
    socket.set_nodelay();
    if (options.keep_alive) {
        turn_on(socket, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE");
    }
    return socket;
}

template <class Options>
ServerSecurity security_of(const Options& options) {
    return {.ssl = options.ssl,
            .timeouts = {.handshake = options.ssl_handshake_timeout,
                         .shutdown = options.ssl_shutdown_timeout}};
}

Coro<std::vector<Address>> addresses_of(Hosts hosts, std::uint16_t port, AddressFamily family) {
    std::vector<Address> addresses;
    if (hosts.names().empty() || hosts.names() == std::vector<std::string>{""}) {
        for (const char* const any : {"0.0.0.0", "::"}) {
            if (const Address address(any, port);
                family == AddressFamily::none || family == address.family()) {
                addresses.push_back(address);
            }
        }
    }
    for (const std::string& host : hosts.names()) {
        for (const Address& address : co_await resolve(host, port, SOCK_STREAM, family)) {
            if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
                addresses.push_back(address);
            }
        }
    }
    co_return addresses;
}

// Whether the machine lacks the address's whole family, or the address; others may do.
bool is_unavailable(const std::error_code& code) noexcept {
    return code == std::errc::address_not_available ||
           code == std::errc::address_family_not_supported;
}

}  // namespace

Coro<Server> serve(ProtocolFactory factory, Hosts hosts, std::uint16_t port,
                   ServerOptions options) {
    const std::vector<Address> addresses = co_await addresses_of(hosts, port, options.family);
    std::vector<Socket> sockets;
    std::exception_ptr unavailable;
    for (const Address& address : addresses) {
        try {
            sockets.push_back(listen(address, options));
        } catch (const std::system_error& error) {
            if (!is_unavailable(error.code())) {
                throw;
            }
            unavailable = std::current_exception();
        }
    }
    if (sockets.empty()) {
        if (unavailable == nullptr) {
            throw ValueError("there is no address of that family to listen at");
        }
        std::rethrow_exception(unavailable);
    }
    co_return co_await start(std::make_shared<ServerState>(get_running_loop(), std::move(factory),
                                                           std::move(sockets), options.backlog,
                                                           security_of(options), std::nullopt),
                             options.start_serving);
}

Coro<Server> serve_unix(ProtocolFactory factory, std::string path, UnixServerOptions options) {
    const Address address = Address::local(path);
    const bool has_file = path.front() != '\0';
    remove_stale_socket(address);
    std::vector<Socket> sockets;
    sockets.push_back(Socket::listen_on(address, {.backlog = options.backlog}));
    std::optional<SocketFile> file;
    if (has_file && options.cleanup_socket) {
        struct stat status{};
        check(::stat(path.c_str(), &status), "stat");
        file = SocketFile{.path = path, .device = status.st_dev, .inode = status.st_ino};
    }
    co_return co_await start(std::make_shared<ServerState>(get_running_loop(), std::move(factory),
                                                           std::move(sockets), options.backlog,
                                                           security_of(options), std::move(file)),
                             options.start_serving);
}

ProtocolFactory stream_factory(ClientHandler handler, std::size_t limit) {
    return [handler = std::move(handler), limit = checked_limit(limit)] {
        return std::make_shared<StreamProtocol>(limit, handler);
    };
}

void report_client_failed(Transport& transport) {
    report(get_running_loop(), "Unhandled exception in client_connected_cb",
           std::current_exception(), &transport);
    transport.close();
}

}  // namespace detail

// ---- the handle

struct Server::Owner {
    explicit Owner(std::shared_ptr<detail::ServerState> owned) noexcept : state(std::move(owned)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { state->close(); }
    std::shared_ptr<detail::ServerState> state;
};

Server::Server(std::shared_ptr<detail::ServerState> state)
    : owner_(std::make_shared<Owner>(std::move(state))) {}

void Server::start_serving() { owner_->state->start_serving(); }
Coro<void> Server::serve_forever() { return detail::ServerState::serve_forever(owner_->state); }
bool Server::is_serving() const noexcept { return owner_->state->is_serving(); }
void Server::close() { owner_->state->close(); }
void Server::close_clients() { owner_->state->close_clients(); }
void Server::abort_clients() { owner_->state->abort_clients(); }
Coro<void> Server::wait_closed() { return detail::ServerState::wait_closed(owner_->state); }
std::vector<Address> Server::sockets() const { return owner_->state->sockets(); }

}  // namespace asyncio::inline v0
