// Waiter: the building block of awaiters. A future for exactly one waiting driver, embedded in the
// awaiter itself, so that waiting allocates nothing.
#pragma once

#include <asyncio/task.hpp>

namespace asyncio::inline v0 {

/// Base of awaiters that suspend until somebody calls `set_result` or `set_exception`. Primitives
/// derive from it and add `await_ready`, `await_resume` and whatever they wait in line with:
///
///     struct Ticket : asyncio::Waiter {
///         bool await_ready() { return office.open(); }
///         template <class P>
///         void await_suspend(std::coroutine_handle<P> handle) {
///             office.line.push_back(*this);
///             suspend(handle, asyncio::WaitKind::primitive);
///         }
///         void await_resume() { resumed(); }
///     };
///
/// Invariant: `driver_` is set exactly from the suspension until `set_result`, `set_exception` or
/// `cancel`.
///
/// Thread safety: loop thread only. Cancel safety: a cancelled waiter throws CancelledError from
/// `resumed()`; a derived class that must leave a queue at that moment overrides `cancel`.
class ASYNCIO_API Waiter : public CancelTarget {
public:
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    /// True unless it is suspended and neither completed nor cancelled.
    bool done() const noexcept { return driver_ == nullptr; }

    /// Wakes the driver, in a later iteration. Requires: not done.
    void set_result() noexcept { std::exchange(driver_, nullptr)->wake(); }

    /// As set_result, but the await throws `error`.
    void set_exception(std::exception_ptr error) noexcept;

    /// Makes the await throw a CancelledError. Returns false if done.
    bool cancel(const CancelMessage& message) override;

protected:
    Waiter() noexcept = default;
    ~Waiter() = default;

    template <std::derived_from<detail::Frame> P>
    void suspend(std::coroutine_handle<P> handle, WaitKind kind) noexcept {
        driver_ = &Driver::current();
        driver_->park(handle.promise(), this, kind);
    }
    Driver* driver() const noexcept { return driver_; }
    // As set_result for a waiter of the loop that runs: only writes to the driver's memory, so a
    // million expiring timers do not wait for each other's cache misses.
    void set_result_on(EventLoop& loop) noexcept {
        loop.ready_.push_back(*std::exchange(driver_, nullptr));
    }

    /// Call it first in await_resume. Throws CancelledError, or what else was delivered.
    static void resumed() { Driver::throw_if_pending(); }

private:
    Driver* driver_ = nullptr;
};

// Lets co_await take every awaiter that is built on Waiter. The operand lives as long as the await.
template <class A>
    requires std::derived_from<std::remove_cvref_t<A>, Waiter>
A&& make_awaiter(A&& awaiter) noexcept {
    return std::forward<A>(awaiter);
}

}  // namespace asyncio::inline v0
