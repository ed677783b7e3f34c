// sleep: suspend the current task for a time.
#pragma once

#include <asyncio/waiter.hpp>

#include <memory>

namespace asyncio::inline v0 {

namespace detail {

// The waiting part of a sleep: a timer that completes it.
//
// Invariant: the timer is armed or queued only while the waiter is not done.
class ASYNCIO_API SleepTimer final : public Waiter, private TimerNode {
public:
    SleepTimer() noexcept : TimerNode(&SleepTimer::expire) {}
    ~SleepTimer() { disarm(); }

    // Makes room for one timer of the running loop. Raises: bad_alloc.
    static void make_room();
    // Requires: make_room().
    template <std::derived_from<Frame> P>
    void start(std::coroutine_handle<P> handle, Duration delay) {
        suspend(handle, WaitKind::sleep);
        arm(delay);
    }
    bool cancel(const CancelMessage& message) override;

private:
    static void expire(Runnable& self, Turn turn);
    void arm(Duration delay) noexcept;
    void disarm() noexcept;
};

}  // namespace detail

/// What `sleep` returns: an awaiter that converts to `Coro<void>` where a coroutine is wanted.
///
/// Awaited once, where `sleep` is called or with `std::move`.
///
/// Invariant: `delay_` is `sleeping` exactly while `timer_` is alive; giving way once (a delay of
/// zero) never makes one. What was moved from a Sleep that has been awaited is `used`.
///
/// Cancel safety: the timer is removed; nothing else happened.
class [[nodiscard("sleep does nothing until it is awaited")]] Sleep final {
public:
    explicit Sleep(Duration delay) noexcept
        : delay_(delay < Duration::zero() ? Duration::zero() : delay) {}
    Sleep(Sleep&& other) noexcept : delay_(other.delay_ < Duration::zero() ? used : other.delay_) {}
    Sleep& operator=(Sleep&&) = delete;
    ~Sleep() {
        if (delay_ == sleeping) {
            std::destroy_at(&timer_);
        }
    }

    friend Sleep&& make_awaiter(Sleep&& awaiter) noexcept { return std::move(awaiter); }

    static bool await_ready() noexcept { return false; }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        if (delay_ == Duration::zero()) {
            Driver& driver = Driver::current();
            driver.park_ready(handle.promise());
            detail::thread_state.running_loop->ready_.push_back(driver);
            return;
        }
        const Duration delay = unused_delay();
        detail::SleepTimer::make_room();
        std::construct_at(&timer_)->start(handle, delay);
        delay_ = sleeping;
    }
    static void await_resume() { Driver::throw_if_pending(); }

    Coro<void> as_coro() && { return run(unused_delay()); }
    operator Coro<void>() && { return run(unused_delay()); }  // NOLINT(google-explicit-constructor)

private:
    static constexpr Duration sleeping{-1};
    static constexpr Duration used{-2};
    Duration unused_delay() const {
        if (delay_ < Duration::zero()) [[unlikely]] {
            detail::throw_coro_reused();
        }
        return delay_;
    }
    static Coro<void> run(Duration delay) { co_await Sleep(delay); }

    Duration delay_;
    union {
        detail::SleepTimer timer_;
    };
};

/// Suspends the current task. A delay of zero or less gives way once to everything that is ready.
///
/// Never wakes early. Raises: ValueError for NaN. Cost: no allocation; the timer is part of the
/// awaiting coroutine's frame. Source: S030 to S035.
template <class Rep, class Period>
Sleep sleep(std::chrono::duration<Rep, Period> delay) {
    return Sleep(detail::to_duration(delay));
}

/// Seconds, as in Python.
inline Sleep sleep(double seconds) { return Sleep(detail::from_seconds(seconds)); }

/// Sleeps, then returns `result`.
template <class Rep, class Period, class T>
Coro<T> sleep(std::chrono::duration<Rep, Period> delay, T result) {
    co_await Sleep(detail::to_duration(delay));
    co_return result;
}
template <class T>
Coro<T> sleep(double seconds, T result) {
    co_await Sleep(detail::from_seconds(seconds));
    co_return result;
}

}  // namespace asyncio::inline v0
