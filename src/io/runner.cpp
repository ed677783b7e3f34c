// run and Runner. Follows CPython's asyncio/runners.py.
#include <asyncio/log.hpp>
#include <asyncio/runners.hpp>

#include "core/async_generators.hpp"
#include "io/signals.hpp"

#include <functional>
#include <vector>

namespace asyncio::inline v0 {

namespace {

// Tasks may start others while they are cancelled, and drop generators, which tasks close. Each
// round cancels what the one before left; a program that needs more than this makes tasks for ever.
constexpr int teardown_rounds_max = 100;

// So long the threads of the default executor may take to end.
constexpr Duration executor_timeout = std::chrono::seconds(300);

// Runs the loop until every task is done.
void wait_for_all(EventLoop& loop, const std::vector<AnyTask>& tasks) {
    const Future<void> finished = loop.create_future<void>();
    std::size_t left = tasks.size();
    for (const AnyTask& task : tasks) {
        task.add_done_callback([&finished, &left] {
            if (--left == 0) {
                finished.set_result();
            }
        });
    }
    loop.run_until_complete(finished);
}

}  // namespace

Runner::Runner(RunOptions options) : options_(std::move(options)) {}

Runner::~Runner() {
    try {
        close();
    } catch (...) {
        // The exception that is on its way out, if any, matters more than this one.
        detail::log(LogLevel::error,
                    "while closing a Runner: " + describe_exception(std::current_exception()));
    }
}

void Runner::check_can_run() const {
    if (detail::thread_state.running_loop != nullptr) {
        throw RuntimeError(
            "run() cannot be called from a running event loop: co_await the coroutine, or make it "
            "a task with create_task()");
    }
}

void Runner::initialise() {
    if (state_ == State::closed) {
        throw RuntimeError("Runner is closed: make another one");
    }
    if (state_ == State::initialised) {
        return;
    }
    loop_ = options_.loop_factory ? options_.loop_factory() : new_event_loop();
    if (options_.debug.has_value()) {
        loop_->set_debug(*options_.debug);
    }
    context_ = copy_context();
    state_ = State::initialised;
}

EventLoop& Runner::get_loop() {
    initialise();
    return *loop_;
}

void Runner::run_main(const AnyTask& task) {
    interrupt_count_ = 0;
    detail::InterruptScope interrupts(*loop_, [this, &task] {
        if (++interrupt_count_ == 1 && !task.done()) {
            task.cancel();
        } else {
            throw KeyboardInterrupt();
        }
    });
    loop_->run_until_done(detail::HandleAccess::state(task), true);
    if (interrupts.end()) {
        throw KeyboardInterrupt();  // it came when the main task had just ended
    }
    if (interrupt_count_ > 0 && task.cancelled() && task.uncancel() == 0) {
        throw KeyboardInterrupt();
    }
}

void Runner::cancel_tasks(const std::vector<AnyTask>& tasks) {
    for (const AnyTask& task : tasks) {
        detail::cancel_or_tear_out(detail::HandleAccess::state(task), {});
    }
    wait_for_all(*loop_, tasks);
    for (const AnyTask& task : tasks) {
        if (!task.cancelled() && task.exception() != nullptr) {
            ErrorContext context;
            context.message = "unhandled exception during asyncio.run() shutdown";
            context.exception = task.exception();
            context.future = task;
            context.created_at = task.created_at();
            loop_->call_exception_handler(context);
        }
    }
}

void Runner::tear_down() {
    for (int round = 0; round < teardown_rounds_max; ++round) {
        const std::vector<AnyTask> tasks = all_tasks(*loop_);
        if (!tasks.empty()) {
            cancel_tasks(tasks);
        }
        if (loop_->asyncgens_ != nullptr) {
            loop_->run_until_complete(loop_->shutdown_asyncgens());
        }
        if (all_tasks(*loop_).empty() &&
            (loop_->asyncgens_ == nullptr || loop_->asyncgens_->empty())) {
            return;
        }
    }
    detail::log(LogLevel::error, "tasks were still being created after " +
                                     std::to_string(teardown_rounds_max) +
                                     " rounds of cancelling all tasks; they are destroyed");
}

void Runner::close() {
    if (state_ != State::initialised) {
        state_ = State::closed;
        return;
    }
    check_can_run();
    state_ = State::closed;
    try {
        detail::InterruptScope interrupts(*loop_, [] { throw KeyboardInterrupt(); });
        tear_down();
        if (loop_->default_executor_ != nullptr) {
            loop_->run_until_complete(loop_->shutdown_default_executor(executor_timeout));
        }
        if (interrupts.end()) {
            throw KeyboardInterrupt();
        }
    } catch (...) {
        loop_->close();
        loop_.reset();
        throw;
    }
    loop_->close();
    loop_.reset();
}

}  // namespace asyncio::inline v0
