// Clocks, and durations given as seconds.
#include <asyncio/clock.hpp>
#include <asyncio/exceptions.hpp>

#include <cmath>

namespace asyncio::inline v0 {

Clock::~Clock() = default;

bool Clock::advance_to(TimePoint) { return false; }

bool Clock::is_virtual() const noexcept { return false; }

namespace detail {

Duration from_seconds(double seconds) {
    if (std::isnan(seconds)) {
        throw ValueError("a delay must be a number: got NaN");
    }
    constexpr double limit = std::chrono::duration<double>(duration_max).count();
    if (seconds >= limit) {
        return duration_max;
    }
    if (seconds <= -limit) {
        return -duration_max;
    }
    // Rounded up: a timer may be late, never early.
    return Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9)));
}

}  // namespace detail
}  // namespace asyncio::inline v0
