// Time as the loop sees it. A clock is injected, so that tests run in virtual time.
#pragma once

#include <asyncio/detail/config.hpp>

#include <chrono>
#include <concepts>

namespace asyncio::inline v0 {

/// Durations inside the library: signed nanoseconds.
using Duration = std::chrono::nanoseconds;
/// Points on the loop's monotonic clock; only differences mean something.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Where a loop reads the time. The default is the system's monotonic clock.
class ASYNCIO_API Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock();

    virtual TimePoint now() = 0;

    /// A virtual clock moves to `when` and returns true; the loop then does not block. A real
    /// clock returns false.
    virtual bool advance_to(TimePoint when);
    /// True if time passes only through `advance_to`.
    virtual bool is_virtual() const noexcept;
};

namespace detail {

// Longer than any program runs, and far enough from the end of the range that adding it to a time
// point cannot overflow.
inline constexpr Duration duration_max = std::chrono::hours(24 * 365 * 100);

/// Seconds to nanoseconds, clamped to plus or minus a hundred years. Raises: ValueError for NaN.
ASYNCIO_API Duration from_seconds(double seconds);

constexpr Duration clamped(Duration delay) noexcept {
    return delay > duration_max ? duration_max : delay < -duration_max ? -duration_max : delay;
}

// The end of time, where a virtual clock can get, if it is before that.
constexpr TimePoint later(TimePoint when, Duration delay) noexcept {
    return delay > Duration::zero() && when > TimePoint::max() - delay ? TimePoint::max()
                                                                       : when + delay;
}

// Converts any duration without overflow: one that exceeds the range of nanoseconds is clamped.
template <class Rep, class Period>
Duration to_duration(std::chrono::duration<Rep, Period> delay) {
    if constexpr (std::floating_point<Rep>) {
        return from_seconds(std::chrono::duration<double>(delay).count());
    } else {
        using Coarse = std::chrono::duration<double>;
        if (Coarse(delay) > Coarse(duration_max)) {
            return duration_max;
        }
        if (Coarse(delay) < Coarse(-duration_max)) {
            return -duration_max;
        }
        return std::chrono::duration_cast<Duration>(delay);
    }
}

constexpr Duration to_duration(Duration delay) noexcept { return clamped(delay); }

}  // namespace detail
}  // namespace asyncio::inline v0
