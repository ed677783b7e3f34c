// Names to addresses, remembered for a while.
//
// libcurl has threads that look names up, too, but waits for them when a transfer is removed, which
// would stall the loop with every fetch that is cancelled while a name server does not answer. Here
// a waiting fetch just leaves; nobody waits for the thread.
#pragma once

#include "http/exchange.hpp"

#include <memory>
#include <unordered_map>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// Invariants:
///  1. `names_` has every name that is being looked up, and those looked up within `ttl_`.
///  2. A name that is being looked up has a future that is pending, or whose callback is about to
///     be called; everybody who wants it is in its line.
///
/// Thread safety: loop thread only.
class Resolver {
    struct Name;

public:
    Resolver(EventLoop& loop, Duration ttl) : loop_(loop), ttl_(ttl) {}
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver() { close(); }

    /// What `lookup` returns: an awaiter of the addresses, written as CURLOPT_RESOLVE wants them.
    /// Raises: Error of kind name_not_found.
    class Lookup final : public Step, public asyncio::detail::ListNode {
    public:
        Lookup(Resolver& resolver, Exchange& exchange, std::string name)
            : Step(exchange), resolver_(resolver), name_(std::move(name)) {}
        ~Lookup();

        bool await_ready() { return exchange().aborted() || resolver_.remembers(*this); }
        template <class P>
        void await_suspend(std::coroutine_handle<P> handle) {
            resolver_.join(*this);
            begin(handle, WaitKind::io);
        }
        std::string await_resume();

        const char* doing() const noexcept override { return "looking up the name"; }

    private:
        friend class Resolver;
        void leave() noexcept override;

        Resolver& resolver_;
        std::string name_;
        std::shared_ptr<Name> entry_;
    };

    Lookup lookup(Exchange& exchange, std::string name) {
        return Lookup(*this, exchange, std::move(name));
    }

    /// Forgets everything. Requires: nobody waits.
    void close() noexcept;

private:
    bool remembers(Lookup& lookup);
    void join(Lookup& lookup);
    void begin(const std::shared_ptr<Name>& name);
    void abandon(Name& name) noexcept;
    void finished(Name& name) noexcept;
    void make_room();

    EventLoop& loop_;
    const Duration ttl_;
    std::unordered_map<std::string, std::shared_ptr<Name>> names_;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
