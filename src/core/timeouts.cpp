// Timeout. Follows CPython's asyncio/timeouts.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/timeouts.hpp>

#include "base/exception_type.hpp"

#include <cstdio>

namespace asyncio::inline v0 {

const char* Timeout::name_of(State state) noexcept {
    static constexpr const char* names[] = {"created", "active", "expiring", "expired", "finished"};
    return names[static_cast<std::size_t>(state)];
}

void Timeout::check_active() const {
    if (state_ == State::created) {
        throw RuntimeError("Timeout has not been entered: reschedule it inside its scope");
    }
    if (state_ != State::active) {
        throw RuntimeError(std::string("Cannot change state of ") + name_of(state_) +
                           " Timeout: its deadline has passed or its scope was left");
    }
}

void Timeout::reschedule(std::optional<TimePoint> when) {
    check_active();
    disarm();
    when_ = when;
    if (when) {
        arm(*when, loop_->time());
    }
}

void Timeout::arm(TimePoint when, TimePoint now) {
    if (when <= now) {
        loop_->call_soon(*this);
        return;
    }
    detail::TimerHeap& timers = detail::LoopAccess::timers(*loop_);
    timers.reserve_one();
    timers.push(when, *this);
}

void Timeout::disarm() noexcept {
    if (armed()) {
        detail::LoopAccess::timers(*loop_).remove(*this);
    } else if (linked()) {
        unlink();
    }
}

void Timeout::enter() {
    if (state_ != State::created) {
        throw RuntimeError("Timeout has already been entered: make another one");
    }
    Driver* const driver = detail::thread_state.driver;
    if (driver == nullptr) {
        throw RuntimeError("Timeout should be used inside a task");
    }
    loop_ = &driver->loop();
    target_ = &driver->cancel_target();
    cancelling_at_entry_ = target_->cancelling();
    state_ = State::active;
    if (!when_ && !delay_) {
        return;
    }
    const TimePoint now = loop_->time();
    if (delay_) {
        when_ = detail::later(now, *delay_);
    }
    arm(*when_, now);
}

void Timeout::expire(Runnable& self, Turn turn) {
    auto& timeout = static_cast<Timeout&>(self);
    if (turn == Turn::run) {
        timeout.state_ = State::expiring;
        try {
            detail::cancel_or_tear_out(*timeout.target_, {});
        } catch (const RuntimeError&) {
            timeout.state_ = State::active;  // nobody was interrupted
            throw;
        }
    }
}

void Timeout::abandon() noexcept {
    disarm();
    target_ = nullptr;
    state_ = State::finished;
}

void Timeout::exit(const std::exception_ptr& error) {
    disarm();
    CancelTarget* const target = std::exchange(target_, nullptr);
    if (state_ == State::active) {
        state_ = State::finished;
        return;
    }
    if (state_ != State::expiring) {
        throw RuntimeError("Timeout has not been entered, or was left before");
    }
    state_ = State::expired;
    // More requests than at the entry: somebody else cancels, too, and that matters more.
    const bool ours_alone = target->uncancel() <= cancelling_at_entry_;
    if (ours_alone && error != nullptr &&
        detail::classify(error) == detail::ExceptionClass::cancelled) {
        TimeoutError expired;
        expired.set_cause(error);
        throw expired;
    }
}

std::string repr(const Timeout& timeout) {
    std::string text = std::string("<Timeout [") + Timeout::name_of(timeout.state_) + "]";
    if (timeout.state_ == Timeout::State::active) {
        text += " when=";
        if (timeout.when_) {
            char seconds[32];
            std::snprintf(seconds, sizeof seconds, "%.3f",
                          std::chrono::duration<double>(timeout.when_->time_since_epoch()).count());
            text += seconds;
        } else {
            text += "None";
        }
    }
    return text + ">";
}

}  // namespace asyncio::inline v0
