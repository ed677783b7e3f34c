// new_event_loop: a loop over epoll unless the caller brings a poller.
#include <asyncio/event_loop.hpp>

#include "io/epoll_poller.hpp"

namespace asyncio::inline v0 {

EventLoopPtr new_event_loop(LoopOptions options) {
    if (options.poller == nullptr) {
        options.poller = std::make_unique<detail::EpollPoller>();
    }
    return EventLoopPtr(new EventLoop(std::move(options)));
}

}  // namespace asyncio::inline v0
