// The seam between the loop and the signals it handles, which src/io knows how to install.
#pragma once

#include <asyncio/event_loop.hpp>

#include <cstddef>

namespace asyncio::inline v0 {
namespace detail {

// The loop runs it in the iteration after signals came, once for however many there were.
struct SignalReceiver : Runnable, CompositeNode {
    // While there are handlers, something outside the loop may wake it.
    std::size_t handler_count = 0;

protected:
    explicit SignalReceiver(Run run) noexcept : Runnable(run) {}
    ~SignalReceiver() = default;
};

}  // namespace detail
}  // namespace asyncio::inline v0
