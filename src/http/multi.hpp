// libcurl's multi handle, driven by the event loop.
//
// libcurl tells which sockets it wants watched and when it wants to be called again; the loop tells
// it when that has happened (curl_multi_socket_action). libcurl calls back from inside such calls
// and must not be called from there, so what a body sink starts, cancels or closes is put off until
// the call returns.
#pragma once

#include <asyncio/event_loop.hpp>

#include "http/pinned_names.hpp"

#include <curl/curl.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

class Transfer;

struct EasyDeleter {
    void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

/// Invariants:
///  1. A transfer is in `transfers_` from `add` until it is done or removed; its easy handle is in
///     the multi handle for as long, except between `add` or `remove` inside a call of libcurl's
///     and the end of that call, when it is in `starting_` or `removed_`.
///  2. Each transfer in `transfers_` counts as external work of the loop.
///  3. A watch is with the poller exactly while libcurl wants its direction watched. Watches stay
///     allocated when they rest, as descriptor numbers are used again.
///
/// Thread safety: loop thread only.
class Multi {
public:
    /// At most `connections_max` connections are open, `connections_per_host_max` (0: any number)
    /// to one host; the idle ones among them are closed when the room is needed.
    Multi(EventLoop& loop, std::size_t connections_max, std::size_t connections_per_host_max);
    Multi(const Multi&) = delete;
    Multi& operator=(const Multi&) = delete;
    ~Multi() { close(); }

    /// A handle with default options.
    Easy take_easy();
    /// For the next transfer. Requires: not in use.
    void give_back(Easy easy) noexcept;

    /// Starts a transfer; `Transfer::complete` is called when it is done.
    void add(Transfer& transfer) noexcept;
    /// Stops a transfer at once; `complete` is not called. Its connection is closed.
    void remove(Transfer& transfer) noexcept;

    /// Closes all connections, at once or after the present call of libcurl's. Requires: no
    /// transfer is left.
    void close() noexcept;

    PinnedNames& names() noexcept { return names_; }

private:
    // One direction of one socket.
    class Watch final : public IoOperation {
    public:
        Watch(Multi& multi, int fd, IoDirection direction) noexcept
            : IoOperation(&Watch::run, fd, direction, true), multi_(multi) {}
        void want(bool wanted);

    private:
        static void run(Runnable& self, Turn turn) noexcept;
        Multi& multi_;
        bool active_ = false;
    };
    struct Socket {
        Socket(Multi& multi, int fd) noexcept
            : reading(multi, fd, IoDirection::read), writing(multi, fd, IoDirection::write) {}
        Watch reading;
        Watch writing;
    };

    static int socket_callback(CURL* easy, curl_socket_t fd, int what, void* self,
                               void* unused) noexcept;
    static int timer_callback(CURLM* multi, long delay_ms, void* self) noexcept;

    void watch(int fd, int what);
    void set_timer(long delay_ms);
    void act(curl_socket_t fd, int events) noexcept;
    void settle() noexcept;
    void start(Transfer& transfer) noexcept;
    void collect() noexcept;
    void forget(Transfer& transfer) noexcept;
    // Fails every transfer if a callback failed: without its sockets or timer none would go on.
    void check_callbacks() noexcept;

    // Constant after construction.
    EventLoop& loop_;

    // Loop thread only.
    CURLM* multi_;
    std::unordered_map<int, Socket> sockets_;
    Handle timer_;
    PinnedNames names_;
    asyncio::detail::IntrusiveList<Transfer> transfers_;
    std::vector<Transfer*> starting_;
    std::vector<Easy> removed_;
    std::vector<Easy> idle_;
    // What went wrong inside a callback, which must not throw.
    std::exception_ptr callback_error_;
    bool inside_ = false;
    bool close_when_settled_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
