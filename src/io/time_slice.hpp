// How long a thread that computes may keep others from its processor.
#pragma once

namespace asyncio::inline v0 {
namespace detail {

/// Has the kernel give this thread processor time in longer pieces: its share is the same, but a
/// thread with usual ones that wakes, such as a loop's, goes first instead of waiting for the end
/// of a piece. Nothing happens before Linux 6.12, and to a thread that has a real-time policy or
/// longer pieces already.
void take_long_time_slices() noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
