// EventLoop: runs callbacks, tasks, timers and I/O of one thread, in asyncio's order.
#pragma once

#include <asyncio/future.hpp>
#include <asyncio/handle.hpp>
#include <asyncio/poller.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace asyncio::inline v0 {

class AnyTask;
class BaseProtocol;
class BaseTransport;
class EventLoop;
class Executor;
template <class T>
class Task;

namespace detail {

// The links of a task in its loop's list, and of a future that listens to others.
struct TaskNode : ListNode {};
class AsyncGenerators;
class Intake;
class LoopDoor;
struct CompositeNode : ListNode {
    // The loop closes: let go of the futures this one listens to.
    virtual void detach() noexcept = 0;

protected:
    ~CompositeNode() = default;
};
struct LoopAccess;
struct InspectLayout;
struct SignalReceiver;
class InterruptScope;
class SignalHandlers;

// A loop's default executor, of which the core knows no more than that it goes when the loop
// closes.
class ASYNCIO_API DefaultExecutor {
public:
    virtual ~DefaultExecutor();
};

// What a loop is doing, for tools that look from outside: its tasks only change while `running`.
enum class LoopPhase : std::uint32_t { idle, polling, running };

}  // namespace detail

/// How `create_task` makes a task. Written inline it also carries the call site:
/// `create_task({.name = "reader"}, read, connection)`.
struct TaskOptions {
    /// Empty: "Task-<n>".
    std::string name{};
    /// The context to run in, shared and not copied. Without one: a copy of the current context.
    std::optional<Context> context{};
    /// True: the first step runs inside create_task. Without a value: as the task factory says.
    std::optional<bool> eager_start{};
    /// Shown in reports and by tools.
    std::source_location created_at = std::source_location::current();
};

/// What an exception handler is told (Python's context dictionary).
struct ErrorContext {
    std::string message;
    std::exception_ptr exception{};
    /// The future or task that is the subject, if there is one.
    AnyFuture future{};
    /// The callback that failed, if there is one.
    Handle handle{};
    /// The connection it happened on, and whom it tells, if there is one; valid during the call.
    BaseTransport* transport = nullptr;
    BaseProtocol* protocol = nullptr;
    /// Where the subject was created; line 0 if unknown.
    std::source_location created_at{};
};

using ExceptionHandler = std::function<void(EventLoop&, const ErrorContext&)>;

namespace detail {

template <class F>
constexpr void check_exception_handler() {
    static_assert(std::is_assignable_v<ExceptionHandler&, F>,
                  "an exception handler is called as handler(EventLoop&, const ErrorContext&)");
    if constexpr (std::invocable<F, EventLoop&, const ErrorContext&>) {
        static_assert(!CoroLike<std::invoke_result_t<F, EventLoop&, const ErrorContext&>>,
                      "an exception handler that is a coroutine would never run: call "
                      "create_task() in it");
    }
}

}  // namespace detail

/// Called for every new task, to set defaults in its options. May throw to refuse the task.
using TaskFactory = std::function<void(EventLoop&, TaskOptions&)>;

/// A task factory that starts tasks eagerly unless they say otherwise.
ASYNCIO_API void eager_task_factory(EventLoop& loop, TaskOptions& options);

struct LoopOptions {
    /// Not owned; must outlive the loop. Null: the monotonic clock.
    Clock* clock = nullptr;
    /// Null: epoll.
    std::unique_ptr<Poller> poller{};
    /// Without a value: true if the environment variable ASYNCIO_DEBUG is set and not empty or 0.
    std::optional<bool> debug{};
};

struct EventLoopDeleter {
    ASYNCIO_API void operator()(EventLoop* loop) const noexcept;
};
/// Owns a loop: closes it when it goes. Futures may keep the closed loop's memory a while longer.
using EventLoopPtr = std::unique_ptr<EventLoop, EventLoopDeleter>;

ASYNCIO_API EventLoopPtr new_event_loop(LoopOptions options = {});

/// The loop that runs in this thread. Raises: RuntimeError if none does.
ASYNCIO_API EventLoop& get_running_loop();
/// The loop that runs in this thread, or null.
ASYNCIO_API EventLoop* get_running_loop_or_null() noexcept;

/// The event loop.
///
/// One iteration: (1) calls of other threads join the ready queue; (2) poll, for as long as nothing
/// is ready and no timer is due; (3) finished I/O joins the queue, then due timers in the order of
/// their deadlines; (4) what is in the queue at this moment runs, in order. While work is ready,
/// (2) and (3) are skipped for at most 64 iterations and 50 us (the time is looked at in every
/// fourth), except on a virtual clock and in debug mode.
///
/// Invariants:
///  1. Everything scheduled is in `ready_`, in a future's list of callbacks, in `scheduled_`, or
///     with the poller; nothing is in two of them.
///  2. `tasks_` holds the pending tasks, oldest first, and one reference of each.
///  3. Only `intake_` is touched by other threads.
///
/// Thread safety: everything belongs to the thread that runs the loop, except
/// `call_soon_threadsafe`. Debug mode checks this.
class ASYNCIO_API EventLoop {
public:
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // ---- running

    /// Runs until `stop()`. Raises: RuntimeError if a loop runs in this thread or this one is
    /// closed; a LoopBreak that a callback or task threw. Source: S008 to S012.
    void run_forever();

    /// Runs until `future` is done; returns its result or throws its exception. Raises also:
    /// RuntimeError if the loop was stopped before, ValueError for a future of another loop.
    template <class T>
    T run_until_complete(Future<T> future);
    template <class T>
    T run_until_complete(Coro<T> coro);
    template <detail::AsCoro A>
    auto run_until_complete(A&& awaiter) {
        return run_until_complete(detail::to_coro(std::forward<A>(awaiter)));
    }

    /// Runs one iteration, waiting for at most `timeout` (for ever without one) if nothing is
    /// ready. For tests, and to embed the loop into another.
    void run_once(std::optional<Duration> timeout = std::nullopt);

    /// Ends `run_forever` after the callbacks of the current iteration. Source: S009, S010.
    void stop() noexcept { stopping_ = true; }

    bool is_running() const noexcept { return running_; }
    bool is_closed() const noexcept { return closed_; }

    /// Closes the AsyncGenerators that were begun on this loop and have not ended, all at once.
    /// What their clean-up throws is reported. A generator that begins later is warned about. `run`
    /// and Runner call this. Source: S323, S324.
    Coro<void> shutdown_asyncgens();

    /// Drops everything that is scheduled, destroys tasks that are left (each is reported), and
    /// gives the descriptors back. Idempotent. Raises: RuntimeError while running. Source: S018.
    void close();

    // ---- callbacks and timers

    /// Calls `callback()` in the next iteration, behind what is ready. Raises: RuntimeError on a
    /// closed loop. Source: S001.
    template <std::invocable F>
    Handle call_soon(F callback, std::source_location here = std::source_location::current()) {
        return schedule_soon(std::move(callback), here, nullptr);
    }
    template <std::invocable F>
    Handle call_soon(F callback, const Context& context,
                     std::source_location here = std::source_location::current()) {
        return schedule_soon(std::move(callback), here, &context);
    }
    /// Schedules a runnable that the caller owns. Cost: no allocation.
    void call_soon(Runnable& runnable);

    /// Calls `callback()` after `delay`. Delays of zero or less are due in the next iteration,
    /// behind what is ready. Raises: ValueError for NaN. Source: S023 to S031.
    template <class Rep, class Period, std::invocable F>
    TimerHandle call_later(std::chrono::duration<Rep, Period> delay, F callback,
                           std::source_location here = std::source_location::current()) {
        const TimePoint when = detail::later(time(), detail::to_duration(delay));
        return schedule_at(when, std::move(callback), here, nullptr);
    }
    template <class Rep, class Period, std::invocable F>
    TimerHandle call_later(std::chrono::duration<Rep, Period> delay, F callback,
                           const Context& context,
                           std::source_location here = std::source_location::current()) {
        const TimePoint when = detail::later(time(), detail::to_duration(delay));
        return schedule_at(when, std::move(callback), here, &context);
    }
    /// Seconds, as in Python.
    template <std::invocable F>
    TimerHandle call_later(double seconds, F callback,
                           std::source_location here = std::source_location::current()) {
        return call_later(detail::from_seconds(seconds), std::move(callback), here);
    }
    template <std::invocable F>
    TimerHandle call_later(double seconds, F callback, const Context& context,
                           std::source_location here = std::source_location::current()) {
        return call_later(detail::from_seconds(seconds), std::move(callback), context, here);
    }
    /// Calls `callback()` at a time on the loop's clock.
    template <std::invocable F>
    TimerHandle call_at(TimePoint when, F callback,
                        std::source_location here = std::source_location::current()) {
        return schedule_at(when, std::move(callback), here, nullptr);
    }
    template <std::invocable F>
    TimerHandle call_at(TimePoint when, F callback, const Context& context,
                        std::source_location here = std::source_location::current()) {
        return schedule_at(when, std::move(callback), here, &context);
    }

    /// As call_soon, from any thread or from a signal-free foreign context; wakes the loop. Calls
    /// of one thread run in order; a call that happens before a `call_soon` of the loop's thread
    /// runs before it. Raises: RuntimeError on a closed loop. Source: S195 to S197.
    template <std::invocable F>
    ThreadSafeHandle call_soon_threadsafe(F callback);

    /// The loop's clock. Differs from CPython: a time point; `time_seconds` is the number.
    TimePoint time() const {
        return clock_ == nullptr ? std::chrono::steady_clock::now() : clock_->now();
    }
    double time_seconds() const {
        return std::chrono::duration<double>(time().time_since_epoch()).count();
    }

    // ---- futures and tasks (the templates are in task.hpp)

    template <class T>
    Future<T> create_future(std::source_location here = std::source_location::current());

    template <class First, class... Args>
        requires(!std::same_as<std::remove_cvref_t<First>, TaskOptions>)
    auto create_task(First&& first, Args&&... args);
    template <class... Args>
    auto create_task(TaskOptions options, Args&&... args);

    void set_task_factory(TaskFactory factory) { task_factory_ = std::move(factory); }
    const TaskFactory& get_task_factory() const noexcept { return task_factory_; }

    // ---- errors and debugging

    /// `handler(loop, context)` is told of every error that nobody else could be; null: the log is.
    template <class F = ExceptionHandler>
    void set_exception_handler(F&& handler) {
        detail::check_exception_handler<F&>();
        exception_handler_ = std::forward<F>(handler);
    }
    const ExceptionHandler& get_exception_handler() const noexcept { return exception_handler_; }
    /// Writes the report to the log.
    void default_exception_handler(const ErrorContext& context);
    /// Hands a report to the handler. Throws nothing but a LoopBreak. Source: S310, S311.
    void call_exception_handler(const ErrorContext& context);

    /// Debug mode: reports slow callbacks and calls from the wrong thread, polls in every
    /// iteration. May be switched while running.
    void set_debug(bool debug) noexcept { debug_ = debug; }
    bool get_debug() const noexcept { return debug_; }
    /// In debug mode, a callback or step that takes at least this long is reported.
    Duration slow_callback_duration = std::chrono::milliseconds(100);

    // ---- other threads (src/exec; the template is in executors.hpp)

    /// Calls `function(args...)` in a thread of the executor; null means the loop's default one, a
    /// ThreadPoolExecutor that the first call makes. Returns a future of this loop. Raises:
    /// RuntimeError on a closed loop or once the executor is shut down. Source: S201, S202.
    template <class F, class... Args>
    auto run_in_executor(Executor* executor, F&& function, Args&&... args);
    /// The one before, if nobody else has it, is told `shutdown(false)`: its calls go on, and
    /// nobody waits for them. Raises: TypeError for null.
    void set_default_executor(std::shared_ptr<Executor> executor);
    /// Waits until the default executor has run what it was given, and has ended its threads; for
    /// at most `timeout`, after which they are warned about and left alone, as they are if there is
    /// no thread to wait in. `run` and Runner call this. Raises: what the executor's `shutdown`
    /// throws. Source: S203.
    Coro<void> shutdown_default_executor(std::optional<Duration> timeout = std::nullopt);

    // ---- file descriptors (src/io)

    /// Calls `callback()` whenever `fd` is readable; replaces an earlier reader of the same
    /// descriptor. The descriptor must stay open until `remove_reader`. Source: S020 to S022.
    template <std::invocable F>
    void add_reader(int fd, F callback) {
        watch(fd, IoDirection::read, new_handle(std::move(callback), {}, nullptr));
    }
    template <std::invocable F>
    void add_writer(int fd, F callback) {
        watch(fd, IoDirection::write, new_handle(std::move(callback), {}, nullptr));
    }
    /// Returns whether there was one; false on a closed loop.
    bool remove_reader(int fd) { return unwatch(fd, IoDirection::read); }
    bool remove_writer(int fd) { return unwatch(fd, IoDirection::write); }

    Poller& poller() noexcept { return *poller_; }

    // ---- signals (src/io)

    /// Calls `callback()` whenever the signal comes; replaces an earlier handler of it, of
    /// whichever loop. The call is a callback of the loop, in the iteration after the one that the
    /// signal wakes, so it may do anything. System calls that the signal meets go on (SA_RESTART).
    ///
    /// Signals that come together are called for together, in the order in which the first of each
    /// number came; none is lost but those that the kernel merges. In a forked child they have
    /// their default disposition again.
    ///
    /// Raises: ValueError for no signal's number; RuntimeError for one that cannot be caught, on a
    /// closed loop, and outside of the main thread. Source: S305 to S309.
    template <std::invocable F>
    void add_signal_handler(int number, F callback,
                            std::source_location here = std::source_location::current()) {
        handle_signal(number, new_handle(std::move(callback), here, nullptr));
    }
    /// Restores the default disposition: for SIGINT, while a Runner runs, its handling of Ctrl-C.
    /// Returns whether there was a handler; it is not called any more. Closing the loop removes
    /// all. Raises: ValueError.
    bool remove_signal_handler(int number);

    // ---- embedding

    /// A descriptor that is readable when `run_once(0s)` has something to do, provided that
    /// `prepare_to_block` was called since the last iteration; -1 on a closed loop.
    int fileno() const noexcept { return closed_ ? -1 : poller_->fileno(); }
    void prepare_to_block();
    /// Called around every poll that may block, for instance to release an interpreter's lock.
    void set_block_hooks(std::function<void()> before, std::function<void()> after);

    /// While at least one is announced, a virtual clock does not jump: something outside the loop
    /// (an executor's job, a process) will call back.
    void external_work_started() noexcept { ++external_work_; }
    void external_work_finished() noexcept { --external_work_; }

    /// Verifies the invariants; for tests. Aborts where they do not hold.
    void check_invariants() const noexcept { scheduled_.check(); }

private:
    friend class Driver;
    friend class ForeignDriver;
    friend class Handle;
    friend class Sleep;
    friend class Waiter;
    friend class detail::AsyncGenerators;
    friend class detail::FutureState;
    friend class detail::InterruptScope;
    friend class detail::SignalHandlers;
    friend class detail::LoopDoor;
    friend class detail::TaskState;
    friend class detail::HandleState;
    friend class detail::ThreadSafeState;
    friend struct detail::DoneCallback;
    friend struct detail::LoopAccess;
    friend struct detail::InspectLayout;
    friend class Runner;
    friend struct EventLoopDeleter;
    friend ASYNCIO_API EventLoopPtr new_event_loop(LoopOptions options);

    explicit EventLoop(LoopOptions options);
    ~EventLoop();
    void retain() noexcept { ++refs_; }
    void release() noexcept {
        if (--refs_ == 0) {
            delete this;
        }
    }

    // What can fail comes before the new handle, whose one reference is the scheduler's.
    template <class F>
    detail::HandleState* new_handle(F callback, std::source_location here, const Context* context) {
        detail::check_callback<F>();
        detail::ContextPtr copy = context != nullptr ? detail::ContextAccess::data(*context)
                                                     : detail::copy_current_context();
        auto* handle = new detail::HandleStateOf<F>(*this, std::move(callback));
        handle->created_at = here;
        handle->context = std::move(copy);
        return handle;
    }
    template <class F>
    Handle schedule_soon(F callback, std::source_location here, const Context* context) {
        check_usable();
        if (intake_waiting_.load(std::memory_order_acquire)) [[unlikely]] {
            drain_intake();  // what another thread scheduled before must run before
        }
        detail::HandleState* const handle = new_handle(std::move(callback), here, context);
        ready_.push_back(*handle);
        return Handle(handle);
    }
    template <class F>
    TimerHandle schedule_at(TimePoint when, F callback, std::source_location here,
                            const Context* context) {
        check_usable();
        scheduled_.reserve_one();
        detail::HandleState* const handle = new_handle(std::move(callback), here, context);
        handle->when = when;
        scheduled_.push(when, *handle);
        return TimerHandle(handle);
    }
    ThreadSafeHandle schedule_threadsafe(detail::ThreadSafeState* owned);
    // False if the loop, which may be gone, is closed: the runnable is then the caller's.
    static bool add_from_any_thread(EventLoop* loop, detail::Intake& intake, Runnable& runnable);
    bool may_be_polled() const noexcept;
    Executor& default_executor();
    void watch(int fd, IoDirection direction, detail::HandleState* owned);
    bool unwatch(int fd, IoDirection direction) noexcept;
    void handle_signal(int number, detail::HandleState* owned);

    // Refuses a closed loop and, in debug mode, another thread than the loop's.
    void check_usable() const {
        if (closed_ || debug_) [[unlikely]] {
            check_closely();
        }
    }
    void check_closely() const;
    void check_thread() const;
    void check_open() const {
        if (closed_) [[unlikely]] {
            throw_closed();
        }
    }
    [[noreturn]] static void throw_closed();

    struct RunScope;
    void iterate(std::optional<Duration> limit);
    bool may_skip_poll() noexcept;
    void poll(std::optional<Duration> limit);
    bool has_to_sleep(std::optional<Duration>& timeout, std::optional<Duration> limit);
    void fall_asleep();
    void wait_in_poller(std::optional<Duration> timeout);
    void set_phase(detail::LoopPhase phase) noexcept;
    void begin_epoch() noexcept {
        epoch_.store(epoch_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    void jump_to_next_deadline(std::optional<Duration> limit);
    std::optional<Duration> poll_timeout(std::optional<Duration> limit) const;
    void expire_timers();
    void run_ready();
    // Called in a handler. Throws the exception again if it is a LoopBreak.
    void report_escaped_exception();
    void run_timed(Runnable& runnable);
    void drain_intake();
    void take_signals();
    void call_custom_handler(const ErrorContext& context);
    void check_can_run() const;
    void run_until_done(detail::FutureState& future, bool new_task);
    void discard_scheduled() noexcept;
    void destroy_tasks() noexcept;
    std::string describe_waiting() const;

    // Constant after construction.
    Clock* clock_;
    std::unique_ptr<Poller> poller_;

    // Loop thread only.
    detail::IntrusiveList<Runnable> ready_;
    detail::TimerHeap scheduled_;
    detail::IntrusiveList<detail::TaskState, detail::TaskNode> tasks_;
    detail::IntrusiveList<detail::CompositeNode> composites_;
    std::uint64_t next_task_id_ = 0;
    std::uint64_t task_id_end_ = 0;
    std::uint64_t next_callback_id_ = 0;
    std::uint64_t skip_until_ticks_ = 0;
    std::uint32_t skipped_polls_ = 0;
    std::uint32_t refs_ = 1;
    std::uint32_t external_work_ = 0;
    bool running_ = false;
    bool stopping_ = false;
    bool closed_ = false;
    bool debug_ = false;
    const void* thread_ = nullptr;  // which runs the loop
    TaskFactory task_factory_;
    ExceptionHandler exception_handler_;
    std::shared_ptr<detail::AsyncGenerators> asyncgens_;         // null until there is one
    std::unique_ptr<detail::DefaultExecutor> default_executor_;  // null until there is one
    std::function<void()> before_block_;
    std::function<void()> after_block_;
    detail::SignalReceiver* signals_ = nullptr;  // among the composites; null until it is needed

    // Any thread. The flag is set under the intake's lock and read without; nothing that the loop
    // writes shares its cache line.
    alignas(64) detail::Intake* const intake_;  // owned, together with the doors
    std::atomic<bool> intake_waiting_{false};

    // Written by the kernel's signal handler; the loop is woken afterwards.
    std::atomic<bool> signalled_{false};

    // Written by the loop's thread for readers outside the process (src/inspect): what is read
    // between two equal epochs, both in a phase other than `running`, did not change meanwhile.
    alignas(64) std::atomic<std::uint64_t> epoch_{0};  // iterations begun
    std::atomic<detail::LoopPhase> phase_{detail::LoopPhase::idle};
    std::int32_t thread_id_ = 0;  // the kernel's; 0 while the loop does not run

    // Guarded by the registry's mutex: the next of the process's loops.
    EventLoop* next_loop_ = nullptr;
};

namespace detail {

template <class F>
struct ThreadSafeStateOf final : ThreadSafeState {
    explicit ThreadSafeStateOf(F callable) : callable(std::move(callable)) {}
    void call() override { std::invoke(*callable); }
    void drop() noexcept override { callable.reset(); }
    std::optional<F> callable;
};

// The way to a loop for other threads, which may find it closed, or gone.
class ASYNCIO_API LoopDoor {
public:
    explicit LoopDoor(EventLoop& loop) noexcept;
    LoopDoor(const LoopDoor& other) noexcept;
    LoopDoor& operator=(const LoopDoor&) = delete;
    ~LoopDoor();

    // As call_soon_threadsafe. If the loop is closed, the callable is destroyed here and now.
    template <std::invocable F>
    void call(F callback) const {
        pass(new ThreadSafeStateOf<F>(std::move(callback)));
    }

private:
    void pass(ThreadSafeState* owned) const;

    EventLoop* loop_;
    Intake* intake_;
};

}  // namespace detail

template <std::invocable F>
ThreadSafeHandle EventLoop::call_soon_threadsafe(F callback) {
    detail::check_callback<F>();
    detail::ContextPtr context = detail::copy_current_context();
    auto* state = new detail::ThreadSafeStateOf<F>(std::move(callback));
    state->context = std::move(context);
    return schedule_threadsafe(state);
}

inline void Driver::wake() noexcept { loop().ready_.push_back(*this); }

}  // namespace asyncio::inline v0
