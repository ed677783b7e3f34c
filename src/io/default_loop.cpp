// new_event_loop: a loop over epoll unless the caller brings a poller.
#include <asyncio/event_loop.hpp>

#include "io/epoll_poller.hpp"
#include "io/signals.hpp"

#include <pthread.h>

namespace asyncio::inline v0 {

namespace {

// A forked child shares its parent's descriptors, so it must not go on running the parent's loop:
// it has no running loop until it runs one of its own, and signals do not reach the parent's.
void forget_parent() noexcept {
    detail::thread_state.running_loop = nullptr;
    detail::SignalHandlers::abandon_all();
}

}  // namespace

EventLoopPtr new_event_loop(LoopOptions options) {
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, &forget_parent);
    if (options.poller == nullptr) {
        options.poller = std::make_unique<detail::EpollPoller>();
    }
    return EventLoopPtr(new EventLoop(std::move(options)));
}

}  // namespace asyncio::inline v0
