// The loops of this process, in a list that tools read from outside.
#pragma once

#include <string>

namespace asyncio::inline v0 {

class EventLoop;
class Runnable;

namespace detail {

void register_loop(EventLoop& loop);
void unregister_loop(EventLoop& loop) noexcept;

// How debug mode names what ran too long: a task's or handle's repr.
std::string describe_runnable(Runnable& runnable);

}  // namespace detail
}  // namespace asyncio::inline v0
