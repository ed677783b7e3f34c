// What EEVDF, the kernel's scheduler, calls a slice: the thread with the shorter one preempts.
#include "io/time_slice.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The first version of the kernel's sched_attr; its header and the C library's exclude each other.
struct Attributes {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns;
    std::uint64_t deadline_ns;
    std::uint64_t period_ns;
};

// Longer than the kernel's own, which are 2.8 ms at most.
constexpr std::uint64_t slice_ns = 4'000'000;

}  // namespace

void take_long_time_slices() noexcept {
    Attributes attributes{};
    if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0U) == 0 &&
        attributes.policy == SCHED_OTHER && attributes.runtime_ns < slice_ns) {
        attributes.runtime_ns = slice_ns;
        ::syscall(SYS_sched_setattr, 0, &attributes, 0U);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
