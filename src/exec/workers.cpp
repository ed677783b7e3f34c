// run_workers: one worker, and how many of them end. Whether they are threads or processes is in
// files of their own.
#include "exec/workers.hpp"

#include <asyncio/exception_group.hpp>

#include "base/processors.hpp"

#include <csignal>

namespace asyncio::inline v0 {

BrokenWorker::~BrokenWorker() = default;

namespace detail {

// ---- one worker

Worker::Worker(std::size_t index, const WorkerMain& main, const WorkersOptions& options)
    : index_(index), name_(options.name + "_" + std::to_string(index)), main_(main),
      runner_({.debug = options.debug}) {}

std::exception_ptr Worker::run() noexcept {
    try {
        run_and_close(runner_, [this] { runner_.run(run_main()); });
        return nullptr;
    } catch (...) {
        return std::current_exception();
    }
}

Coro<void> Worker::run_main() {
    task_ = current_task();
    task_.set_name(name_);
    const struct Forget {
        AnyTask& task;
        ~Forget() { task = {}; }
    } at_the_end{task_};
    if (cancelled_) {
        throw CancelledError();  // as a task that has not begun never does
    }
    co_await main_(index_);
}

void Worker::cancel() {
    if (!std::exchange(cancelled_, true) && task_) {
        task_.cancel();
    }
}

// ---- all workers

void WorkerEnds::add(std::exception_ptr error) {
    if (error == nullptr) {
        return;
    }
    if (is_exception<CancelledError>(error)) {
        any_cancelled_ = true;
    } else if (!is_exception<LoopBreak>(error)) {
        errors_.push_back(std::move(error));
    } else if (break_ == nullptr) {
        break_ = std::move(error);
    }
}

void WorkerEnds::ask(int signal) noexcept {
    if (signal_ == 0) {
        signal_ = signal;
    }
}

void WorkerEnds::finish() const {
    if (break_ != nullptr) {
        std::rethrow_exception(break_);
    }
    if (errors_.size() == 1) {
        std::rethrow_exception(errors_.front());
    }
    if (!errors_.empty()) {
        std::rethrow_exception(make_exception_group("unhandled errors of workers", errors_));
    }
    if (any_cancelled_ && signal_ == SIGINT) {
        throw KeyboardInterrupt();
    }
    if (any_cancelled_ && signal_ == SIGTERM) {
        throw SystemExit(128 + SIGTERM);  // as a shell calls it
    }
}

void run_workers(std::optional<std::size_t> n, const WorkerMain& main,
                 const WorkersOptions& options) {
    if (n == std::size_t{0}) {
        throw ValueError("run_workers needs at least one worker");
    }
    if (options.restart && !options.processes) {
        throw ValueError("a thread that crashes ends the program: only processes can be replaced");
    }
    if (get_running_loop_or_null() != nullptr) {
        throw RuntimeError("run_workers() cannot be called from a running event loop");
    }
    const auto run = options.processes ? run_worker_processes : run_worker_threads;
    run(n.value_or(usable_processors()), main, options);
}

}  // namespace detail
}  // namespace asyncio::inline v0
