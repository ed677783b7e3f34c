// Handles: what call_soon, call_later and call_at return, to cancel the call.
#pragma once

#include <asyncio/context.hpp>
#include <asyncio/detail/timer_heap.hpp>

#include <atomic>
#include <functional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace asyncio::inline v0 {

class EventLoop;

namespace detail {

// One scheduled callback. Shared by the loop, while it is scheduled, and by the user's handles.
//
// Invariants:
//  1. The scheduler (heap, queue or watcher) holds one reference, the one it is born with.
//  2. `callable` is alive until the call has run or was cancelled; the object, until the last
//     reference goes.
//  3. A cancelled call is in no heap; in the ready queue it is skipped when its turn comes.
class ASYNCIO_API HandleState : public TimerNode, public Pooled {
public:
    HandleState(const HandleState&) = delete;
    HandleState& operator=(const HandleState&) = delete;

    void retain() noexcept { ++refs_; }
    void release() noexcept {
        if (--refs_ == 0) {
            delete this;
        }
    }

    bool cancelled() const noexcept { return cancelled_; }
    void cancel() noexcept;
    // Null if the runnable is something else.
    static HandleState* from(Runnable& runnable) noexcept {
        return runnable.runs(&HandleState::run) ? static_cast<HandleState*>(&runnable) : nullptr;
    }
    std::string describe() const;
    // Calls the callable in its context and reports what it throws. Does not end the handle.
    void execute();
    // As execute, for a call that may be made again, and may meanwhile remove what makes it.
    void execute_repeatedly();

    ContextPtr context;
    EventLoop& loop;
    TimePoint when{};
    std::source_location created_at;

protected:
    // `has_destructor`: whether destroying the callable does anything.
    HandleState(EventLoop& loop, bool has_destructor) noexcept
        : TimerNode(&HandleState::run), loop(loop), alive_(has_destructor) {}
    virtual ~HandleState() = default;
    virtual void call() = 0;
    virtual void drop() noexcept = 0;

    // Destroys the callable unless that was done.
    void drop_once() noexcept {
        if (std::exchange(alive_, false)) {
            drop();
        }
    }

private:
    static void run(Runnable& self, Turn turn);

    std::uint32_t refs_ = 1;
    bool alive_;
    bool cancelled_ = false;
    bool running_ = false;
    bool finished_ = false;
};

template <class F>
class HandleStateOf final : public HandleState {
public:
    HandleStateOf(EventLoop& loop, F callable)
        : HandleState(loop, !std::is_trivially_destructible_v<F>) {
        std::construct_at(&callable_, std::move(callable));
    }
    ~HandleStateOf() override {
        if constexpr (!std::is_trivially_destructible_v<F>) {
            drop_once();
        }
    }

private:
    void call() override { std::invoke(callable_); }
    void drop() noexcept override { std::destroy_at(&callable_); }

    union {
        F callable_;
    };
};

// A call that another thread scheduled: its state is atomic, because that thread may cancel it.
//
// Invariant: once it is queued, its callable is used and destroyed by the loop's thread alone, in
// `run`, because what it owns (futures, for instance) may belong to that thread.
class ASYNCIO_API ThreadSafeState : public Runnable, public Pooled {
public:
    ThreadSafeState(const ThreadSafeState&) = delete;
    ThreadSafeState& operator=(const ThreadSafeState&) = delete;

    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        // Whoever has the last reference needs no locked instruction.
        if (refs_.load(std::memory_order_acquire) == 1 ||
            refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    void cancel() noexcept;
    bool cancelled() noexcept;

    ContextPtr context;
    EventLoop* loop = nullptr;

protected:
    ThreadSafeState() noexcept : Runnable(&ThreadSafeState::run) {}
    virtual ~ThreadSafeState();
    virtual void call() = 0;
    // Destroys the callable, once.
    virtual void drop() noexcept = 0;

private:
    // pending -> running -> finished, or pending -> cancelled; written by compare and exchange, so
    // that exactly one of "run" and "cancel" wins.
    enum class Phase : std::uint32_t { pending, running, finished, cancelled };

    static void run(Runnable& self, Turn turn);
    void call_and_report();
    Phase settled_phase() noexcept;

    // Of the queue and of the first handle.
    std::atomic<std::uint32_t> refs_{2};
    std::atomic<Phase> phase_{Phase::pending};
    const void* runner_ = nullptr;  // a thread's identity; written before `running` is published
};

[[noreturn]] ASYNCIO_API void throw_empty_handle();

}  // namespace detail

/// A scheduled call. A cheap handle; dropping it does not cancel the call.
///
/// Thread safety: loop thread only.
class ASYNCIO_API Handle {
public:
    Handle() noexcept = default;
    /// False for a handle that names nothing.
    explicit operator bool() const noexcept { return state_ != nullptr; }
    Handle(const Handle& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) {
            state_->retain();
        }
    }
    Handle(Handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    Handle& operator=(Handle other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~Handle() {
        if (state_ != nullptr) {
            state_->release();
        }
    }

    /// The call will not run. Does nothing if it has run or was cancelled. Cost: O(log n) for a
    /// timer, else constant. Source: S006, S029.
    void cancel() const noexcept {
        if (state_ != nullptr) {
            state_->cancel();
        }
    }
    bool cancelled() const noexcept { return state_ != nullptr && state_->cancelled(); }
    /// The context in which the call runs. Raises: RuntimeError for an empty handle.
    Context get_context() const;
    /// `<Handle cancelled created at f.cpp:3>`.
    friend ASYNCIO_API std::string repr(const Handle& handle);

protected:
    friend class EventLoop;
    friend class detail::HandleState;
    explicit Handle(detail::HandleState* state) noexcept : state_(state) { state_->retain(); }

    detail::HandleState& state() const {
        if (state_ == nullptr) [[unlikely]] {
            detail::throw_empty_handle();
        }
        return *state_;
    }

    detail::HandleState* state_ = nullptr;
};

/// A call scheduled for a time; handles compare by deadline.
class ASYNCIO_API TimerHandle : public Handle {
public:
    TimerHandle() noexcept = default;

    /// The absolute time of the call, on the loop's clock. Raises: RuntimeError for an empty
    /// handle.
    TimePoint when() const { return state().when; }

    friend bool operator<(const TimerHandle& a, const TimerHandle& b) {
        return a.when() < b.when();
    }
    friend bool operator==(const TimerHandle& a, const TimerHandle& b) noexcept {
        return a.state_ == b.state_;
    }

private:
    friend class EventLoop;
    using Handle::Handle;
};

/// A call scheduled from any thread. Its methods may be called from any thread.
///
/// Before the call starts, `cancel` prevents it for sure; while it runs, `cancel` and `cancelled`
/// block until it has returned, so that what it uses may be destroyed afterwards; from inside the
/// call they do nothing. The callable itself is destroyed by the loop's thread. Source: S196.
class ASYNCIO_API ThreadSafeHandle {
public:
    ThreadSafeHandle() noexcept = default;
    ThreadSafeHandle(const ThreadSafeHandle& other) noexcept;
    ThreadSafeHandle(ThreadSafeHandle&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    ThreadSafeHandle& operator=(ThreadSafeHandle other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~ThreadSafeHandle();

    void cancel() const noexcept;
    bool cancelled() const noexcept;

private:
    friend class EventLoop;
    // Takes over a reference.
    explicit ThreadSafeHandle(detail::ThreadSafeState* state) noexcept : state_(state) {}
    detail::ThreadSafeState* state_ = nullptr;
};

}  // namespace asyncio::inline v0
