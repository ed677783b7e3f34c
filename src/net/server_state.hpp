// What is behind the handles of a Server.
#pragma once

#include <asyncio/servers.hpp>

#include "net/io_line.hpp"
#include "net/server_core.hpp"
#include "net/tls_connection.hpp"

#include <sys/types.h>

namespace asyncio::inline v0 {
namespace detail {

// The file of a Unix socket, by which a server recognises its own.
struct SocketFile {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
};

struct ServerSecurity {
    std::shared_ptr<const SSLContext> ssl;  // null: in the clear
    TlsTimeouts timeouts;
};

// As Server of CPython's base_events.py.
//
// Invariants:
//  1. Until `close`, `listeners_` is not empty, and each is with the poller exactly while it
//     accepts: it does not before `start_serving`, and not for a while when resources are short.
//  2. Tasks in `closes_` wait until it is closed and has no member.
//  3. `serving_forever_` names a future exactly while a task is in `serve_forever`.
class ServerState final : public ServerCore,
                          private CompositeNode,
                          public std::enable_shared_from_this<ServerState> {
public:
    ServerState(EventLoop& loop, ProtocolFactory factory, std::vector<Socket> sockets, int backlog,
                ServerSecurity security, std::optional<SocketFile> file);
    ServerState(const ServerState&) = delete;
    ServerState& operator=(const ServerState&) = delete;
    ~ServerState();

    static Server handle(std::shared_ptr<ServerState> state) { return Server(std::move(state)); }

    void start_serving();
    bool is_serving() const noexcept { return serving_; }
    void close() noexcept;
    void close_clients();
    void abort_clients();
    std::vector<Address> sockets() const;

    static Coro<void> serve_forever(std::shared_ptr<ServerState> self);
    static Coro<void> wait_closed(std::shared_ptr<ServerState> self);

private:
    struct Listener;

    void last_member_left() noexcept override { wake_if_ended(); }
    void detach() noexcept override { close(); }
    void wake_if_ended() noexcept;
    bool ended() const noexcept { return listeners_.empty() && members_.empty(); }

    void accept_some(Listener& listener);
    // False if no more can be accepted for now.
    bool accept_one(Listener& listener);
    void accepted(Socket socket, Address peer);
    void pause(Listener& listener, int error);
    void remove_file() noexcept;

    // Constant after construction.
    EventLoop& loop_;
    const ProtocolFactory factory_;
    const int backlog_;
    const ServerSecurity security_;
    const std::optional<SocketFile> file_;

    // Loop thread only.
    std::vector<std::unique_ptr<Listener>> listeners_;
    bool serving_ = false;
    Future<void> serving_forever_;
    IoLine closes_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
