// The contract between awaiters and whatever steps a chain of coroutines. A `Task` is one driver;
// a runtime of another language can be another. Awaiters know only this.
#pragma once

#include <asyncio/context.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/runnable.hpp>

#include <coroutine>
#include <source_location>

namespace asyncio::inline v0 {

/// Something that takes requests to cancel: a future or task, what a driver waits for, or the
/// object that a scope (a timeout, a task group) interrupts.
class ASYNCIO_API CancelTarget {
public:
    /// Returns true if the request was accepted and will be seen by somebody.
    virtual bool cancel(const CancelMessage& message) = 0;
    /// Number of requests that were not withdrawn (`Task.cancelling()`).
    virtual int cancelling() const noexcept;
    /// Withdraws one request; returns how many remain.
    virtual int uncancel() noexcept;

protected:
    CancelTarget() = default;
    CancelTarget(const CancelTarget&) = default;
    CancelTarget& operator=(const CancelTarget&) = default;
    ~CancelTarget() = default;
};

/// What kind of thing a suspended driver waits for, for tools that look from outside.
enum class WaitKind : std::uint8_t {
    none,       ///< ready to run, or running
    future,     ///< a Future that somebody else completes
    task,       ///< another Task
    gathering,  ///< a gather()
    sleep,      ///< a timer
    io,         ///< a file descriptor
    primitive,  ///< a lock, an event, a queue ...
};

namespace detail {

struct FinalAwaiter;
struct Frame;
struct YieldAwaiter;
void transfer_by_trampoline(Frame& frame) noexcept;
class FutureState;
struct CancelWalk;
struct InspectLayout;

// Whether a driver's CancelTarget is a FutureState.
constexpr bool awaits_future(WaitKind kind) noexcept {
    return kind == WaitKind::future || kind == WaitKind::task || kind == WaitKind::gathering;
}

// Where a coroutine delivers what it ends with: its caller's awaiter, or the driver's slot. The
// typed part, Slot<T>, follows.
struct Receiver {
    std::exception_ptr error;
};

// The base of every coroutine's promise, and the node of the await chain that tools read from
// outside. Field order is part of the exported layout (see src/inspect).
//
// Invariants:
//  1. `caller` is the coroutine that awaits this one; null for the outermost of a driver.
//  2. `at` is the latest co_await of this coroutine; `function` is where it is defined.
//  3. The promise starts 16 bytes into its coroutine's frame, so a Frame is enough to resume it.
struct Frame {
    Frame() noexcept = default;
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

    Frame* caller = nullptr;
    Receiver* receiver = nullptr;
    std::source_location function;
    std::source_location at;

    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<Frame>::from_promise(*this);
    }
};

// Destroys the suspended coroutines from `leaf` outwards, innermost first and without recursion.
ASYNCIO_API void destroy_chain(Frame* leaf) noexcept;

}  // namespace detail

/// Steps one chain of coroutines: the innermost suspended one is resumed, and runs until the chain
/// suspends again or its outermost coroutine ends.
///
/// Invariants:
///  1. `leaf_` is the innermost suspended coroutine; while running it is one of the chain that has
///     not ended, after the end the outermost one.
///  2. `waiting_` is what `leaf_` waits for, null while running, ready or not started.
///  3. The driver is scheduled, or linked into what it waits for, or running, or ended; never two
///     of these.
///
/// Thread safety: loop thread only.
class ASYNCIO_API Driver : public Runnable {
public:
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    /// The driver whose coroutine is running. Requires: called from inside a coroutine.
    static Driver& current() noexcept { return *detail::thread_state.driver; }

    /// The loop that this driver's coroutine runs on.
    EventLoop& loop() const noexcept;

    /// Called by an awaiter that suspends `leaf`: from now on the driver waits for `target`, which
    /// calls `wake()` once, or links the driver as a Runnable where it will be scheduled.
    void park(detail::Frame& leaf, CancelTarget* target, WaitKind kind) noexcept {
        leaf_ = &leaf;
        waiting_ = target;
        wait_kind_ = kind;
    }

    /// As `park`, for a driver that waits for nothing but its next turn.
    void park_ready(detail::Frame& leaf) noexcept {
        ASYNCIO_ASSERT(waiting_ == nullptr);
        leaf_ = &leaf;
    }

    /// Called by a leaf that stood in for a coroutine, when it is resumed: `frame` is the leaf
    /// again, and goes on.
    void pass_to(detail::Frame& frame) noexcept {
        leaf_ = &frame;
        frame.handle().resume();
    }

    /// Schedules the next step, behind everything that is ready. Never runs anything itself.
    void wake() noexcept;

    /// Suspends `leaf` and makes its `co_await` throw `error` in the next step.
    void park_with_error(detail::Frame& leaf, std::exception_ptr error) noexcept;

    /// Called by every awaiter when it resumes: throws what the running driver was told to deliver.
    static void throw_if_pending() {
        if (detail::thread_state.error_pending) [[unlikely]] {
            current().throw_pending();
        }
    }

    /// Whom scopes interrupt that run inside this driver's coroutine.
    CancelTarget& cancel_target() noexcept;

    bool is_task() const noexcept { return (flags_ & flag_task) != 0; }

    /// What the suspended coroutine waits for, or null.
    CancelTarget* waiting() const noexcept { return waiting_; }
    /// Where it is suspended.
    std::source_location waiting_at() const noexcept { return leaf_->at; }
    WaitKind wait_kind() const noexcept { return waiting_ ? wait_kind_ : WaitKind::none; }

protected:
    Driver(Run run, std::uint8_t flags) noexcept : Runnable(run), flags_(flags) {}
    ~Driver() {
        if (context_ != nullptr) [[unlikely]] {
            context_->release();
        }
    }

    /// Resumes the chain until it suspends or ends. The caller restores the current driver.
    void run_chain() noexcept {
        announce_pending();
        resume_leaf();
        if ((flags_ & flag_transfer) != 0) [[unlikely]] {
            run_trampoline();
        }
    }
    // The first part; the rest is needed if it leaves flag_transfer set.
    void resume_leaf() noexcept {
        detail::thread_state.driver = this;
        leaf_->handle().resume();
    }
    void announce_pending() const noexcept {
        if ((flags_ & flag_pending) != 0) {
            detail::thread_state.error_pending = true;
        }
    }
    void run_trampoline() noexcept;

    /// Makes the next `throw_if_pending` of this driver throw.
    void deliver(std::exception_ptr error) noexcept;

    bool ended() const noexcept { return (flags_ & flag_ended) != 0; }

    static constexpr std::uint8_t flag_task = 1;
    static constexpr std::uint8_t flag_ended = 2;
    static constexpr std::uint8_t flag_pending = 4;
    static constexpr std::uint8_t flag_must_cancel = 8;
    static constexpr std::uint8_t flag_has_callable = 16;
    static constexpr std::uint8_t flag_transfer = 32;  // thread_state.next is to be resumed

    // The second member is used once the coroutine is gone.
    union {
        detail::Frame* leaf_ = nullptr;
        std::source_location ended_function_;
    };
    CancelTarget* waiting_ = nullptr;
    detail::ContextData* context_ = nullptr;  // owned; null is empty
    std::uint32_t cancels_requested_ = 0;
    WaitKind wait_kind_ = WaitKind::none;
    std::uint8_t flags_;

private:
    friend struct detail::FinalAwaiter;
    friend struct detail::YieldAwaiter;
    friend void detail::transfer_by_trampoline(detail::Frame& frame) noexcept;
    friend class Waiter;
    friend class detail::FutureState;
    friend struct detail::CancelWalk;
    friend struct detail::InspectLayout;
    friend detail::ContextData*& detail::current_context_slot() noexcept;
    EventLoop& foreign_loop() const noexcept;
    [[noreturn]] void throw_pending();
    std::exception_ptr& pending_error() noexcept;
};

namespace detail {

// Has the driver resume `frame` when the coroutine that runs has returned to it.
inline void transfer_by_trampoline(Frame& frame) noexcept {
    ThreadState& thread = thread_state;
    thread.next = &frame;
    thread.driver->flags_ |= Driver::flag_transfer;
}

inline ContextData*& current_context_slot() noexcept {
    ThreadState& thread = thread_state;
    return thread.driver != nullptr ? thread.driver->context_ : thread.context;
}

inline ContextPtr copy_current_context() {
    const ContextData* const current = current_context_slot();
    return current == nullptr || current->mapping == nullptr ? ContextPtr()
                                                             : copy_context_data(*current);
}

}  // namespace detail
}  // namespace asyncio::inline v0
