// The processors of a thread.
#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace asyncio::inline v0 {
namespace detail {

std::size_t usable_processors() noexcept {
    cpu_set_t usable;
    if (::sched_getaffinity(0, sizeof usable, &usable) == 0) {
        return static_cast<std::size_t>(CPU_COUNT(&usable));
    }
    return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace detail
}  // namespace asyncio::inline v0
