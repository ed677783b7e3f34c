// Calibrates the cycle counter against the monotonic clock.
#include "base/ticks.hpp"

namespace asyncio::inline v0 {
namespace detail {

namespace {

double measure_ticks_per_ns() noexcept {
    using SteadyClock = std::chrono::steady_clock;
    // Long enough that the two clock readings around it do not matter.
    constexpr Duration span = std::chrono::microseconds(20);
    const auto begin = SteadyClock::now();
    const std::uint64_t ticks_begin = ticks();
    auto end = begin;
    while (end - begin < span) {
        end = SteadyClock::now();
    }
    const std::uint64_t ticks_end = ticks();
    return static_cast<double>(ticks_end - ticks_begin) /
           static_cast<double>((end - begin).count());
}

}  // namespace

std::uint64_t ticks_in(Duration duration) noexcept {
    static const double ticks_per_ns = measure_ticks_per_ns();
    return static_cast<std::uint64_t>(static_cast<double>(duration.count()) * ticks_per_ns);
}

}  // namespace detail
}  // namespace asyncio::inline v0
