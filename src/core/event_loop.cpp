// The event loop: one iteration after the other. Follows BaseEventLoop._run_once and run_forever of
// CPython's asyncio/base_events.py; where it deliberately differs, the line says so.
#include <asyncio/event_loop.hpp>
#include <asyncio/log.hpp>
#include <asyncio/task.hpp>

#include "base/exception_type.hpp"
#include "base/ticks.hpp"
#include "core/async_generators.hpp"
#include "core/intake.hpp"
#include "core/registry.hpp"
#include "core/signal_receiver.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace asyncio::inline v0 {

namespace {

// While work is ready, polling is put off for at most this many iterations and this long: a poll
// costs forty times a task switch. Longer would delay I/O noticeably.
constexpr std::uint32_t skipped_polls_max = 64;
constexpr Duration skipped_polls_time_max = std::chrono::microseconds(50);
// Reading the time costs as much as a task switch, so not every iteration does.
constexpr std::uint32_t skipped_polls_between_readings = 4;
static_assert(skipped_polls_max % skipped_polls_between_readings == 0);

// No single poll is longer, so that no kernel interface overflows (bpo-34263).
constexpr Duration poll_timeout_max = std::chrono::hours(24);

bool debug_from_environment() {
    const char* const value = std::getenv("ASYNCIO_DEBUG");
    return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

}  // namespace

Poller::~Poller() = default;
detail::DefaultExecutor::~DefaultExecutor() = default;

// ---- life

EventLoop::EventLoop(LoopOptions options)
    : clock_(options.clock), poller_(std::move(options.poller)),
      debug_(options.debug.has_value() ? *options.debug : debug_from_environment()),
      intake_(new detail::Intake) {
    detail::register_loop(*this);
}

EventLoop::~EventLoop() {
    ASYNCIO_ASSERT(closed_);
    intake_->release();
}

void EventLoopDeleter::operator()(EventLoop* loop) const noexcept {
    if (!loop->is_closed()) {
        try {
            loop->close();
        } catch (...) {
            detail::log(LogLevel::error, "an event loop was destroyed while it was running");
            std::abort();
        }
    }
    // Futures may outlive this, but not what the owner's callables refer to.
    const auto handler = std::exchange(loop->exception_handler_, nullptr);
    const auto factory = std::exchange(loop->task_factory_, nullptr);
    const auto before_block = std::exchange(loop->before_block_, nullptr);
    const auto after_block = std::exchange(loop->after_block_, nullptr);
    loop->release();
}

void EventLoop::close() {
    if (running_) {
        throw RuntimeError(
            "Cannot close a running event loop: call stop() and close it after run_forever() "
            "returned");
    }
    if (closed_) {
        return;
    }
    closed_ = true;
    detail::unregister_loop(*this);
    drain_intake();
    discard_scheduled();
    destroy_tasks();
    // Other threads may have dropped generators meanwhile. They were queued, because they may share
    // futures with the tasks: these had to go first.
    if (asyncgens_ != nullptr) {
        asyncgens_->close();
    }
    default_executor_.reset();
    intake_->close();
    drain_intake();
    discard_scheduled();
    while (!composites_.empty()) {
        composites_.front().detach();  // which unlinks it, and may let others go
    }
    discard_scheduled();
    detail::TaskState::return_ids(*this);
    poller_.reset();
}

void EventLoop::discard_scheduled() noexcept {
    while (!ready_.empty() || !scheduled_.empty()) {
        Runnable& runnable = ready_.empty() ? scheduled_.pop() : ready_.pop_front();
        if (detail::TaskState::from(runnable) == nullptr) {
            runnable.run_(runnable, Runnable::Turn::discard);
        }
    }
}

void EventLoop::destroy_tasks() noexcept {
    // Newest first: a task's frames may refer to those of the task that made it.
    std::vector<detail::StatePtr<detail::TaskState>> pending;
    tasks_.for_each([&pending](detail::TaskState& task) { pending.emplace_back(&task); });
    for (auto& task : pending) {
        task->report_destroyed_pending();
    }
    while (!pending.empty()) {
        if (!pending.back()->done()) {
            pending.back()->destroy_pending();
        }
        pending.pop_back();
    }
}

// ---- running

void EventLoop::throw_closed() {
    throw RuntimeError("Event loop is closed: create another one with new_event_loop() or run()");
}

void EventLoop::check_can_run() const {
    check_open();
    if (running_) {
        throw RuntimeError(
            "This event loop is already running: co_await the coroutine or use create_task() "
            "instead of running the loop again");
    }
    if (detail::thread_state.running_loop != nullptr) {
        throw RuntimeError(
            "Cannot run the event loop while another loop is running in this thread: co_await "
            "instead, or use another thread");
    }
}

// Makes the loop this thread's running one for a scope.
struct EventLoop::RunScope {
    explicit RunScope(EventLoop& loop) : loop(loop) {
        loop.check_can_run();
        loop.thread_ = detail::this_thread();
        loop.thread_id_ = detail::kernel_thread_id();
        loop.running_ = true;
        loop.set_phase(detail::LoopPhase::running);
        detail::thread_state.running_loop = &loop;
        detail::thread_state.driver = nullptr;
    }
    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;
    ~RunScope() {
        loop.fall_asleep();
        detail::thread_state.running_loop = nullptr;
        detail::thread_state.driver = outer_driver;
        loop.running_ = false;
        loop.set_phase(detail::LoopPhase::idle);
        loop.thread_id_ = 0;
        loop.thread_ = nullptr;
    }
    EventLoop& loop;
    // Not null in a child that a coroutine forked, which may run a loop of its own.
    Driver* const outer_driver = detail::thread_state.driver;
};

void EventLoop::run_forever() {
    const RunScope scope(*this);
    try {
        do {
            iterate(std::nullopt);
        } while (!stopping_);
    } catch (...) {
        stopping_ = false;
        throw;
    }
    stopping_ = false;
}

void EventLoop::run_once(std::optional<Duration> timeout) {
    const RunScope scope(*this);
    if (timeout) {
        timeout = std::clamp(*timeout, Duration::zero(), poll_timeout_max);
    }
    try {
        iterate(timeout);
    } catch (...) {
        stopping_ = false;
        throw;
    }
    stopping_ = false;  // the iteration is over; the next one may wait again
}

void EventLoop::run_until_done(detail::FutureState& future, bool new_task) {
    check_can_run();
    if (&future.loop() != this) {
        throw ValueError(
            "The future belongs to a different loop than the one specified as the loop argument");
    }
    const detail::StatePtr<detail::FutureState> alive(&future);
    if (new_task) {
        // An exception raised before it runs is the caller's; no report of a pending task then.
        future.set_log_destroy_pending(false);
    }
    const AnyFuture handle = detail::HandleAccess::make<AnyFuture>(&future);
    const CallbackId stopper = handle.add_done_callback([this, &future] {
        if (!future.failed() ||
            detail::classify(future.error()) != detail::ExceptionClass::loop_break) {
            stop();  // a loop-breaking error has left run_forever already
        }
    });
    try {
        run_forever();
    } catch (...) {
        handle.remove_done_callback(stopper);
        if (new_task && future.done() && !future.cancelled()) {
            future.mark_retrieved();  // the caller gets this very exception
        }
        throw;
    }
    handle.remove_done_callback(stopper);
    if (!future.done()) {
        throw RuntimeError(
            "Event loop stopped before Future completed: run it again to go on waiting");
    }
}

// ---- one iteration

void EventLoop::iterate(std::optional<Duration> limit) {
    begin_epoch();
    if (intake_waiting_.load(std::memory_order_acquire)) {
        drain_intake();
    }
    if (may_skip_poll()) {
        take_signals();
    } else {
        poll(limit);
    }
    run_ready();
}

bool EventLoop::may_skip_poll() noexcept {
    if (ready_.empty() || debug_ || (clock_ != nullptr && clock_->is_virtual())) {
        return false;
    }
    if (skipped_polls_ % skipped_polls_between_readings == 0) {
        const std::uint64_t now = detail::ticks();
        if (skipped_polls_ == skipped_polls_max || now >= skip_until_ticks_) {
            skipped_polls_ = 0;
            skip_until_ticks_ = now + detail::ticks_in(skipped_polls_time_max);
            return false;
        }
    }
    ++skipped_polls_;
    return true;
}

std::optional<Duration> EventLoop::poll_timeout(std::optional<Duration> limit) const {
    if (!ready_.empty() || stopping_) {
        return Duration::zero();
    }
    std::optional<Duration> timeout = limit;
    if (!scheduled_.empty()) {
        const TimePoint now = time();
        const TimePoint next = scheduled_.earliest();
        const Duration left =
            next <= now ? Duration::zero() : std::min(next - now, poll_timeout_max);
        timeout = timeout ? std::min(*timeout, left) : left;
    }
    return timeout;
}

void EventLoop::poll(std::optional<Duration> limit) {
    std::optional<Duration> timeout = poll_timeout(limit);
    const bool jumps = clock_ != nullptr && clock_->is_virtual() && external_work_ == 0;
    if (jumps && timeout != Duration::zero()) {
        // Virtual time passes only when nothing else can happen.
        wait_in_poller(Duration::zero());
        fall_asleep();  // there was external work before
        if (ready_.empty() && !intake_waiting_.load(std::memory_order_acquire)) {
            jump_to_next_deadline(limit);
        }
    } else {
        const bool blocks = timeout != Duration::zero();
        if (blocks && before_block_) {
            before_block_();
            timeout = poll_timeout(limit);  // the hook may have scheduled something
        }
        if (timeout == Duration::zero() || has_to_sleep(timeout, limit)) {
            wait_in_poller(timeout);
        }
        if (blocks && external_work_ != 0) {
            intake_->stay_awake();
        }
        if (blocks && after_block_) {
            after_block_();
        }
    }
    if (intake_waiting_.load(std::memory_order_acquire)) {
        drain_intake();
    }
    expire_timers();
}

// Before the loop blocks: waits a moment for other threads that work for it, if that is worth it,
// and has them wake it from then on. False if something has come, maybe from the kernel.
bool EventLoop::has_to_sleep(std::optional<Duration>& timeout, std::optional<Duration> limit) {
    const bool has_time = !timeout || *timeout > 2 * detail::Spinner::time_max;
    if (external_work_ != 0 && has_time && intake_->spinner().is_worth_it()) {
        if (poller_->watched() > 0) {
            wait_in_poller(Duration::zero());
            if (!ready_.empty()) {
                return false;
            }
        }
        intake_->stay_awake();
        intake_->spinner().spin(
            [this] {
                return intake_waiting_.load(std::memory_order_relaxed) ||
                       signalled_.load(std::memory_order_relaxed);
            },
            0);
        take_signals();
        timeout = poll_timeout(limit);
    }
    fall_asleep();
    return ready_.empty();
}

// Before whatever other threads must wake the loop from.
void EventLoop::fall_asleep() {
    if (!intake_->awake()) {
        return;
    }
    intake_->fall_asleep();
    if (intake_waiting_.load(std::memory_order_acquire)) {
        drain_intake();
    }
}

void EventLoop::wait_in_poller(std::optional<Duration> timeout) {
    Poller::ReadyList finished;
    set_phase(detail::LoopPhase::polling);
    poller_->poll(timeout, finished);
    set_phase(detail::LoopPhase::running);
    if (intake_waiting_.load(std::memory_order_acquire)) {
        drain_intake();  // calls that came while the loop waited precede what it waited for
    }
    ready_.splice_back(finished);
    take_signals();
}

void EventLoop::set_phase(detail::LoopPhase phase) noexcept {
    // Everything before is visible to who sees the phase, and the phase to who sees what follows.
    phase_.store(phase, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_release);
}

void EventLoop::jump_to_next_deadline(std::optional<Duration> limit) {
    if (!scheduled_.empty()) {
        const TimePoint now = time();
        const TimePoint next = std::max(scheduled_.earliest(), now);
        clock_->advance_to(limit ? std::min(next, now + *limit) : next);
    } else if (limit) {
        clock_->advance_to(time() + *limit);
    } else if (poller_->watched() > 0 || (signals_ != nullptr && signals_->handler_count > 0)) {
        wait_in_poller(std::nullopt);
    } else {
        throw DeadlockError(describe_waiting());
    }
}

std::string EventLoop::describe_waiting() const {
    std::string text = "deadlock: nothing is ready, no timer is pending and no descriptor or "
                       "signal is watched, so nothing can ever wake the program; waiting:";
    const_cast<EventLoop*>(this)->tasks_.for_each(
        [&text](detail::TaskState& task) { text += "\n  " + task.FutureState::repr(); });
    return text;
}

void EventLoop::expire_timers() {
    if (scheduled_.empty()) {
        return;
    }
    const TimePoint now = time();
    while (!scheduled_.empty() && scheduled_.earliest() <= now) {
        ready_.push_back(scheduled_.pop());
    }
}

void EventLoop::run_ready() {
    detail::ThreadState& thread = detail::thread_state;
    if (ready_.has_one() && !debug_) {
        // What two tasks do that wait for each other in turns.
        Runnable& runnable = ready_.pop_front();
        try {
            thread.driver = nullptr;
            runnable.run_(runnable, Runnable::Turn::run);
        } catch (...) {
            report_escaped_exception();
        }
        thread.driver = nullptr;
        return;
    }
    // Only what is ready at this moment: what is scheduled meanwhile runs in the next iteration.
    // If a LoopBreak ends the batch early, its rest stays queued, in front.
    struct Batch {
        explicit Batch(EventLoop& loop) : loop(loop) { rest.splice_back(loop.ready_); }
        Batch(const Batch&) = delete;
        Batch& operator=(const Batch&) = delete;
        ~Batch() { loop.ready_.splice_front(rest); }
        EventLoop& loop;
        detail::IntrusiveList<Runnable> rest;
    } batch(*this);
    while (!batch.rest.empty()) {
        try {
            if (debug_) [[unlikely]] {
                while (!batch.rest.empty()) {
                    run_timed(batch.rest.pop_front());
                }
            } else {
                while (!batch.rest.empty()) {
                    Runnable& runnable = batch.rest.pop_front();
                    thread.driver = nullptr;  // left behind by a task's step
                    runnable.run_(runnable, Runnable::Turn::run);
                }
            }
        } catch (...) {
            report_escaped_exception();
        }
    }
    thread.driver = nullptr;
}

void EventLoop::report_escaped_exception() {
    detail::thread_state.driver = nullptr;
    try {
        throw;
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        // Only foreign runnables let their exceptions out.
        ErrorContext context;
        context.message = "Exception in callback of a foreign runnable";
        context.exception = std::current_exception();
        call_exception_handler(context);
    }
}

void EventLoop::run_timed(Runnable& runnable) {
    // A task may be gone afterwards, and its name with it.
    const std::string name = detail::describe_runnable(runnable);
    detail::thread_state.driver = nullptr;
    const TimePoint before = time();
    runnable.run_(runnable, Runnable::Turn::run);
    const Duration took = time() - before;
    if (took >= slow_callback_duration) {
        char seconds[32];
        std::snprintf(seconds, sizeof seconds, "%.3f", std::chrono::duration<double>(took).count());
        detail::log(LogLevel::warning, "Executing " + name + " took " + seconds + " seconds");
    }
}

// ---- scheduling

void EventLoop::check_closely() const {
    check_open();
    check_thread();
}

void EventLoop::check_thread() const {
    if (debug_ && running_ && thread_ != detail::this_thread()) {
        throw RuntimeError(
            "Non-thread-safe operation invoked on an event loop other than the current one: use "
            "call_soon_threadsafe() from other threads");
    }
}

void EventLoop::call_soon(Runnable& runnable) {
    check_usable();
    if (runnable.scheduled()) {
        throw RuntimeError("this Runnable is scheduled already; wait until it has run");
    }
    ready_.push_back(runnable);
}

ThreadSafeHandle EventLoop::schedule_threadsafe(detail::ThreadSafeState* owned) {
    ThreadSafeHandle handle(owned);
    owned->loop = this;
    if (!add_from_any_thread(this, *intake_, *owned)) {
        owned->release();
        throw_closed();
    }
    return handle;
}

// Whether somebody may wait in the poller before the next iteration looks what is ready: the caller
// is called by the poller, or is a step between two iterations.
bool EventLoop::may_be_polled() const noexcept {
    return !running_ || phase_.load(std::memory_order_relaxed) == detail::LoopPhase::polling;
}

bool EventLoop::add_from_any_thread(EventLoop* loop, detail::Intake& intake, Runnable& runnable) {
    // The running loop may be another one at the same place.
    if (detail::thread_state.running_loop != loop || intake.closed()) {
        return intake.add(
            runnable, [loop] { loop->intake_waiting_.store(true, std::memory_order_release); },
            [loop] { loop->poller_->wake(); });
    }
    // From the loop's own thread: in line with its other calls.
    if (loop->intake_waiting_.load(std::memory_order_acquire)) {
        loop->drain_intake();
    }
    if (loop->may_be_polled() && loop->ready_.empty()) {
        loop->poller_->wake();
    }
    loop->ready_.push_back(runnable);
    return true;
}

namespace detail {

LoopDoor::LoopDoor(EventLoop& loop) noexcept : loop_(&loop), intake_(loop.intake_) {
    intake_->retain();
}

LoopDoor::LoopDoor(const LoopDoor& other) noexcept : loop_(other.loop_), intake_(other.intake_) {
    intake_->retain();
}

LoopDoor::~LoopDoor() { intake_->release(); }

void LoopDoor::pass(ThreadSafeState* owned) const {
    owned->loop = loop_;
    owned->release();  // there is no handle
    if (!EventLoop::add_from_any_thread(loop_, *intake_, *owned)) {
        owned->release();  // the queue's reference
    }
}

}  // namespace detail

void EventLoop::drain_intake() {
    intake_->take(ready_, [this] { intake_waiting_.store(false, std::memory_order_relaxed); });
}

void EventLoop::take_signals() {
    if (signalled_.load(std::memory_order_relaxed)) [[unlikely]] {
        signalled_.exchange(false);
        if (signals_ != nullptr && !signals_->scheduled()) {
            ready_.push_back(*signals_);
        }
    }
}

Coro<void> EventLoop::shutdown_asyncgens() { return detail::AsyncGenerators::shut_down(*this); }

// ---- errors

void EventLoop::default_exception_handler(const ErrorContext& context) {
    std::string text =
        context.message.empty() ? "Unhandled exception in event loop" : context.message;
    if (context.future) {
        text += "\nfuture: " + repr(context.future);
    }
    if (context.handle) {
        text += "\nhandle: " + repr(context.handle);
    }
    if (context.created_at.line() != 0) {
        text += std::string("\ncreated at ") + context.created_at.file_name() + ":" +
                std::to_string(context.created_at.line());
    }
    if (context.exception != nullptr) {
        text += "\n" + describe_exception(context.exception);
    }
    detail::log(LogLevel::error, text);
}

void EventLoop::call_exception_handler(const ErrorContext& context) {
    if (exception_handler_) {
        try {
            call_custom_handler(context);
            return;
        } catch (const LoopBreak&) {
            throw;
        } catch (...) {
            ErrorContext nested;
            nested.message =
                "Unhandled error in exception handler, which was told: " + context.message;
            if (context.exception != nullptr) {
                nested.message += " (" + describe_exception(context.exception) + ")";
            }
            nested.exception = std::current_exception();
            nested.future = context.future;
            nested.handle = context.handle;
            nested.created_at = context.created_at;
            try {
                default_exception_handler(nested);
            } catch (...) {
                detail::log(LogLevel::error, "Exception in default exception handler");
            }
            return;
        }
    }
    try {
        default_exception_handler(context);
    } catch (...) {
        detail::log(LogLevel::error, "Exception in default exception handler");
    }
}

void EventLoop::call_custom_handler(const ErrorContext& context) {
    // A copy: the handler may replace itself.
    const ExceptionHandler handler = exception_handler_;
    // In the context of what failed, so that its variables can be logged. That of a callback is the
    // current one already.
    if (context.future &&
        detail::HandleAccess::state(context.future).kind() == detail::FutureKind::task) {
        auto& task = static_cast<detail::TaskState&>(detail::HandleAccess::state(context.future));
        task.context().run(handler, *this, context);
    } else {
        handler(*this, context);
    }
}

// ---- embedding

void EventLoop::prepare_to_block() {
    check_open();
    std::optional<Duration> timeout = poll_timeout(std::nullopt);
    if (intake_waiting_.load(std::memory_order_acquire)) {
        timeout = Duration::zero();
    }
    poller_->arm(timeout);
}

void EventLoop::set_block_hooks(std::function<void()> before, std::function<void()> after) {
    before_block_ = std::move(before);
    after_block_ = std::move(after);
}

// ---- module functions

void eager_task_factory(EventLoop&, TaskOptions& options) {
    if (!options.eager_start) {
        options.eager_start = true;
    }
}

EventLoop& get_running_loop() {
    EventLoop* const loop = detail::thread_state.running_loop;
    if (loop == nullptr) {
        throw RuntimeError(
            "no running event loop in this thread: call this from a coroutine or callback, or "
            "start one with asyncio::run()");
    }
    return *loop;
}

EventLoop* get_running_loop_or_null() noexcept { return detail::thread_state.running_loop; }

namespace detail {

void LoopAccess::admit_task(EventLoop& loop, TaskOptions& options) {
    loop.check_usable();
    if (loop.intake_waiting_.load(std::memory_order_acquire)) {
        loop.drain_intake();  // what another thread scheduled before must run before
    }
    if (loop.task_factory_) {
        // A copy: the factory may replace itself.
        const TaskFactory factory = loop.task_factory_;
        factory(loop, options);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
