// Waiter and sleep.
#include <asyncio/sleep.hpp>

namespace asyncio::inline v0 {

bool Waiter::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    set_exception(std::make_exception_ptr(CancelledError(message, driver_->waiting_at())));
    return true;
}

void Waiter::set_exception(std::exception_ptr error) noexcept {
    Driver* const driver = std::exchange(driver_, nullptr);
    driver->deliver(std::move(error));
    driver->wake();
}

namespace detail {

void SleepTimer::make_room() { LoopAccess::timers(*thread_state.running_loop).reserve_one(); }

void SleepTimer::arm(Duration delay) noexcept {
    EventLoop& loop = driver()->loop();
    LoopAccess::timers(loop).push(later(loop.time(), delay), *this);
}

void SleepTimer::disarm() noexcept {
    if (armed()) {
        LoopAccess::timers(driver()->loop()).remove(*this);
    } else if (linked()) {
        unlink();
    }
}

bool SleepTimer::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    disarm();
    return Waiter::cancel(message);
}

void SleepTimer::expire(Runnable& self, Turn turn) {
    auto& timer = static_cast<SleepTimer&>(self);
    // The second of two hops: the timer completes the wait, and the task runs in the iteration
    // after that, as with a future in CPython.
    if (turn == Turn::run && !timer.done()) {
        timer.set_result_on(*thread_state.running_loop);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
