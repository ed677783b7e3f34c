// Lock, Event, Condition, Semaphore and Barrier. Follow CPython's asyncio/locks.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/log.hpp>

#include <algorithm>

namespace asyncio::inline v0 {

namespace detail {

bool LineWaiter::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    cancelled_ = true;
    on_cancel();
    return Waiter::cancel(message);
}

void report_scope_never_awaited() noexcept {
    log(LogLevel::warning,
        "RuntimeWarning: scoped() was never awaited, so nothing was acquired: write "
        "auto guard = co_await lock.scoped()");
}

void LoopBound::bind_to_running_loop(const char* type_name) {
    if (loop_ == nullptr) {
        loop_ = thread_state.running_loop;
    } else {
        throw RuntimeError(std::string("this ") + type_name +
                           " is bound to a different event loop: tasks of one loop have waited "
                           "for it, so it cannot serve another");
    }
}

}  // namespace detail

namespace {

std::string bracketed(const char* type, std::string state, std::size_t waiting) {
    std::string text = std::string("<") + type + " [" + std::move(state);
    if (waiting > 0) {
        text += ", waiters:" + std::to_string(waiting);
    }
    return text + "]>";
}

}  // namespace

// ---- Lock

void Lock::release() {
    if (!locked_) {
        throw RuntimeError("Lock is not acquired: release() needs an acquire() before");
    }
    unlock();
}

void Lock::wake_up_first() noexcept {
    if (!line_.empty() && !line_.front().done()) {
        line_.front().set_result();
    }
}

Lock::Acquire::~Acquire() {
    if (linked()) {
        give_up();  // the task was destroyed
    }
}

void Lock::Acquire::give_up() noexcept {
    leave();
    if (!lock_->locked_) {
        lock_->wake_up_first();  // this one may have been woken
    }
}

void Lock::Acquire::leave() noexcept {
    unlink();
    if (!cancelled()) {
        --lock_->in_line_;
    }
}

void Lock::Acquire::take_turn() {
    try {
        resumed();
    } catch (...) {
        give_up();
        throw;
    }
    leave();
    lock_->locked_ = true;
}

Coro<void> Lock::Acquire::run(Lock& lock) { co_await lock.acquire(); }

std::string repr(const Lock& lock) {
    return bracketed("Lock", lock.locked_ ? "locked" : "unlocked", lock.in_line_);
}

// ---- Event

void Event::set() noexcept {
    if (set_) {
        return;
    }
    set_ = true;
    while (!line_.empty()) {
        line_.pop_front().set_result();
    }
}

Coro<void> Event::Wait::run(Event& event) { co_await event.wait(); }

Event::Statistics Event::statistics() const noexcept { return {line_.count()}; }

std::string repr(const Event& event) {
    return bracketed("Event", event.set_ ? "set" : "unset", event.line_.count());
}

// ---- Condition

// What a task is woken by. A task that does not use it, because it was cancelled or destroyed,
// passes it on.
class Condition::Notification final : public detail::LineWaiter {
public:
    explicit Notification(Condition& condition) noexcept : condition_(condition) {}
    ~Notification() {
        if (unused_ && !linked()) {
            condition_.wake(1);
        }
    }
    void use() noexcept { unused_ = false; }

    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        condition_.line_.push_back(*this);
        unused_ = true;
        suspend(handle, WaitKind::primitive);
    }
    void await_resume() {
        leave_line();  // a foreign driver may have been interrupted where it stood
        resumed();
    }

private:
    void on_cancel() noexcept override { unlink(); }

    Condition& condition_;
    bool unused_ = false;
};

Coro<void> Condition::wait() {
    if (!locked()) {
        throw RuntimeError("cannot wait on un-acquired lock: acquire() the condition first");
    }
    bind_to_loop("Condition");
    release();
    Notification notification(*this);
    std::exception_ptr error;
    try {
        co_await notification;
    } catch (...) {
        error = std::current_exception();
    }
    // The lock is taken again whatever happens, and the latest cancellation is the one that counts.
    for (bool acquired = false; !acquired;) {
        try {
            co_await lock_->acquire();
            acquired = true;
        } catch (const CancelledError&) {
            error = std::current_exception();
        }
    }
    if (error != nullptr) {
        std::rethrow_exception(std::move(error));
    }
    notification.use();
}

void Condition::notify(std::size_t number) {
    if (!locked()) {
        throw RuntimeError("cannot notify on un-acquired lock: acquire() the condition first");
    }
    wake(number);
}

void Condition::wake(std::size_t number) noexcept {
    for (; number > 0 && !line_.empty(); --number) {
        line_.pop_front().set_result();
    }
}

Condition::Statistics Condition::statistics() const noexcept {
    return {line_.count(), lock_->statistics()};
}

std::string repr(const Condition& condition) {
    return bracketed("Condition", condition.locked() ? "locked" : "unlocked",
                     condition.line_.count());
}

// ---- Semaphore

bool Semaphore::wake_up_next() noexcept {
    if (line_.empty()) {
        return false;
    }
    --value_;
    ++woken_;
    Acquire& next = line_.pop_front();
    next.state_ = Acquire::State::woken;
    next.set_result();
    return true;
}

Semaphore::Acquire::~Acquire() {
    if (state_ == State::woken) {
        // The task was destroyed with a permit on its way to it.
        --semaphore_->woken_;
        ++semaphore_->value_;
        semaphore_->wake_up_all_allowed();
    }
}

void Semaphore::Acquire::take_turn() {
    const bool woken = std::exchange(state_, State::ready) == State::woken;
    if (woken) {
        --semaphore_->woken_;
    }
    try {
        resumed();
    } catch (...) {
        if (woken) {
            ++semaphore_->value_;
        }
        semaphore_->wake_up_all_allowed();
        throw;
    }
    semaphore_->wake_up_all_allowed();
}

Coro<void> Semaphore::Acquire::run(Semaphore& semaphore) { co_await semaphore.acquire(); }

Semaphore::Statistics Semaphore::statistics() const noexcept {
    return {value_, line_.count() + woken_};
}

std::string repr(const Semaphore& semaphore) {
    return bracketed("Semaphore",
                     semaphore.locked() ? "locked"
                                        : "unlocked, value:" + std::to_string(semaphore.value_),
                     semaphore.line_.count() + semaphore.woken_);
}

void BoundedSemaphore::release() {
    if (value() >= bound_) {
        throw ValueError("BoundedSemaphore released too many times: it began with " +
                         std::to_string(bound_) + " permits");
    }
    Semaphore::release();
}

// ---- Barrier

Barrier::Barrier(std::size_t parties) : parties_(parties) {
    if (parties < 1) {
        throw ValueError("parties must be >= 1");
    }
}

Coro<std::size_t> Barrier::wait() {
    const auto guard = co_await condition_.scoped();
    co_await condition_.wait_for(
        [this] { return state_ != State::draining && state_ != State::resetting; });
    if (state_ == State::broken) {
        throw BrokenBarrierError("Barrier aborted: reset() makes it usable again");
    }
    struct Inside {
        explicit Inside(Barrier& entered) noexcept : barrier(entered) { ++barrier.count_; }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;
        ~Inside() {
            if (--barrier.count_ > 0) {
                return;
            }
            if (barrier.state_ == State::resetting || barrier.state_ == State::draining) {
                barrier.state_ = State::filling;
            }
            barrier.condition_.wake(barrier.condition_.line_.count());
        }
        Barrier& barrier;
    };
    const std::size_t index = count_;
    const Inside inside(*this);
    co_await pass(index);
    co_return index;
}

// Waits for the others, or lets them pass.
Coro<void> Barrier::pass(std::size_t index) {
    if (index + 1 == parties_) {
        state_ = State::draining;
        condition_.notify_all();
        co_return;
    }
    co_await condition_.wait_for([this] { return state_ != State::filling; });
    if (state_ == State::broken || state_ == State::resetting) {
        throw BrokenBarrierError("Abort or reset of barrier");
    }
}

Coro<void> Barrier::reset() {
    const auto guard = co_await condition_.scoped();
    state_ = count_ > 0 ? State::resetting : State::filling;
    condition_.notify_all();
}

Coro<void> Barrier::abort() {
    const auto guard = co_await condition_.scoped();
    state_ = State::broken;
    condition_.notify_all();
}

std::string repr(const Barrier& barrier) {
    static constexpr const char* names[] = {"filling", "draining", "resetting", "broken"};
    std::string state = names[static_cast<std::size_t>(barrier.state_)];
    if (barrier.state_ != Barrier::State::broken) {
        state += ", waiters:" + std::to_string(barrier.n_waiting()) + "/" +
                 std::to_string(barrier.parties_);
    }
    return bracketed("Barrier", std::move(state), 0);
}

}  // namespace asyncio::inline v0
