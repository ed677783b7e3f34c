// ThreadFuture<T>: the result of a call in another thread. Python's concurrent.futures.Future.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/future.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

namespace asyncio::inline v0 {

class Job;

namespace detail {

class ThreadFutureState;

// Where a call waits for its turn, so that one that is cancelled can leave at once.
class JobQueue {
public:
    // Any thread. Drops the queue's reference if the call is still in the queue.
    virtual void withdraw(ThreadFutureState& job) noexcept = 0;

protected:
    ~JobQueue() = default;
};

// Something that is told when a ThreadFuture is done.
struct ThreadCallback : ListNode {
    virtual ~ThreadCallback() = default;
    // Called once, by the thread that ends the future. Owns itself from then on.
    virtual void call(ThreadFutureState& future) noexcept = 0;
};

// What the handles of a ThreadFuture and the job of an executor share. The list node is the
// queue's.
//
// Invariants:
//  1. The status goes from pending to running and finished, or to cancelled. What is stored before
//     `finished` is not written afterwards, but to move it out, by whoever has set `moved_`.
//  2. `callbacks_`, guarded by the mutex, gets nothing more once the future is done. Whoever ends
//     it does so under the mutex or locks it afterwards, so that no callback is forgotten.
//  3. The callable and its arguments belong to whoever ended `pending`: who runs or cancels it.
class ASYNCIO_API ThreadFutureState : public ListNode, public Pooled {
public:
    enum class Status : std::uint8_t { pending, running, cancelled, finished };

    ThreadFutureState(const ThreadFutureState&) = delete;
    ThreadFutureState& operator=(const ThreadFutureState&) = delete;

    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    Status status() const noexcept { return status_.load(std::memory_order_acquire); }
    bool done() const noexcept { return status() >= Status::cancelled; }
    virtual Receiver& receiver() noexcept = 0;

    bool cancel() noexcept;
    // From pending to running; false if it was cancelled.
    [[nodiscard]] bool begin() noexcept;
    // From running to finished, with what the receiver holds.
    void finish() noexcept;
    // Runs the call and stores how it ended, unless it was cancelled.
    void run() noexcept;
    // As `run`, but the call ends with this error.
    void fail(std::exception_ptr error) noexcept;
    // Before it is queued: whom to tell of a cancellation.
    void set_queue(std::shared_ptr<JobQueue> queue) noexcept { queue_ = std::move(queue); }

    // Calls it at once if the future is done.
    void add_callback(std::unique_ptr<ThreadCallback> callback) noexcept;
    // Blocks until it is done. Raises: TimeoutError.
    void wait(std::optional<Duration> timeout);
    // For a future that is done. Throws if there is no result to be had.
    void check_result();
    // The same if there is neither a result nor an error to be had.
    void check_result_or_error();
    // As check_result, and nobody else gets the result, or the error.
    void take_result();

protected:
    ThreadFutureState() noexcept = default;
    virtual ~ThreadFutureState();

private:
    struct Waker;
    // Calls the callable; what it returns or throws goes to the receiver.
    virtual void call() noexcept = 0;
    // Destroys the callable and its arguments.
    virtual void drop_call() noexcept = 0;
    // From pending to this one; false if it is something else already.
    bool leave_pending(Status status) noexcept;
    void call_callbacks(std::unique_lock<std::mutex> lock) noexcept;

    std::atomic<std::uint32_t> refs_{0};
    std::atomic<Status> status_{Status::pending};
    std::atomic<bool> moved_{false};
    std::mutex mutex_;
    IntrusiveList<ThreadCallback> callbacks_;
    std::shared_ptr<JobQueue> queue_;
};

// Adds the value. Without a callable, it is completed from outside.
template <class T>
class ThreadFutureStateOf : public ThreadFutureState, public Slot<T> {
public:
    Receiver& receiver() noexcept final { return *this; }

private:
    void call() noexcept override {}
    void drop_call() noexcept override {}
};

template <class T, class F, class... Args>
class ThreadCall final : public ThreadFutureStateOf<T> {
public:
    template <class... Given>
    explicit ThreadCall(Given&&... given) : call_(std::in_place, std::forward<Given>(given)...) {}

private:
    void call() noexcept override {
        try {
            const auto invoke = [](F& function, Args&... args) -> decltype(auto) {
                return std::invoke(function, std::move(args)...);
            };
            if constexpr (std::is_void_v<T>) {
                std::apply(invoke, *call_);
            } else {
                this->emplace(std::apply(invoke, *call_));
            }
        } catch (...) {
            this->error = std::current_exception();
        }
    }
    void drop_call() noexcept override { call_.reset(); }

    std::optional<std::tuple<F, Args...>> call_;
};

// What a call in another thread gives: a reference would refer to something of that thread.
template <class F, class... Args>
using thread_result_t =
    std::remove_cvref_t<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>>;

struct ThreadFutureAccess;

[[noreturn]] ASYNCIO_API void throw_null_thread_future();

}  // namespace detail

/// A handle of the result of a call in another thread, or of a coroutine in another thread's loop.
/// A coroutine waits for it with `co_await wrap_future(future)`; everybody else blocks in
/// `result()`.
///
/// Dropping every handle neither cancels the call nor reports its error. All functions raise
/// RuntimeError for a handle that names nothing.
///
/// Thread safety: any thread may use any handle; `const` functions of one handle do not disturb
/// each other. But a `result()` that moves the result out must be the last use of all handles.
/// Source: concurrent.futures.Future.
template <class T>
class ThreadFuture {
public:
    using value_type = T;

    ThreadFuture() noexcept = default;
    /// False for a handle that names nothing.
    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

    /// Prevents a call that has not started; that of a coroutine, which need not obey, is
    /// requested. Returns false if the call runs or has ended.
    bool cancel() const { return state().cancel(); }
    bool cancelled() const { return state().status() == Status::cancelled; }
    bool running() const { return state().status() == Status::running; }
    /// True if it has ended or was cancelled.
    bool done() const { return state().done(); }

    /// Blocks until it is done; returns the result or throws the exception. An rvalue's result or
    /// exception is moved out, and nobody else gets it. Raises also: CancelledError, TimeoutError
    /// after `timeout`, InvalidStateError for a result that was moved out.
    detail::LvalueResult<T> result() const& { return get(std::nullopt); }
    T result() && { return take(std::nullopt); }
    template <class Rep, class Period>
    detail::LvalueResult<T> result(std::chrono::duration<Rep, Period> timeout) const& {
        return get(detail::to_duration(timeout));
    }
    template <class Rep, class Period>
    T result(std::chrono::duration<Rep, Period> timeout) && {
        return take(detail::to_duration(timeout));
    }

    /// Blocks until it is done; returns the exception, null if there is a result. Raises:
    /// CancelledError, TimeoutError after `timeout`, InvalidStateError if that was moved out.
    std::exception_ptr exception() const { return get_exception(std::nullopt); }
    template <class Rep, class Period>
    std::exception_ptr exception(std::chrono::duration<Rep, Period> timeout) const {
        return get_exception(detail::to_duration(timeout));
    }

    /// Calls `callback(future)` or `callback()` in the thread that ends the future, or at once if
    /// it is done. What it throws is logged.
    template <class F>
        requires std::invocable<F&, ThreadFuture> || std::invocable<F&>
    void add_done_callback(F callback) const;

    friend bool operator==(const ThreadFuture& a, const ThreadFuture& b) noexcept {
        return a.state_.get() == b.state_.get();
    }

private:
    using Status = detail::ThreadFutureState::Status;
    friend struct detail::ThreadFutureAccess;
    explicit ThreadFuture(detail::ThreadFutureStateOf<T>* state) noexcept : state_(state) {}

    detail::ThreadFutureStateOf<T>& state() const {
        if (!state_) [[unlikely]] {
            detail::throw_null_thread_future();
        }
        return *state_;
    }
    detail::LvalueResult<T> get(std::optional<Duration> timeout) const {
        state().wait(timeout);
        state_->check_result();
        if constexpr (!std::is_void_v<T>) {
            return state_->value;
        }
    }
    T take(std::optional<Duration> timeout) {
        state().wait(timeout);
        state_->take_result();
        if constexpr (!std::is_void_v<T>) {
            return std::move(state_->value);
        }
    }
    std::exception_ptr get_exception(std::optional<Duration> timeout) const {
        state().wait(timeout);
        state_->check_result_or_error();
        return state_->receiver().error;
    }

    detail::StatePtr<detail::ThreadFutureStateOf<T>> state_;
};

/// A call that was given to an executor. The executor owns it, and runs it in whatever thread it
/// likes; one that is dropped without that is cancelled.
class ASYNCIO_API Job {
public:
    Job(Job&&) noexcept = default;
    Job& operator=(Job&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~Job() {
        if (state_) {
            state_->cancel();
        }
    }

    /// Runs the call, which owns its arguments, and completes its future; does nothing if that was
    /// cancelled. Requires: called once.
    void run() && noexcept { std::exchange(state_, {})->run(); }
    bool cancelled() const noexcept {
        return state_->status() == detail::ThreadFutureState::Status::cancelled;
    }

private:
    friend struct detail::ThreadFutureAccess;
    explicit Job(detail::ThreadFutureState& state) noexcept : state_(&state) {}

    detail::StatePtr<detail::ThreadFutureState> state_;  // null once run or moved from
};

namespace detail {

// The door between handles and states, for the library's own.
struct ThreadFutureAccess {
    template <class T>
    static ThreadFuture<T> make(ThreadFutureStateOf<T>* state) noexcept {
        return ThreadFuture<T>(state);
    }
    template <class T>
    static ThreadFutureStateOf<T>& state(const ThreadFuture<T>& future) {
        return future.state();
    }
    static Job make_job(ThreadFutureState& state) noexcept { return Job(state); }
    static StatePtr<ThreadFutureState> release(Job& job) noexcept {
        return std::exchange(job.state_, {});
    }

    // A call that owns the callable and its arguments, not yet given to anybody.
    template <class F, class... Args>
    static auto make_call(F&& function, Args&&... args) {
        using T = thread_result_t<F, Args...>;
        static_assert(!CoroLike<T>,
                      "a coroutine belongs to a loop, not to a thread: create_task() runs it in "
                      "this loop, run_coroutine_threadsafe() in another one");
        return make<T>(new ThreadCall<T, std::decay_t<F>, std::decay_t<Args>...>(
            std::forward<F>(function), std::forward<Args>(args)...));
    }
};

ASYNCIO_API void log_callback_error() noexcept;

template <class T, class F>
struct ThreadCallbackOf final : ThreadCallback, Pooled {
    explicit ThreadCallbackOf(F callable) : callable(std::move(callable)) {}
    void call(ThreadFutureState& future) noexcept override {
        try {
            if constexpr (std::invocable<F&, ThreadFuture<T>>) {
                std::invoke(callable, ThreadFutureAccess::make<T>(
                                          static_cast<ThreadFutureStateOf<T>*>(&future)));
            } else {
                std::invoke(callable);
            }
        } catch (...) {
            log_callback_error();
        }
        delete this;
    }
    F callable;
};

}  // namespace detail

template <class T>
template <class F>
    requires std::invocable<F&, ThreadFuture<T>> || std::invocable<F&>
void ThreadFuture<T>::add_done_callback(F callback) const {
    state().add_callback(std::make_unique<detail::ThreadCallbackOf<T, F>>(std::move(callback)));
}

}  // namespace asyncio::inline v0
