// Time for tests: stands still while anything runs, and jumps to the next deadline when nothing
// else can happen. A test of an hour's timeout takes no time and always takes the same path.
#pragma once

#include <asyncio/event_loop.hpp>

#include <algorithm>

namespace asyncio::inline v0 {
namespace testing {

/// A clock that the loop moves. It starts at zero.
///
///     asyncio::testing::VirtualClock clock;
///     auto loop = asyncio::new_event_loop({.clock = &clock});
///
/// The loop jumps only when nothing is ready, no watched descriptor is ready, and no external work
/// is announced. If nothing could ever happen, it throws DeadlockError instead of blocking.
class VirtualClock final : public Clock {
public:
    TimePoint now() override { return now_; }
    bool advance_to(TimePoint when) override {
        now_ = std::max(now_, when);
        return true;
    }
    bool is_virtual() const noexcept override { return true; }

    /// Seconds since the start.
    double seconds() const {
        return std::chrono::duration<double>(now_.time_since_epoch()).count();
    }

private:
    TimePoint now_{};
};

}  // namespace testing
}  // namespace asyncio::inline v0
