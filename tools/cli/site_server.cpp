// SiteServer: accepting, and one task for each connection.
#include "site_server.hpp"

#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>

#include "request_head.hpp"
#include "site_pages.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <list>
#include <optional>
#include <system_error>

namespace asyncio::cli {

using namespace std::chrono_literals;

namespace {

constexpr int backlog = 1024;
constexpr Duration accept_pause = 1s;
constexpr Duration shutdown_grace = 5s;
// How long a client that sent nonsense may take to read the answer.
constexpr Duration linger_time = 1s;

struct Connection {
    Socket socket;
    Task<void> task;
    // Between two requests: may be closed without anybody missing an answer.
    bool idle = true;
    std::string received;
};

bool is_shortage(const std::error_code& code) noexcept {
    return code == std::errc::too_many_files_open ||
           code == std::errc::too_many_files_open_in_system || code == std::errc::no_buffer_space ||
           code == std::errc::not_enough_memory;
}

// What went wrong with one connection, or on the way to its client, before it was accepted: Linux
// reports that here, and asks to try again.
bool is_of_one_connection(const std::error_code& code) noexcept {
    constexpr int codes[] = {ECONNABORTED, EPROTO,       EPERM,       ENETDOWN, ENETUNREACH,
                             EHOSTDOWN,    EHOSTUNREACH, ENOPROTOOPT, ENONET,   EOPNOTSUPP};
    return code.category() == std::generic_category() &&
           std::find(std::begin(codes), std::end(codes), code.value()) != std::end(codes);
}

// Receives more. Returns false at the end of the stream.
Coro<bool> receive(Connection& connection) {
    const std::string piece = co_await sock_recv(connection.socket, 65536);
    connection.received += piece;
    co_return !piece.empty();
}

// Empty when the client has closed the connection between two requests.
Coro<std::optional<RequestHead>> read_head(Connection& connection) {
    std::string& received = connection.received;
    connection.idle = received.empty();
    std::size_t end = 0;
    while ((end = find_head_end(received)) == std::string::npos) {
        const bool more = co_await receive(connection);
        if (!more && received.empty()) {
            co_return std::nullopt;
        }
        if (!more) {
            throw BadRequest(400, "the request ends in the middle of its header");
        }
        connection.idle = false;
    }
    connection.idle = false;
    RequestHead head = parse_head(std::string_view(received).substr(0, end));
    received.erase(0, end);
    co_return head;
}

// Nothing here wants a body, but the next request comes after it.
Coro<void> skip_body(Connection& connection, std::uint64_t size) {
    while (connection.received.size() < size) {
        size -= connection.received.size();
        connection.received.clear();
        if (!co_await receive(connection)) {
            throw BadRequest(400, "the request ends in the middle of its body");
        }
    }
    connection.received.erase(0, size);
}

// Reads a request with its body. Empty when the client has nothing more to ask, or does not ask in
// time.
Coro<std::optional<RequestHead>> read_request(Connection& connection, Duration time) {
    bool too_late = false;
    try {
        co_return co_await timeout(
            time, [connection = &connection]() -> Coro<std::optional<RequestHead>> {
                std::optional<RequestHead> head = co_await read_head(*connection);
                if (head) {
                    co_await skip_body(*connection, head->body_size);
                }
                co_return head;
            });
    } catch (const TimeoutError&) {
        too_late = !connection.idle;
    }
    if (too_late) {
        throw BadRequest(408, "the request takes too long to come");
    }
    co_return std::nullopt;
}

// How the connection goes on after an answer.
enum class After { keep, keep_of_old_client, close };

constexpr std::string_view end_of_head(After after) noexcept {
    switch (after) {
    case After::keep:
        return "\r\n";
    case After::keep_of_old_client:
        return "Connection: keep-alive\r\n\r\n";
    case After::close:
        break;
    }
    return "Connection: close\r\n\r\n";
}

Coro<void> send_answer(const Socket& socket, const Answer& answer, bool with_body, After after) {
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " " +
                       std::string(reason_of(answer.status)) + "\r\nContent-Type: text/plain\r\n" +
                       answer.fields;
    if (!has_no_body(answer.status)) {
        text += "Content-Length: " + std::to_string(answer.size()) + "\r\n";
    }
    text += end_of_head(after);
    if (with_body) {
        text += answer.body;
    }
    co_await sock_sendall(socket, text);
    std::uint64_t left = with_body ? answer.pattern_size : 0;
    while (left > 0) {
        const std::string_view piece =
            pattern().substr(0, std::min<std::uint64_t>(left, pattern().size()));
        co_await sock_sendall(socket, piece);
        left -= piece.size();
    }
}

// Closing with unread data in the buffer would reset the connection, and the client might never
// see the answer. So its words are heard out first, for a while.
Coro<void> linger(Connection& connection) {
    connection.socket.shutdown_write();
    const TimerHandle limit = get_running_loop().call_later(
        linger_time, [fd = connection.socket.fileno()] { ::shutdown(fd, SHUT_RD); });
    struct Cancelled {
        TimerHandle handle;
        ~Cancelled() { handle.cancel(); }
    } const cancelled{limit};
    while (!(co_await sock_recv(connection.socket, 65536)).empty()) {
        co_await sleep(0s);
    }
}

}  // namespace

// Shared by the server and the tasks of its connections.
//
// Invariants:
//  1. `connections` holds those that have a Lease, which their tasks' coroutines own.
//  2. Once `stopping` is set, no connection is accepted and none stays open after an answer.
struct SiteServer::State {
    explicit State(const SiteOptions& options)
        : listener(Socket::listen_on(Address(options.host, options.port), {.backlog = backlog})),
          url("http://" + listener.getsockname().str()), read_timeout(options.read_timeout),
          pages(options.seed) {}

    Socket listener;
    std::string url;
    Duration read_timeout;
    SitePages pages;
    std::list<Connection> connections;
    bool stopping = false;
    // Completed when the last connection ends after `stopping` was set.
    Future<void> drained;

    class Lease;
    static Coro<void> accept_for_ever(std::shared_ptr<State> state);
    static Coro<void> serve_connection(Lease lease);
    Coro<void> answer_requests(Connection& connection);
    Coro<bool> answer_one(Connection& connection);
    Coro<void> drain();
    void cancel_connections(bool only_idle);
};

// Closes the connection when it goes. Being a parameter of the coroutine, it goes even if the task
// is cancelled before it starts.
class SiteServer::State::Lease {
public:
    Lease(std::shared_ptr<State> state, std::list<Connection>::iterator connection) noexcept
        : state_(std::move(state)), connection_(connection) {}
    Lease(Lease&&) noexcept = default;
    ~Lease() {
        if (state_ == nullptr) {
            return;
        }
        state_->connections.erase(connection_);
        if (state_->connections.empty() && state_->drained && !state_->drained.done()) {
            state_->drained.set_result();
        }
    }
    State& state() const noexcept { return *state_; }
    Connection& connection() const noexcept { return *connection_; }

private:
    std::shared_ptr<State> state_;
    std::list<Connection>::iterator connection_;
};

SiteServer::SiteServer(const SiteOptions& options) : state_(std::make_shared<State>(options)) {}

SiteServer::~SiteServer() = default;

const std::string& SiteServer::url() const noexcept { return state_->url; }

Coro<void> SiteServer::serve() {
    // The state is held by this frame: the server may be destroyed while the last requests end.
    const std::shared_ptr<State> state = state_;
    std::exception_ptr stopped;
    try {
        co_await State::accept_for_ever(state);
    } catch (const CancelledError&) {
        stopped = std::current_exception();
    }
    state->listener.close();
    co_await state->drain();
    std::rethrow_exception(stopped);
}

Coro<void> SiteServer::State::accept_for_ever(std::shared_ptr<State> state) {
    while (true) {
        bool shortage = false;
        try {
            Accepted accepted = co_await sock_accept(state->listener);
            state->connections.emplace_back();
            const auto connection = std::prev(state->connections.end());
            connection->socket = std::move(accepted.socket);
            connection->task = create_task({.name = "connection " + accepted.address.str()},
                                           serve_connection, Lease(state, connection));
        } catch (const std::system_error& error) {
            shortage = is_shortage(error.code());
            if (shortage) {
                std::cerr << "site: " << error.code().message() << "; accepting pauses for 1 s"
                          << std::endl;
            } else if (!is_of_one_connection(error.code())) {
                throw;
            }
        }
        // Also when there is no shortage: a flood of connections must not keep the others waiting.
        co_await sleep(shortage ? accept_pause : Duration::zero());
    }
}

Coro<void> SiteServer::State::serve_connection(Lease lease) {
    try {
        lease.connection().socket.set_nodelay();
        co_await lease.state().answer_requests(lease.connection());
    } catch (const std::system_error&) {
        // The client is gone; there is nobody to tell.
    }
}

Coro<void> SiteServer::State::answer_requests(Connection& connection) {
    std::optional<BadRequest> refused;
    try {
        while (co_await answer_one(connection)) {
            // Requests that arrived together must not keep the other connections waiting.
            co_await sleep(0s);
            if (stopping) {
                co_return;
            }
        }
    } catch (const BadRequest& error) {
        refused = error;
    }
    if (refused) {
        const Answer answer = plain_answer(refused->status(), std::string(refused->what()) + "\n");
        co_await send_answer(connection.socket, answer, true, After::close);
        co_await linger(connection);
    }
}

// Returns whether another request may follow.
Coro<bool> SiteServer::State::answer_one(Connection& connection) {
    const std::optional<RequestHead> head = co_await read_request(connection, read_timeout);
    if (!head) {
        co_return false;
    }
    Answer answer;
    if (head->method == "GET" || head->method == "HEAD") {
        answer = pages.get(head->path);
    } else {
        answer = plain_answer(405, "only GET and HEAD are understood here\n");
        answer.fields = "Allow: GET, HEAD\r\n";
    }
    if (answer.delay > Duration::zero()) {
        co_await sleep(answer.delay);
    }
    const bool keep = head->keep_alive && !stopping;
    const After after = !keep                      ? After::close
                        : head->minor_version == 0 ? After::keep_of_old_client
                                                   : After::keep;
    co_await send_answer(connection.socket, answer, head->method != "HEAD", after);
    co_return keep;
}

Coro<void> SiteServer::State::drain() {
    stopping = true;
    if (connections.empty()) {
        co_return;
    }
    drained = get_running_loop().create_future<void>();
    cancel_connections(true);
    const TimerHandle limit =
        get_running_loop().call_later(shutdown_grace, [this] { cancel_connections(false); });
    std::exception_ptr interrupted;
    try {
        co_await drained;
    } catch (const CancelledError&) {
        interrupted = std::current_exception();
    }
    limit.cancel();
    if (interrupted != nullptr) {
        cancel_connections(false);
        std::rethrow_exception(interrupted);
    }
}

void SiteServer::State::cancel_connections(bool only_idle) {
    for (Connection& connection : connections) {
        if (connection.idle || !only_idle) {
            connection.task.cancel();
        }
    }
}

}  // namespace asyncio::cli
