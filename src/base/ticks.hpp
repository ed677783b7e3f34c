// A cheap, coarse measure of elapsed time: the processor's cycle counter. Only for bounds, never
// for deadlines.
#pragma once

#include <asyncio/clock.hpp>

#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace asyncio::inline v0 {
namespace detail {

inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    std::uint64_t value = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// How many ticks pass in `duration`, measured once per process.
std::uint64_t ticks_in(Duration duration) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
