#include "exec/fork_count.hpp"

#include <pthread.h>

#include <atomic>

namespace asyncio::inline v0 {
namespace detail {

namespace {

constinit std::atomic<std::uint32_t> forks{0};

}  // namespace

std::uint32_t fork_count() noexcept {
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
    return forks.load(std::memory_order_relaxed);
}

}  // namespace detail
}  // namespace asyncio::inline v0
