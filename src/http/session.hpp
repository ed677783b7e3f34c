// What a Client and the fetches that use it share.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/http.hpp>

#include "http/admission.hpp"
#include "http/multi.hpp"
#include "http/resolver.hpp"
#include "http/url.hpp"

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// Invariants:
///  1. Every fetch that has begun has its exchange in `exchanges_`, and owns a reference of this.
///  2. Once `is_closed_`, libcurl has no connection and no name is looked up.
///  3. It is in the loop's list of what must let go when the loop closes, until it is closed.
///
/// Thread safety: loop thread only.
class Session final : public std::enable_shared_from_this<Session>,
                      private asyncio::detail::CompositeNode {
public:
    Session(EventLoop& loop, ClientOptions options);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { close(); }

    /// The one that the running loop keeps. Raises: RuntimeError if no loop runs in this thread.
    static std::shared_ptr<Session> of_running_loop();

    /// Null: the one of the loop that runs when the coroutine starts.
    static Coro<Response> fetch(std::shared_ptr<Session> session, Request request);
    void close() noexcept;

private:
    // Transfers from `url` to the answer that is none to be followed; both `url` and `history` tell
    // at any time how far it came.
    Coro<Response> follow(Exchange& exchange, Parameters& parameters, Url& url,
                          std::vector<std::string>& history);
    Coro<Response> transfer(Exchange& exchange, const Parameters& parameters, const Url& url);
    void detach() noexcept override;

    // Constant after construction.
    EventLoop& loop_;
    const ClientOptions options_;

    // Loop thread only.
    Multi multi_;
    Resolver resolver_;
    Admission admission_;
    asyncio::detail::IntrusiveList<Exchange> exchanges_;
    std::shared_ptr<Session> kept_by_loop_;
    bool is_closed_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
