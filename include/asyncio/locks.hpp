// Lock, Event, Condition, Semaphore, BoundedSemaphore and Barrier: coordination between the tasks
// of one loop. None of them is for threads.
#pragma once

#include <asyncio/waiter.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace asyncio::inline v0 {

namespace detail {

// A task in line for something.
//
// Invariant: linked from the suspension at the latest until it resumes.
class ASYNCIO_API LineWaiter : public Waiter, public ListNode {
public:
    static bool await_ready() noexcept { return false; }
    bool cancel(const CancelMessage& message) override;

protected:
    LineWaiter() noexcept = default;
    ~LineWaiter() = default;

    // The task that waits was cancelled while it waited, not after it was woken.
    bool cancelled() const noexcept { return cancelled_; }
    void leave_line() noexcept {
        if (linked()) {
            unlink();
        }
    }

private:
    // Called when the waiter was cancelled, before its task resumes.
    virtual void on_cancel() noexcept {}

    bool cancelled_ = false;
};

// What remembers the loop of the first task that had to wait (LoopBoundMixin).
class ASYNCIO_API LoopBound {
protected:
    // Raises: RuntimeError if an earlier one belongs to another loop.
    void bind_to_loop(const char* type_name) {
        if (loop_ != thread_state.running_loop) [[unlikely]] {
            bind_to_running_loop(type_name);
        }
    }

private:
    void bind_to_running_loop(const char* type_name);

    const EventLoop* loop_ = nullptr;
};

}  // namespace detail

/// Releases what `scoped()` acquired.
///
/// If its coroutine is destroyed while a Condition has given the lock away, there is nothing to
/// release, and it does nothing.
template <class Primitive>
class [[nodiscard("the guard releases what it holds when it is destroyed")]] Guard {
public:
    explicit Guard(Primitive& acquired) noexcept : primitive_(&acquired) {}
    Guard(Guard&& other) noexcept : primitive_(std::exchange(other.primitive_, nullptr)) {}
    Guard& operator=(Guard other) noexcept {
        std::swap(primitive_, other.primitive_);
        return *this;
    }
    ~Guard() {
        if (primitive_ != nullptr) {
            primitive_->release_guarded();
        }
    }
    /// Releases it now.
    void release() {
        if (primitive_ != nullptr) {
            std::exchange(primitive_, nullptr)->release();
        }
    }

private:
    Primitive* primitive_;
};

namespace detail {

// A guard that was never there is the one mistake here that the compiler does not see.
ASYNCIO_API void report_scope_never_awaited() noexcept;

// Acquires, and gives a guard.
template <class Primitive>
class [[nodiscard("nothing is acquired until this is awaited")]] Scoped final {
public:
    explicit Scoped(Primitive& primitive) noexcept : primitive_(primitive), acquire_(primitive) {}
    ~Scoped() {
        if (!used_) [[unlikely]] {
            report_scope_never_awaited();
        }
    }

    friend Scoped&& make_awaiter(Scoped&& scoped) noexcept { return std::move(scoped); }
    bool await_ready() noexcept {
        used_ = true;
        return acquire_.await_ready();
    }
    template <std::derived_from<Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        acquire_.await_suspend(handle);
    }
    Guard<Primitive> await_resume() {
        acquire_.await_resume();
        return Guard<Primitive>(primitive_);
    }
    Coro<Guard<Primitive>> as_coro() && {
        used_ = true;
        return run(primitive_);
    }
    operator Coro<Guard<Primitive>>() && {  // NOLINT(google-explicit-constructor)
        return std::move(*this).as_coro();
    }

private:
    static Coro<Guard<Primitive>> run(Primitive& primitive) {
        co_return co_await Scoped(primitive);
    }

    Primitive& primitive_;
    typename Primitive::Acquire acquire_;
    bool used_ = false;
};

}  // namespace detail

/// Mutual exclusion. Whoever waits longest gets it next; nobody overtakes those in line. Not
/// re-entrant, and any task may release it.
///
///     auto guard = co_await lock.scoped();
///
/// Invariants:
///  1. `line_` holds the tasks that wait or were woken, in order, until they resume.
///  2. `in_line_` counts those of them that were not cancelled while they waited.
///
/// Thread safety: loop thread only. Must outlive those who wait.
/// Cancel safety: a cancelled `acquire` holds nothing, and passes its wake-up on.
/// Source: S220 to S223.
class ASYNCIO_API Lock : private detail::LoopBound {
public:
    class Acquire;
    struct Statistics {
        bool locked = false;
        std::size_t tasks_waiting = 0;
    };

    Lock() noexcept = default;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() = default;

    /// Waits until the lock is free, and takes it.
    Acquire acquire() noexcept;
    /// As `acquire`; gives a Guard that releases it.
    detail::Scoped<Lock> scoped() noexcept;
    /// Raises: RuntimeError if it is not locked.
    void release();
    bool locked() const noexcept { return locked_; }
    Statistics statistics() const noexcept { return {locked_, in_line_}; }

    /// `<Lock [locked, waiters:2]>`.
    friend ASYNCIO_API std::string repr(const Lock& lock);

private:
    template <class Primitive>
    friend class Guard;

    void release_guarded() noexcept {
        if (locked_) {
            unlock();
        }
    }
    void unlock() noexcept {
        locked_ = false;
        if (!line_.empty()) [[unlikely]] {
            wake_up_first();
        }
    }
    void wake_up_first() noexcept;

    detail::IntrusiveList<detail::LineWaiter> line_;
    std::size_t in_line_ = 0;
    bool locked_ = false;
};

/// What `Lock::acquire` returns.
class ASYNCIO_API [[nodiscard("a lock is acquired when this is awaited")]] Lock::Acquire final
    : public detail::LineWaiter {
public:
    explicit Acquire(Lock& lock) noexcept : lock_(&lock) {}
    ~Acquire();

    bool await_ready() const noexcept {
        if (lock_->locked_ || lock_->in_line_ > 0) {
            return false;
        }
        lock_->locked_ = true;
        return true;
    }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        lock_->bind_to_loop("Lock");
        lock_->line_.push_back(*this);
        ++lock_->in_line_;
        suspend(handle, WaitKind::primitive);
    }
    void await_resume() {
        if (linked()) [[unlikely]] {
            take_turn();
        }
    }

    Coro<void> as_coro() && { return run(*lock_); }
    operator Coro<void>() && { return run(*lock_); }  // NOLINT(google-explicit-constructor)

private:
    friend class Lock;
    static Coro<void> run(Lock& lock);
    void on_cancel() noexcept override { --lock_->in_line_; }
    void leave() noexcept;
    void give_up() noexcept;
    void take_turn();

    Lock* lock_;
};

inline Lock::Acquire Lock::acquire() noexcept { return Acquire(*this); }
inline detail::Scoped<Lock> Lock::scoped() noexcept { return detail::Scoped<Lock>(*this); }

/// A flag that tasks wait for.
///
/// Invariant: `line_` holds the tasks that wait; those that were woken have left it.
///
/// Thread safety: loop thread only (`call_soon_threadsafe` for others). Must outlive those who
/// wait. Cancel safety: a cancelled `wait` changes nothing. Source: S224, S225.
class ASYNCIO_API Event : private detail::LoopBound {
public:
    class Wait;
    struct Statistics {
        std::size_t tasks_waiting = 0;
    };

    Event() noexcept = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() = default;

    /// Wakes everybody who waits, in order; also if `clear` follows before they run.
    void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }
    /// Waits until it is set. Goes on at once if it is.
    Wait wait() noexcept;
    Statistics statistics() const noexcept;

    /// `<Event [unset, waiters:2]>`.
    friend ASYNCIO_API std::string repr(const Event& event);

private:
    detail::IntrusiveList<detail::LineWaiter> line_;
    bool set_ = false;
};

/// What `Event::wait` returns.
class ASYNCIO_API [[nodiscard("wait does nothing until it is awaited")]] Event::Wait final
    : public detail::LineWaiter {
public:
    explicit Wait(Event& event) noexcept : event_(&event) {}

    bool await_ready() const noexcept { return event_->set_; }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        event_->bind_to_loop("Event");
        event_->line_.push_back(*this);
        suspend(handle, WaitKind::primitive);
    }
    static void await_resume() { resumed(); }

    Coro<void> as_coro() && { return run(*event_); }
    operator Coro<void>() && { return run(*event_); }  // NOLINT(google-explicit-constructor)

private:
    static Coro<void> run(Event& event);
    void on_cancel() noexcept override { unlink(); }

    Event* event_;
};

inline Event::Wait Event::wait() noexcept { return Wait(*this); }

/// Lets tasks that hold a lock wait for what others tell them.
///
///     auto guard = co_await condition.scoped();
///     co_await condition.wait_for([&] { return !items.empty(); });
///
/// Thread safety: loop thread only. Must outlive those who wait.
/// Cancel safety: `wait` holds the lock again when it throws, and passes a notification that it
/// cannot use to another task. Source: S226 to S233.
class ASYNCIO_API Condition : private detail::LoopBound {
public:
    struct Statistics {
        std::size_t tasks_waiting = 0;
        Lock::Statistics lock;
    };

    /// With a lock of its own.
    Condition() noexcept : lock_(&own_lock_) {}
    /// With a lock that is shared; it must outlive the condition.
    explicit Condition(Lock& lock) noexcept : lock_(&lock) {}
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;
    ~Condition() = default;

    Lock::Acquire acquire() noexcept { return lock_->acquire(); }
    detail::Scoped<Lock> scoped() noexcept { return lock_->scoped(); }
    void release() { lock_->release(); }
    bool locked() const noexcept { return lock_->locked(); }

    /// Releases the lock, waits for a notification, and takes the lock again, also when it throws.
    /// May return without a notification. Raises: RuntimeError if the lock is not held.
    Coro<void> wait();
    /// Waits until `predicate()` is true, and returns what it returned.
    template <std::invocable F>
    Coro<std::invoke_result_t<F&>> wait_for(F predicate) {
        auto result = std::invoke(predicate);
        while (!result) {
            co_await wait();
            result = std::invoke(predicate);
        }
        co_return result;
    }
    /// Wakes at most `count` of those who wait; they go on once the lock is free. Raises:
    /// RuntimeError if the lock is not held.
    void notify(std::size_t count = 1);
    void notify_all() { notify(static_cast<std::size_t>(-1)); }
    Statistics statistics() const noexcept;

    /// `<Condition [locked, waiters:2]>`.
    friend ASYNCIO_API std::string repr(const Condition& condition);

private:
    friend class Barrier;  // wakes also when it was torn down, and nobody holds the lock
    class Notification;
    void wake(std::size_t count) noexcept;

    Lock own_lock_;
    Lock* lock_;
    detail::IntrusiveList<detail::LineWaiter> line_;
};

/// A number of permits. Whoever waits longest gets the next one; nobody overtakes those in line.
///
///     auto permit = co_await semaphore.scoped();
///
/// Invariants:
///  1. `line_` holds the tasks that wait; those that were woken or cancelled have left it.
///  2. `woken_` counts the tasks that own a permit and have not resumed yet.
///
/// Thread safety: loop thread only. Must outlive those who wait.
/// Cancel safety: a cancelled `acquire` holds nothing; a permit that it got is passed on.
/// Source: S234 to S238.
class ASYNCIO_API Semaphore : private detail::LoopBound {
public:
    class Acquire;
    struct Statistics {
        std::size_t value = 0;
        std::size_t tasks_waiting = 0;
    };

    explicit Semaphore(std::size_t value = 1) noexcept : value_(value) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;
    ~Semaphore() = default;

    /// Waits for a permit, and takes it.
    Acquire acquire() noexcept;
    /// As `acquire`; gives a Guard that releases the permit.
    detail::Scoped<Semaphore> scoped() noexcept;
    /// Gives a permit back, or adds one.
    void release() noexcept {
        ++value_;
        if (!line_.empty()) [[unlikely]] {
            wake_up_next();
        }
    }
    /// True if `acquire` would have to wait.
    bool locked() const noexcept { return value_ == 0 || woken_ > 0 || !line_.empty(); }
    Statistics statistics() const noexcept;

    /// `<Semaphore [unlocked, value:1]>`.
    friend ASYNCIO_API std::string repr(const Semaphore& semaphore);

protected:
    std::size_t value() const noexcept { return value_; }

private:
    template <class Primitive>
    friend class Guard;

    void release_guarded() noexcept { release(); }
    bool wake_up_next() noexcept;
    // Permits may have come while somebody was ahead.
    void wake_up_all_allowed() noexcept {
        while (value_ > 0 && wake_up_next()) {
        }
    }

    detail::IntrusiveList<Acquire, detail::LineWaiter> line_;
    std::size_t value_;
    std::size_t woken_ = 0;
};

/// What `Semaphore::acquire` returns.
class ASYNCIO_API [[nodiscard("a permit is taken when this is awaited")]] Semaphore::Acquire final
    : public detail::LineWaiter {
public:
    explicit Acquire(Semaphore& semaphore) noexcept : semaphore_(&semaphore) {}
    ~Acquire();

    bool await_ready() const noexcept {
        if (semaphore_->locked()) {
            return false;
        }
        --semaphore_->value_;
        return true;
    }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        semaphore_->bind_to_loop("Semaphore");
        semaphore_->line_.push_back(*this);
        state_ = State::waiting;
        suspend(handle, WaitKind::primitive);
    }
    void await_resume() {
        if (state_ != State::ready) [[unlikely]] {
            take_turn();
        }
    }

    Coro<void> as_coro() && { return run(*semaphore_); }
    operator Coro<void>() && { return run(*semaphore_); }  // NOLINT(google-explicit-constructor)

private:
    friend class Semaphore;
    enum class State : std::uint8_t { ready, waiting, woken, cancelled };

    static Coro<void> run(Semaphore& semaphore);
    void on_cancel() noexcept override {
        unlink();
        state_ = State::cancelled;
    }
    void take_turn();

    Semaphore* semaphore_;
    State state_ = State::ready;
};

inline Semaphore::Acquire Semaphore::acquire() noexcept { return Acquire(*this); }
inline detail::Scoped<Semaphore> Semaphore::scoped() noexcept {
    return detail::Scoped<Semaphore>(*this);
}

/// A Semaphore that notices when more permits are given back than were taken.
class ASYNCIO_API BoundedSemaphore : public Semaphore {
public:
    explicit BoundedSemaphore(std::size_t value = 1) noexcept : Semaphore(value), bound_(value) {}
    /// Raises: ValueError above the initial value.
    void release();

private:
    std::size_t bound_;
};

/// A place where a fixed number of tasks wait for each other, again and again.
///
/// Invariants:
///  1. `count_` tasks are inside `wait`.
///  2. While draining or resetting, those inside leave and newcomers wait.
///
/// Thread safety: loop thread only. Must outlive those who wait.
/// Cancel safety: a task that is cancelled leaves; the others go on waiting. Source: S239 to S242.
class ASYNCIO_API Barrier {
public:
    /// Raises: ValueError for 0.
    explicit Barrier(std::size_t parties);
    Barrier(const Barrier&) = delete;
    Barrier& operator=(const Barrier&) = delete;
    ~Barrier() = default;

    /// Waits until all parties have come. Returns a number from 0 on, another one for each of them.
    /// Raises: BrokenBarrierError after `abort`, or on `reset`.
    Coro<std::size_t> wait();
    /// Throws those out who wait; the barrier is as new then.
    Coro<void> reset();
    /// Throws out those who wait and those who come later, until `reset`.
    Coro<void> abort();

    std::size_t parties() const noexcept { return parties_; }
    /// How many wait.
    std::size_t n_waiting() const noexcept { return state_ == State::filling ? count_ : 0; }
    bool broken() const noexcept { return state_ == State::broken; }

    /// `<Barrier [filling, waiters:1/3]>`.
    friend ASYNCIO_API std::string repr(const Barrier& barrier);

private:
    enum class State : std::uint8_t { filling, draining, resetting, broken };

    Coro<void> pass(std::size_t index);

    Condition condition_;
    std::size_t parties_;
    std::size_t count_ = 0;
    State state_ = State::filling;
};

}  // namespace asyncio::inline v0
