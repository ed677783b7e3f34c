// Task<T>: a coroutine that the loop runs concurrently, with a handle to await or cancel it.
#pragma once

#include <asyncio/event_loop.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace asyncio::inline v0 {

/// One line of a task's stack: a suspended coroutine and the co_await where it stands.
struct StackEntry {
    std::string function;
    std::string file;
    unsigned line = 0;
};

namespace detail {

// "Task-<n>" until somebody gives a name; the number costs no memory of its own.
class TaskName {
public:
    explicit TaskName(std::uint64_t id) noexcept : bits_(id << 1 | 1) {}
    TaskName(const TaskName&) = delete;
    TaskName& operator=(const TaskName&) = delete;
    ~TaskName() {
        if ((bits_ & 1) == 0) [[unlikely]] {
            clear();
        }
    }
    // Requires: not named yet.
    std::uint64_t number() const noexcept { return bits_ >> 1; }
    ASYNCIO_API void set(std::string name);
    ASYNCIO_API std::string get() const;

private:
    ASYNCIO_API void clear() noexcept;
    // Odd: the number, shifted. Even: a `std::string*`. Read from outside the process.
    std::uint64_t bits_;
};

// The task: a future that drives a coroutine.
//
// Invariants, beyond those of FutureState and Driver:
//  1. While pending it is in its loop's list, which owns one reference.
//  2. The coroutine frames live until the task is done, the stored callable (if any) as long; both
//     are gone when callbacks run.
//  3. `flag_must_cancel` is set while a cancellation was requested and could not be passed on: the
//     next step, or the next thing awaited, gets it.
class ASYNCIO_API TaskState : public FutureState, public Driver, public TaskNode {
public:
    // Cancels what the task waits for, else marks the task. Iterative along chains of tasks.
    bool cancel(const CancelMessage& message) override;
    int cancelling() const noexcept override { return static_cast<int>(cancels_requested_); }
    int uncancel() noexcept override;
    const char* type_name() const noexcept override { return "Task"; }
    // Null if the runnable is something else.
    static TaskState* from(Runnable& runnable) noexcept {
        return runnable.runs(&TaskState::run) ? static_cast<TaskState*>(&runnable) : nullptr;
    }

    std::string name() const { return name_.get(); }
    void set_name(std::string name) { name_.set(std::move(name)); }
    Context context();
    std::vector<StackEntry> stack() const;
    std::coroutine_handle<> root_handle() const noexcept;
    // Where the task's coroutine function is defined.
    std::source_location function() const noexcept;
    // The innermost suspended coroutine; null once the coroutine has ended or was destroyed.
    const Frame* leaf() const noexcept { return ended() ? nullptr : leaf_; }

    // Adopts a coroutine and schedules its first step, or runs it.
    void start(Frame* root, Receiver* receiver, TaskOptions& options);
    void start_soon(Frame* root, Receiver* receiver);

    // Takes the task out of what it waits for and cancels it there: the way out of a circle of
    // waiting tasks.
    void cancel_forcibly();
    // The loop closes: destroys the coroutine. The task stays pending for ever.
    void destroy_pending() noexcept;
    void report_destroyed_pending() noexcept;

    TaskState(EventLoop& loop, std::source_location created_at) noexcept;

protected:
    ~TaskState() override = default;

    // Destroys the callable and arguments of create_task(function, args...), if there are any.
    virtual void release_callable() noexcept {}
    // Whether release_callable has anything to do.
    void set_has_callable() noexcept { Driver::flags_ |= flag_has_callable; }
    virtual void clear_value() noexcept = 0;

private:
    friend class asyncio::v0::Driver;
    friend class asyncio::v0::EventLoop;
    friend struct CancelWalk;
    friend struct InspectLayout;

    static void run(Runnable& self, Turn turn);
    void clear_must_cancel() noexcept {
        Driver::flags_ &= static_cast<std::uint8_t>(~Driver::flag_must_cancel);
    }
    // The rare parts of a step, kept out of line so that the common one stays small.
    // What `run` calls now and then takes what `run` has at hand, which then needs but one
    // register.
    [[gnu::noinline]] static void prepare_error(Runnable& self);
    [[gnu::noinline]] static void after_resume(Runnable& self);
    void deliver_must_cancel();
    void interrupt_wait();
    void stop_waiting();
    void end_step();
    void end_step_badly(Receiver& outcome);
    void eager_start();
    static std::uint64_t take_id(EventLoop& loop) noexcept {
        if (loop.next_task_id_ == loop.task_id_end_) [[unlikely]] {
            refill_ids(loop);
        }
        return loop.next_task_id_++;
    }
    static void refill_ids(EventLoop& loop) noexcept;
    static void return_ids(EventLoop& loop) noexcept;

    TaskName name_;
};

template <class T>
class TaskStateOf : public FutureStateOf<T, TaskState> {
public:
    using FutureStateOf<T, TaskState>::FutureStateOf;

private:
    void clear_value() noexcept final { Slot<T>::clear(); }
};

// Cancels. A task that waits in a circle of tasks refuses that: it is torn out, and reported.
ASYNCIO_API void cancel_or_tear_out(CancelTarget& target, const CancelMessage& message);

inline TaskState* task_state_of(Driver& driver) noexcept {
    return driver.is_task() ? static_cast<TaskState*>(&driver) : nullptr;
}

// Adds the callable and the arguments of create_task(function, args...), which must live as long as
// the coroutine that refers to them.
template <class T, class F, class... Args>
class TaskStateWithCallable final : public TaskStateOf<T> {
public:
    template <class... Given>
    TaskStateWithCallable(EventLoop& loop, std::source_location created_at, Given&&... given)
        : TaskStateOf<T>(loop, created_at), call_(std::in_place, std::forward<Given>(given)...) {
        this->set_has_callable();
    }

    Coro<T> invoke();

private:
    void release_callable() noexcept override { call_.reset(); }
    std::optional<std::tuple<F, Args...>> call_;
};

// The state a Future<T> has for its value, whichever kind it is.
template <class T>
Slot<T>& HandleAccess::slot(FutureState& state) noexcept {
    if (state.kind() == FutureKind::task) {
        return static_cast<FutureStateOf<T, TaskState>&>(state);
    }
    return static_cast<Slot<T>&>(state.receiver());
}

}  // namespace detail

/// Any task, without its result type: what `current_task` and `all_tasks` give.
class ASYNCIO_API AnyTask : public AnyFuture {
public:
    AnyTask() noexcept = default;

    /// "Task-<n>" unless it was named. Source: S050.
    std::string get_name() const { return task().name(); }
    void set_name(std::string name) const { task().set_name(std::move(name)); }

    /// Number of cancellation requests that were not withdrawn. Source: S078, S092.
    int cancelling() const { return task().cancelling(); }
    /// Withdraws one request; at zero also a cancellation that was not delivered yet. Returns the
    /// remainder. Source: S093.
    int uncancel() const { return task().uncancel(); }

    /// The context the task runs in.
    Context get_context() const { return task().context(); }
    /// The suspended coroutines, outermost first; empty when done. Differs from CPython: the whole
    /// stack, not one frame. `limit` keeps the newest. Source: S055.
    std::vector<StackEntry> get_stack(std::optional<std::size_t> limit = std::nullopt) const;
    void print_stack(std::ostream& out, std::optional<std::size_t> limit = std::nullopt) const;
    /// The outermost coroutine, for debuggers; null when done.
    std::coroutine_handle<> get_coro() const { return task().root_handle(); }

protected:
    explicit AnyTask(detail::FutureState* state) noexcept : AnyFuture(state) {}
    detail::TaskState& task() const { return static_cast<detail::TaskState&>(state()); }

private:
    friend struct detail::HandleAccess;
};

/// A handle of a task whose coroutine returns `T`. Cheap to copy; copies name the same task.
///
/// Dropping every handle neither cancels the task nor loses an error: the loop owns it until it is
/// done, and an exception nobody retrieved is reported.
///
/// `cancel(message)` asks the task to end: CancelledError is thrown where it waits, in a later step
/// (edge triggered: once per request). The coroutine may clean up, catch it and go on, or replace
/// it. Returns false if the task is done. Source: S078 to S103.
///
/// Thread safety: loop thread only. Cancel safety: cancelling a task that awaits this one cancels
/// this one too; `shield` prevents that.
template <class T>
class Task : public Future<T> {
public:
    Task() noexcept = default;

    // A task completes itself.
    template <class U>
    void set_result(U&&) const = delete;
    void set_result() const = delete;
    template <class E>
    void set_exception(E&&) const = delete;

    operator AnyTask() const {  // NOLINT(google-explicit-constructor)
        return detail::HandleAccess::make<AnyTask>(&this->state());
    }

    std::string get_name() const { return AnyTask(*this).get_name(); }
    void set_name(std::string name) const { AnyTask(*this).set_name(std::move(name)); }
    int cancelling() const { return AnyTask(*this).cancelling(); }
    int uncancel() const { return AnyTask(*this).uncancel(); }
    Context get_context() const { return AnyTask(*this).get_context(); }
    std::vector<StackEntry> get_stack(std::optional<std::size_t> limit = std::nullopt) const {
        return AnyTask(*this).get_stack(limit);
    }
    void print_stack(std::ostream& out, std::optional<std::size_t> limit = std::nullopt) const {
        AnyTask(*this).print_stack(out, limit);
    }
    std::coroutine_handle<> get_coro() const { return AnyTask(*this).get_coro(); }

private:
    friend struct detail::HandleAccess;
    explicit Task(detail::FutureState* state) noexcept : Future<T>(state) {}
};

/// The task whose step is running in this thread; an empty handle in a plain callback.
/// Raises: RuntimeError if no loop runs in this thread. Source: S048.
ASYNCIO_API AnyTask current_task();
/// As above for a given loop; empty if it does not run.
ASYNCIO_API AnyTask current_task(EventLoop& loop);

/// The tasks that are not done, oldest first. Loop thread only. Source: S049.
ASYNCIO_API std::vector<AnyTask> all_tasks();
ASYNCIO_API std::vector<AnyTask> all_tasks(EventLoop& loop);

/// Schedules a coroutine on the running loop and returns at once. Forms:
///
///     create_task(coro)                    create_task({.name = "x"}, coro)
///     create_task(function, args...)       create_task({.name = "x"}, function, args...)
///
/// The forms with a function own it and copies of the arguments until the task is done; the copies
/// are passed as rvalues, and a `T&` parameter needs std::ref. Prefer them: a coroutine object
/// refers to whatever its function got by reference.
///
/// Raises: RuntimeError if no loop runs in this thread, or it is closed; the coroutine is then
/// closed, too. Cost: two pooled allocations with that of the coroutine. Source: S036, S050 to
/// S053, S058 to S065.
template <class T>
Task<T> create_task(Coro<T>&& coro, std::source_location here = std::source_location::current());
template <class T>
Task<T> create_task(TaskOptions options, Coro<T>&& coro);

}  // namespace asyncio::inline v0

#include <asyncio/detail/task_impl.hpp>
