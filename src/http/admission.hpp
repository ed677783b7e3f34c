// Who may have a connection: limits on the fetches in flight, in total and for each origin.
//
// libcurl has limits of its own, but it lets transfers wait inside, where they count against their
// connect timeout, hold their buffers, and can be passed over when a connection to another host
// becomes free. Here they wait in line, in the order of their calls, for the price of a list node.
#pragma once

#include "http/exchange.hpp"

#include <unordered_map>
#include <utility>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// Invariants:
///  1. `active_` slots are out, at most `limit_`; of them `Origin::active` for each origin, at most
///     `limit_per_origin_` unless that is 0.
///  2. A ticket that waits is in the line of its origin, if that was full when its turn came, else
///     in `line_`. `line_` is empty or the total limit is reached.
///  3. An origin is in the map while slots or tickets refer to it.
class Admission {
    struct Origin;

public:
    Admission(std::size_t limit, std::size_t limit_per_origin)
        : limit_(limit), limit_per_origin_(limit_per_origin) {}
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;

    /// The right to one connection, given back by the destructor.
    class Slot {
    public:
        Slot() noexcept = default;
        Slot(Slot&& other) noexcept
            : admission_(std::exchange(other.admission_, nullptr)), origin_(other.origin_) {}
        Slot& operator=(Slot&& other) noexcept {
            std::swap(admission_, other.admission_);
            std::swap(origin_, other.origin_);
            return *this;
        }
        ~Slot() {
            if (admission_ != nullptr) {
                admission_->release(*origin_);
            }
        }

    private:
        friend class Admission;
        Slot(Admission& admission, Origin& origin) noexcept
            : admission_(&admission), origin_(&origin) {}
        Admission* admission_ = nullptr;
        Origin* origin_ = nullptr;
    };

    /// What `enter` returns: an awaiter of a Slot.
    class Ticket final : public Step, public asyncio::detail::ListNode {
    public:
        Ticket(Admission& admission, Exchange& exchange, const std::string& origin, Slot previous);
        ~Ticket();

        bool await_ready() noexcept;
        template <class P>
        void await_suspend(std::coroutine_handle<P> handle) noexcept {
            begin(handle, WaitKind::primitive);
            join_line();
        }
        Slot await_resume();

        const char* doing() const noexcept override { return "waiting for a free connection"; }

    private:
        friend class Admission;
        void leave() noexcept override;
        void join_line() noexcept;

        Admission& admission_;
        Origin& origin_;
        Slot previous_;
        bool granted_ = false;
        bool is_first_ = false;
    };

    Ticket enter(Exchange& exchange, const std::string& origin) {
        return Ticket(*this, exchange, origin, Slot());
    }
    /// Whoever gives back a previous slot in the same breath, as a fetch that is redirected to
    /// another origin does, goes to the front of the line: its turn has come already.
    Ticket enter_next(Exchange& exchange, const std::string& origin, Slot previous) {
        return Ticket(*this, exchange, origin, std::move(previous));
    }

private:
    struct Origin {
        std::size_t active = 0;
        std::size_t users = 0;  // slots and tickets
        asyncio::detail::IntrusiveList<Ticket> line;
        std::string name;
    };

    bool has_room(const Origin& origin) const noexcept {
        return limit_per_origin_ == 0 || origin.active < limit_per_origin_;
    }
    void occupy(Origin& origin) noexcept {
        ++active_;
        ++origin.active;
    }
    Origin& use(const std::string& name);
    void unuse(Origin& origin) noexcept;
    void release(Origin& origin) noexcept;
    // `release` without giving the room to anybody yet.
    void vacate(Origin& origin) noexcept;
    // Gives slots to whoever is first in line and may have one.
    void admit() noexcept;

    // Constant after construction.
    const std::size_t limit_;
    const std::size_t limit_per_origin_;

    // Loop thread only.
    std::size_t active_ = 0;
    std::unordered_map<std::string, Origin> origins_;
    asyncio::detail::IntrusiveList<Ticket> line_;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
