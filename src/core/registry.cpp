// The registry of loops: a singly linked list through the loops themselves, locked for writers.
// Readers are other processes; they check what they read.
#include "core/registry.hpp"

#include <asyncio/task.hpp>

#include <mutex>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Never destroyed: loops of static storage may be closed after static destructors began.
std::mutex& registry_mutex() {
    static auto* const mutex = new std::mutex;
    return *mutex;
}

}  // namespace

void register_loop(EventLoop& loop) {
    const std::lock_guard lock(registry_mutex());
    LoopAccess::next(loop) = first_loop().load(std::memory_order_relaxed);
    first_loop().store(&loop, std::memory_order_release);
}

void unregister_loop(EventLoop& loop) noexcept {
    const std::lock_guard lock(registry_mutex());
    EventLoop* const first = first_loop().load(std::memory_order_relaxed);
    if (first == &loop) {
        first_loop().store(LoopAccess::next(loop), std::memory_order_release);
        return;
    }
    for (EventLoop* before = first; before != nullptr; before = LoopAccess::next(*before)) {
        if (LoopAccess::next(*before) == &loop) {
            LoopAccess::next(*before) = LoopAccess::next(loop);
            return;
        }
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
