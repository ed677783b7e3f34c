// timeout: a deadline for what a coroutine does in a scope.
#pragma once

#include <asyncio/task.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>

namespace asyncio::inline v0 {

namespace detail {
class TimeoutScope;
}  // namespace detail

/// The deadline of a `timeout` scope. The body gets it, to look at it and to move it.
///
/// Invariants:
///  1. The timer is armed, or queued if it is due, exactly while the scope is active and has a
///     deadline that was not refused.
///  2. `target_` is set from `enter` to `exit`, or to the destruction of the scope's coroutine.
///
/// Thread safety: loop thread only. Source: S148 to S161.
class ASYNCIO_API Timeout : private detail::TimerNode {
public:
    /// A scope that ends at `when` on the loop's clock; without a value it never does.
    explicit Timeout(std::optional<TimePoint> when) noexcept
        : TimerNode(&Timeout::expire), when_(when) {}
    /// A scope that ends `delay` after it is entered; it has no deadline before.
    explicit Timeout(Duration delay) noexcept
        : TimerNode(&Timeout::expire), delay_(detail::clamped(delay)) {}
    Timeout(const Timeout&) = delete;
    Timeout& operator=(const Timeout&) = delete;
    ~Timeout() { disarm(); }

    /// The deadline, if there is one.
    std::optional<TimePoint> when() const noexcept { return when_; }
    /// Moves, arms or (without a value) disarms the deadline; one that has passed is due at once.
    /// Raises: RuntimeError unless the scope is active.
    void reschedule(std::optional<TimePoint> when);
    /// True once the deadline has interrupted the scope.
    bool expired() const noexcept { return state_ == State::expiring || state_ == State::expired; }

    /// Begins the scope by hand; `exit(error)` must follow, with what left the body, if anything.
    /// Raises: RuntimeError if it was entered before, or outside a coroutine.
    void enter();
    /// Ends it. Throws TimeoutError if `error` is the CancelledError of this deadline and nobody
    /// else has asked for a cancellation; its `cause()` is `error`.
    void exit(const std::exception_ptr& error);

    /// `<Timeout [active] when=12.5>`.
    friend ASYNCIO_API std::string repr(const Timeout& timeout);

private:
    friend class detail::TimeoutScope;
    enum class State : std::uint8_t { created, active, expiring, expired, finished };

    static const char* name_of(State state) noexcept;
    void check_active() const;
    void arm(TimePoint when, TimePoint now);
    void disarm() noexcept;
    void abandon() noexcept;
    static void expire(Runnable& self, Turn turn);

    std::optional<TimePoint> when_;
    std::optional<Duration> delay_;
    EventLoop* loop_ = nullptr;
    CancelTarget* target_ = nullptr;
    int cancelling_at_entry_ = 0;
    State state_ = State::created;
};

namespace detail {

// Ends a scope whose coroutine is destroyed inside.
class TimeoutScope {
public:
    explicit TimeoutScope(Timeout& entered) noexcept : timeout_(entered) {}
    TimeoutScope(const TimeoutScope&) = delete;
    TimeoutScope& operator=(const TimeoutScope&) = delete;
    ~TimeoutScope() {
        if (timeout_.target_ != nullptr) [[unlikely]] {
            timeout_.abandon();
        }
    }

private:
    Timeout& timeout_;
};

template <class F>
concept TimeoutBody =
    (std::invocable<F&, Timeout&> && CoroLike<std::invoke_result_t<F&, Timeout&>>) ||
    (std::invocable<F&> && CoroLike<std::invoke_result_t<F&>>);

template <class F>
auto call_body(F& body, Timeout& scope) {
    static_assert(
        TimeoutBody<F>,
        "timeout takes a body: a function, with or without a parameter Timeout&, that "
        "returns a coroutine, such as [&] { return work(); }; wait_for takes a coroutine");
    if constexpr (std::invocable<F&, Timeout&>) {
        return to_coro(std::invoke(body, scope));
    } else {
        return to_coro(std::invoke(body));
    }
}

template <class F>
using timeout_value_t =
    coro_value_t<decltype(call_body(std::declval<F&>(), std::declval<Timeout&>()))>;

// A scope around the body. `Given` is a reference to the scope, or what the scope is made from.
template <class Given, TimeoutBody Body>
Coro<timeout_value_t<Body>> run_in_timeout(Given given, Body body) {
    using T = timeout_value_t<Body>;
    std::conditional_t<std::is_reference_v<Given>, Given, Timeout> scope(given);
    scope.enter();
    const TimeoutScope entered(scope);
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await call_body(body, scope);
            scope.exit(nullptr);
            co_return;
        } else {
            T result = co_await call_body(body, scope);
            scope.exit(nullptr);
            co_return std::forward<T>(result);
        }
    } catch (...) {
        error = std::current_exception();
    }
    scope.exit(error);
    std::rethrow_exception(std::move(error));
}

}  // namespace detail

/// Runs `body(scope)` or `body()` in the current task, with a deadline:
///
///     co_await asyncio::timeout(5s, [&](asyncio::Timeout& scope) -> asyncio::Coro<> {
///         co_await connect();
///         scope.reschedule(std::nullopt);  // from here on it may take as long as it likes
///         co_await transfer();
///     });
///
/// At the deadline the body gets a CancelledError where it waits, and the scope throws a
/// TimeoutError if that leaves it. A body that does not wait is not interrupted; one that catches
/// the CancelledError and ends normally returns its value, and `scope.expired()` tells. Of nested
/// scopes that expire together the outermost throws. Owns the callable.
///
/// This form takes a Timeout that outlives the scope; it is used once.
///
/// Cancel safety: a cancellation from outside leaves the scope as CancelledError even if the
/// deadline passes at the same time. Cost: a timer. Source: S148 to S161.
template <detail::TimeoutBody Body>
Coro<detail::timeout_value_t<Body>> timeout(Timeout& scope, Body body) {
    return detail::run_in_timeout<Timeout&>(scope, std::move(body));
}

/// Until a point in time on the loop's clock; without a value there is no deadline.
template <detail::TimeoutBody Body>
Coro<detail::timeout_value_t<Body>> timeout_at(std::optional<TimePoint> when, Body body) {
    return detail::run_in_timeout(when, std::move(body));
}

/// For at most `delay` from where it is awaited. Raises also: ValueError for NaN.
template <class Rep, class Period, detail::TimeoutBody Body>
Coro<detail::timeout_value_t<Body>> timeout(std::chrono::duration<Rep, Period> delay, Body body) {
    return detail::run_in_timeout(detail::to_duration(delay), std::move(body));
}
/// Seconds, as in Python.
template <detail::TimeoutBody Body>
Coro<detail::timeout_value_t<Body>> timeout(double seconds, Body body) {
    return detail::run_in_timeout(detail::from_seconds(seconds), std::move(body));
}
/// Without a deadline; `reschedule` can set one.
template <detail::TimeoutBody Body>
Coro<detail::timeout_value_t<Body>> timeout(std::nullopt_t, Body body) {
    return timeout_at(std::nullopt, std::move(body));
}

}  // namespace asyncio::inline v0
