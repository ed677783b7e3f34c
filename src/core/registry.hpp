// The loops of this process, in a list that tools read from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace asyncio::inline v0 {

class EventLoop;
class Runnable;

namespace detail {

void register_loop(EventLoop& loop);
void unregister_loop(EventLoop& loop) noexcept;

// How debug mode names what ran too long: a task's or handle's repr.
std::string describe_runnable(Runnable& runnable);

// What src/inspect implements for the core.

// The head of the list. It lives in the descriptor that tools look for, so that no program that
// has a loop can be linked without the descriptor.
std::atomic<EventLoop*>& first_loop() noexcept;
// What the kernel calls the calling thread.
std::int32_t kernel_thread_id() noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
