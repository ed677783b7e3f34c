// The registry of loops: a locked list.
#include "core/registry.hpp"

#include <algorithm>
#include <asyncio/event_loop.hpp>
#include <mutex>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Never destroyed: loops of static storage may be closed after static destructors began.
struct Registry {
    std::mutex mutex;
    std::vector<EventLoop*> loops;
};

Registry& registry() {
    static auto* const instance = new Registry;
    return *instance;
}

}  // namespace

void register_loop(EventLoop& loop) {
    const std::lock_guard lock(registry().mutex);
    registry().loops.push_back(&loop);
}

void unregister_loop(EventLoop& loop) noexcept {
    const std::lock_guard lock(registry().mutex);
    std::erase(registry().loops, &loop);
}

}  // namespace detail
}  // namespace asyncio::inline v0
