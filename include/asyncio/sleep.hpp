// sleep: suspend the current task for a time.
#pragma once

#include <asyncio/waiter.hpp>

namespace asyncio::inline v0 {

/// What `sleep` returns: an awaiter that converts to `Coro<void>` where a coroutine is wanted.
///
/// Cancel safety: the timer is removed; nothing else happened.
class ASYNCIO_API [[nodiscard("sleep does nothing until it is awaited")]] Sleep
    : public Waiter,
      private detail::TimerNode {
public:
    explicit Sleep(Duration delay) noexcept : TimerNode(&Sleep::expire), delay_(delay) {}
    Sleep(Sleep&& other) noexcept : Sleep(other.delay_) {}
    ~Sleep() {
        if (armed()) [[unlikely]] {
            disarm();
        }
    }

    static bool await_ready() noexcept { return false; }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        if (delay_ <= Duration::zero()) {
            Driver& driver = Driver::current();
            driver.park(handle.promise(), nullptr, WaitKind::none);
            driver.wake();
            return;
        }
        suspend(handle, WaitKind::sleep);
        arm();
    }
    static void await_resume() { resumed(); }

    bool cancel(const CancelMessage& message) override;

    Coro<void> as_coro() && { return run(delay_); }
    operator Coro<void>() && { return run(delay_); }  // NOLINT(google-explicit-constructor)

private:
    static Coro<void> run(Duration delay) { co_await Sleep(delay); }
    static void expire(Runnable& self, Turn turn);
    void arm();
    void disarm() noexcept;

    Duration delay_;
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
inline Sleep sleep(double seconds) {
    return Sleep(detail::from_seconds(seconds));
}

/// Sleeps, then returns `result`.
template <class Rep, class Period, class T>
Coro<T> sleep(std::chrono::duration<Rep, Period> delay, T result) {
    co_await Sleep(detail::to_duration(delay));
    co_return result;
}

}  // namespace asyncio::inline v0
