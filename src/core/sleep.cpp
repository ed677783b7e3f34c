// Waiter and sleep.
#include <asyncio/sleep.hpp>

namespace asyncio::inline v0 {

bool Waiter::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    Driver* const driver = std::exchange(driver_, nullptr);
    driver->deliver(
        std::make_exception_ptr(CancelledError(message, driver->waiting_at())));
    driver->wake();
    return true;
}

void Sleep::arm() {
    EventLoop& loop = driver()->loop();
    detail::LoopAccess::timers(loop).push(loop.time() + delay_, *this);
}

void Sleep::disarm() noexcept {
    detail::LoopAccess::timers(driver()->loop()).remove(*this);
}

bool Sleep::cancel(const CancelMessage& message) {
    if (armed()) {
        disarm();
    }
    return Waiter::cancel(message);
}

void Sleep::expire(Runnable& self, Turn turn) {
    auto& sleep = static_cast<Sleep&>(self);
    // The second of two hops: the timer completes the wait, and the task runs in the iteration
    // after that, as with a future in CPython.
    if (turn == Turn::run && !sleep.done()) {
        sleep.set_result();
    }
}

}  // namespace asyncio::inline v0
