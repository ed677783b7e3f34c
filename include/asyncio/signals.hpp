// signals: the signals of the process, one after the other.
#pragma once

#include <asyncio/async_generator.hpp>

#include <vector>

namespace asyncio::inline v0 {

/// Yields the numbers of the signals that come from this call on. Without end: whoever has seen
/// enough drops it, and the signals have their default disposition again.
///
///     auto endings = asyncio::signals({SIGINT, SIGTERM});
///     const auto number = co_await endings.next();
///
/// It adds a handler for each of them to the running loop, in the place of an earlier one. Raises:
/// RuntimeError outside of a loop, and as `EventLoop::add_signal_handler`; then none is handled.
/// Cancel safety: a `next` that is cancelled ends it, as every generator. Not in Python.
ASYNCIO_API AsyncGenerator<int> signals(const std::vector<int>& numbers);

}  // namespace asyncio::inline v0
