// Future<T>: a value that will be there later. Low level; tasks are futures that run a coroutine.
#pragma once

#include <asyncio/copyable_result.hpp>
#include <asyncio/coro.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace asyncio::inline v0 {

class AnyFuture;
class AnyTask;
template <class T>
class Future;
template <class T>
class Task;

/// Names one registered done callback, for `remove_done_callback`.
enum class CallbackId : std::uint64_t {};

namespace detail {

class TaskState;
class GatherBase;
struct CancelWalk;
struct DoneCallback;
struct HandleAccess;
struct InspectLayout;
struct LoopAccess;

enum class FutureStatus : std::uint8_t { pending, cancelled, finished };
enum class FutureKind : std::uint8_t { future, task, gathering, shielding };

// What the handles Future, Task and AnyFuture share.
//
// Invariants:
//  1. The status leaves `pending` once, and all callbacks are scheduled at that moment, in the
//     order in which they were added. The value or error is stored before that.
//  2. `callbacks_` is empty unless the status is `pending`. Its elements are drivers that wait
//     (linked, not owned) and DoneCallbacks (owned).
//  3. `log_traceback` is set exactly while the error is one that nobody has retrieved.
//
// Ends of life: the last handle goes; a pending task counts as a handle of the loop.
class ASYNCIO_API FutureState : public CancelTarget, public Pooled {
public:
    FutureState(const FutureState&) = delete;
    FutureState& operator=(const FutureState&) = delete;

    void retain() noexcept { ++refs_; }
    void release() noexcept {
        if (--refs_ == 0) {
            destroy();
        }
    }
    std::uint32_t refs() const noexcept { return refs_; }

    bool done() const noexcept { return status_ != FutureStatus::pending; }
    bool cancelled() const noexcept { return status_ == FutureStatus::cancelled; }
    FutureStatus status() const noexcept { return status_; }
    FutureKind kind() const noexcept { return kind_; }
    EventLoop& loop() const noexcept { return *loop_; }
    const std::source_location& created_at() const noexcept { return created_at_; }
    void set_created_at(std::source_location where) noexcept { created_at_ = where; }

    bool cancel(const CancelMessage& message) override;

    // The base of the Slot<T> that the derived class adds.
    virtual Receiver& receiver() noexcept = 0;
    // The stored error, without the checks of exception(); marks nothing.
    std::exception_ptr& error() noexcept { return receiver().error; }
    // The value for repr(), or "" if there is no short text for it.
    virtual std::string result_repr() const { return {}; }
    // How reports and repr() call this object: "Future", "Task", "_GatheringFuture".
    virtual const char* type_name() const noexcept { return "Future"; }

    // Future.exception(): null for a value. Raises: InvalidStateError, CancelledError.
    std::exception_ptr exception();
    // Throws what result() throws if there is no value. Marks the exception as retrieved.
    void check_result() {
        if (!has_value()) [[unlikely]] {
            throw_no_result();
        }
    }
    bool has_value() const noexcept {
        return status_ == FutureStatus::finished && (flags_ & (flag_failed | flag_moved)) == 0;
    }
    // The result was moved out: later retrievers get an error instead of an empty value.
    void set_moved() noexcept { flags_ |= flag_moved; }
    std::exception_ptr moved_out_error() const;
    bool failed() const noexcept { return (flags_ & flag_failed) != 0; }
    // The CancelledError that a retriever of a cancelled future gets (_make_cancelled_error).
    std::exception_ptr make_cancelled_error();
    const CancelMessage& cancel_message() const noexcept { return cancel_message_; }
    void mark_retrieved() noexcept { flags_ &= static_cast<std::uint8_t>(~flag_log_traceback); }
    // A pending task that has awaited itself refuses all awaiters at once, as CPython's does.
    bool awaited_itself() const noexcept { return awaited_itself_; }
    [[noreturn]] void throw_awaited_itself() const;
    // Internal tasks of gather and run_until_complete are not reported when destroyed pending.
    void set_log_destroy_pending(bool log) noexcept;

    // Ends the future with what its slot holds.
    void finish_with_value() noexcept { finish(FutureStatus::finished); }
    void finish_with_error() noexcept;
    void finish_cancelled(CancelMessage message) noexcept;
    [[noreturn]] void throw_invalid_state(const char* operation) const;
    // In debug mode, refuses another thread than the loop's.
    void check_thread() const;

    // Links a driver or an embedded node; it is scheduled when the future is done.
    void add_waiter(Runnable& node) noexcept { callbacks_.push_back(node); }
    CallbackId add_callback(DoneCallback* owned);
    std::size_t remove_callback(CallbackId id) noexcept;
    // Removes all whose function() is this address.
    std::size_t remove_callbacks(const void* function) noexcept;

    std::string repr() const;

    FutureState(EventLoop& loop, FutureKind kind, std::source_location created_at) noexcept;

protected:
    virtual ~FutureState();

    void finish(FutureStatus status) noexcept;

    static constexpr std::uint8_t flag_failed = 1;
    static constexpr std::uint8_t flag_log_traceback = 2;
    static constexpr std::uint8_t flag_quiet_destroy = 4;
    static constexpr std::uint8_t flag_cancel_requested = 8;  // a gather that was cancelled
    static constexpr std::uint8_t flag_on_cancel_path = 16;   // guards against await cycles
    static constexpr std::uint8_t flag_moved = 32;
    static constexpr std::uint8_t flag_mentioned = 64;       // while looking for duplicates
    static constexpr std::uint8_t flag_has_callbacks = 128;  // callbacks_ had a DoneCallback

    std::uint32_t refs_ = 0;
    FutureStatus status_ = FutureStatus::pending;
    FutureKind kind_;
    std::uint8_t flags_ = 0;
    bool awaited_itself_ = false;
    EventLoop* loop_;
    IntrusiveList<Runnable> callbacks_;
    CancelMessage cancel_message_;
    std::source_location created_at_;

private:
    friend struct CancelWalk;
    friend class GatherBase;
    friend struct FutureAwaiterBase;
    friend struct InspectLayout;
    template <class Matches>
    std::size_t remove_callbacks_if(Matches matches);
    void destroy() noexcept {
        if ((flags_ & flag_log_traceback) != 0) [[unlikely]] {
            destroy_unretrieved();
        } else {
            delete this;
        }
    }
    void destroy_unretrieved() noexcept;
    void drop_callbacks() noexcept;
    void report_never_retrieved() noexcept;
    [[noreturn]] void throw_no_result();
};

// Adds the value. Base is FutureState for plain futures and TaskState for tasks.
// The text in quotes, without its middle if it is long: reprlib.repr of Python's.
ASYNCIO_API std::string quoted_briefly(std::string_view text);

template <class T, class Base = FutureState>
class FutureStateOf : public Base, public Slot<T> {
public:
    using Base::Base;
    Receiver& receiver() noexcept final { return *this; }
    std::string result_repr() const final {
        if constexpr (std::same_as<T, bool>) {
            return this->value ? "true" : "false";
        } else if constexpr (std::is_arithmetic_v<T>) {
            return std::to_string(this->value);
        } else if constexpr (std::same_as<T, const char*> || std::same_as<T, char*>) {
            return this->value == nullptr ? "nullptr" : quoted_briefly(this->value);
        } else if constexpr (std::convertible_to<std::add_lvalue_reference_t<const T>,
                                                 std::string_view>) {
            return quoted_briefly(this->value);
        } else {
            return {};
        }
    }
};

// Owns one reference of a state.
template <class State>
class StatePtr {
public:
    StatePtr() noexcept = default;
    explicit StatePtr(State* state) noexcept : state_(state) {
        if (state_ != nullptr) {
            state_->retain();
        }
    }
    StatePtr(const StatePtr& other) noexcept : StatePtr(other.state_) {}
    StatePtr(StatePtr&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    StatePtr& operator=(StatePtr other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~StatePtr() {
        if (state_ != nullptr) {
            state_->release();
        }
    }
    State* get() const noexcept { return state_; }
    State* operator->() const noexcept { return state_; }
    State& operator*() const noexcept { return *state_; }
    explicit operator bool() const noexcept { return state_ != nullptr; }

private:
    State* state_ = nullptr;
};

// One callable registered with add_done_callback.
struct ASYNCIO_API DoneCallback : Runnable, Pooled {
    DoneCallback(const DoneCallback&) = delete;
    DoneCallback& operator=(const DoneCallback&) = delete;
    virtual ~DoneCallback();
    virtual void call(FutureState& future) = 0;
    // The address of a plain function, so that it can be removed by value; null otherwise.
    virtual const void* function() const noexcept { return nullptr; }

    // Null if the node is another kind of waiter.
    static DoneCallback* from(Runnable& node) noexcept;
    // `future` is done and `node` is about to be queued: a callback takes a reference.
    static void about_to_run(Runnable& node, FutureState& future) noexcept;

    CallbackId id{};
    FutureState* future = nullptr;  // set, and owned, once scheduled
    ContextPtr context;

protected:
    DoneCallback();

private:
    friend class FutureState;
    static void run(Runnable& self, Turn turn);
};

template <class F>
concept DoneCallable = std::invocable<F&, AnyFuture> || std::invocable<F&>;

// Python finds this in debug mode only (S318).
template <class F, class... Args>
constexpr void check_callback() {
    static_assert(!CoroLike<std::invoke_result_t<F&, Args...>>,
                  "this callback returns a coroutine, which nobody would run: call create_task() "
                  "in it");
}

// Suspends until a future is done; the common part of all result types.
struct ASYNCIO_API FutureAwaiterBase {
    explicit FutureAwaiterBase(FutureState* state) noexcept : state(state) {}

    StatePtr<FutureState> state;
    bool suspended = false;

    bool await_ready() const {
        if (state->done()) {
            return true;
        }
        if (state->awaited_itself()) [[unlikely]] {
            state->throw_awaited_itself();
        }
        return false;
    }
    template <std::derived_from<Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        suspend(handle.promise());
    }
    void resumed() {
        if (suspended) {
            Driver::throw_if_pending();
        }
        if (!state->has_value()) [[unlikely]] {
            throw_no_result();
        }
    }

private:
    void suspend(Frame& frame) noexcept;
    [[noreturn]] void throw_no_result();
};

template <class T>
struct FutureAwaiter : FutureAwaiterBase {
    using FutureAwaiterBase::FutureAwaiterBase;
    T await_resume();
};

template <class T>
struct MovingFutureAwaiter : FutureAwaiterBase {
    using FutureAwaiterBase::FutureAwaiterBase;
    T await_resume();
};

[[noreturn]] ASYNCIO_API void throw_null_handle();
[[noreturn]] ASYNCIO_API void throw_null_exception();

}  // namespace detail

/// Any future or task, without its result type. A cheap handle: copies name the same future.
///
/// Thread safety: loop thread only (`call_soon_threadsafe` is the door for others).
class ASYNCIO_API AnyFuture {
public:
    AnyFuture() noexcept = default;

    /// False for a handle that names nothing.
    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

    /// True when there is a result or an exception, or it was cancelled.
    bool done() const { return state().done(); }
    bool cancelled() const { return state().cancelled(); }

    /// Cancels the future at once, or asks the task to end; see `Task::cancel`. Returns false if
    /// it is already done. Raises: RuntimeError if tasks that wait for each other in a circle are
    /// reached. Source: S068, S078 to S084.
    bool cancel(const CancelMessage& message = {}) const {
        state().check_thread();
        return state().cancel(message);
    }

    /// The exception it ended with; null for a value. Marks it as retrieved.
    /// Raises: InvalidStateError while pending, CancelledError if cancelled. Source: S067.
    std::exception_ptr exception() const { return state().exception(); }

    /// Calls `callback(future)` or `callback()` through the loop once the future is done, in the
    /// order of registration and in a copy of the current context (or in `context`). The callback
    /// must not own a handle of this future. Source: S054, S069.
    template <detail::DoneCallable F>
    CallbackId add_done_callback(F callback) const {
        return register_callback(std::move(callback), detail::copy_current_context());
    }
    template <detail::DoneCallable F>
    CallbackId add_done_callback(F callback, const Context& context) const;

    /// Returns how many callbacks were removed: 1 or 0. Source: S070.
    std::size_t remove_done_callback(CallbackId id) const { return state().remove_callback(id); }
    /// Removes every registration of a plain function.
    std::size_t remove_done_callback(void (*function)(AnyFuture)) const;

    /// Stays valid as long as this handle, also after the loop is closed.
    EventLoop& get_loop() const { return state().loop(); }

    /// Where it was created.
    const std::source_location& created_at() const { return state().created_at(); }

    friend bool operator==(const AnyFuture& a, const AnyFuture& b) noexcept {
        return a.state_.get() == b.state_.get();
    }

protected:
    explicit AnyFuture(detail::FutureState* state) noexcept : state_(state) {}

    detail::FutureState& state() const {
        if (!state_) [[unlikely]] {
            detail::throw_null_handle();
        }
        return *state_;
    }

    template <class F>
    CallbackId register_callback(F callback, detail::ContextPtr context) const;

private:
    friend struct detail::HandleAccess;
    friend struct std::hash<AnyFuture>;
    detail::StatePtr<detail::FutureState> state_;
};

/// As Python's: `<Task pending name='Task-1' coro=<f() running at f.cpp:3> ...>`.
ASYNCIO_API std::string repr(const AnyFuture& future);

namespace detail {

template <class T>
using LvalueResult =
    std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<std::add_const_t<T>>>;

}  // namespace detail

/// A handle of a future with result type `T`; also the side that completes it.
///
/// `co_await future` waits and copies the result; `co_await std::move(future)` moves it out. If
/// the awaiting task is cancelled, the future is cancelled too; `shield` prevents that.
///
/// Thread safety: loop thread only. Cancel safety: see above.
template <class T>
class [[nodiscard]] Future : public AnyFuture {
    static_assert(!std::is_reference_v<T>,
                  "a future cannot hold a reference: use a pointer or std::reference_wrapper");

public:
    using value_type = T;

    Future() noexcept = default;

    /// Raises: InvalidStateError while pending or if moved out, CancelledError, or the stored
    /// exception: always the same object (S072).
    detail::LvalueResult<T> result() const& {
        state().check_result();
        if constexpr (!std::is_void_v<T>) {
            return slot().value;
        }
    }
    T result() && {
        state().check_result();
        if constexpr (!std::is_void_v<T>) {
            state().set_moved();
            return std::move(slot().value);
        }
    }

    /// Completes the future. Raises: InvalidStateError if it is done. Source: S066.
    template <class U = T>
        requires(!std::is_void_v<T> && std::constructible_from<T, U &&>)
    void set_result(U&& value) const {
        require_pending("set_result");
        slot().emplace(std::forward<U>(value));
        state().finish_with_value();
    }
    void set_result() const
        requires std::is_void_v<T>
    {
        require_pending("set_result");
        state().finish_with_value();
    }

    /// Completes the future with an exception. Raises: InvalidStateError if it is done, TypeError
    /// for a null pointer.
    void set_exception(std::exception_ptr error) const {
        require_pending("set_exception");
        if (error == nullptr) [[unlikely]] {
            detail::throw_null_exception();
        }
        state().error() = std::move(error);
        state().finish_with_error();
    }
    template <class E>
        requires(!std::same_as<std::remove_cvref_t<E>, std::exception_ptr>)
    void set_exception(E&& error) const {
        set_exception(std::make_exception_ptr(std::forward<E>(error)));
    }

protected:
    using State = detail::FutureStateOf<T>;
    explicit Future(detail::FutureState* state) noexcept : AnyFuture(state) {}

private:
    friend struct detail::HandleAccess;

    void require_pending(const char* operation) const {
        state().check_thread();
        if (state().done() || state().kind() == detail::FutureKind::task) [[unlikely]] {
            state().throw_invalid_state(operation);
        }
    }
    detail::Slot<T>& slot() const noexcept;
};

}  // namespace asyncio::inline v0

template <>
struct std::hash<asyncio::AnyFuture> {
    std::size_t operator()(const asyncio::AnyFuture& future) const noexcept {
        return std::hash<const void*>()(future.state_.get());
    }
};

#include <asyncio/detail/future_impl.hpp>
