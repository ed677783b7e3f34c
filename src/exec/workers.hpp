// What workers in threads and workers in processes have in common.
#pragma once

#include <asyncio/workers.hpp>

#include <vector>

namespace asyncio::inline v0 {
namespace detail {

/// One worker: its loop, which exists from the beginning, and its main task.
///
/// Thread safety: `run` and `cancel` belong to the worker's thread, or process.
class Worker {
public:
    Worker(std::size_t index, const WorkerMain& main, const WorkersOptions& options);

    EventLoop& loop() { return runner_.get_loop(); }
    /// Runs the main task, and closes the loop. Returns what it threw, or null.
    std::exception_ptr run() noexcept;
    /// Cancels the main task, once: one that has not begun never does. In a callback of the loop.
    void cancel();

private:
    Coro<void> run_main();

    const std::size_t index_;
    const std::string name_;
    const WorkerMain main_;  // outlives its coroutine, which refers to it
    Runner runner_;
    AnyTask task_;  // while it runs
    bool cancelled_ = false;
};

/// How the workers have ended, and what becomes of it.
class WorkerEnds {
public:
    /// Of one worker: what it threw, or null.
    void add(std::exception_ptr error);
    /// A signal asks all to end.
    void ask(int signal) noexcept;
    /// Whether those that run shall end.
    bool stopping() const noexcept { return signal_ != 0 || break_ != nullptr || !errors_.empty(); }
    /// When all have ended: throws what `run_workers` throws, if anything.
    void finish() const;

private:
    std::vector<std::exception_ptr> errors_;
    std::exception_ptr break_;  // the first LoopBreak
    int signal_ = 0;            // the first that asked
    bool any_cancelled_ = false;
};

/// The two ways to do it.
void run_worker_threads(std::size_t n, const WorkerMain& main, const WorkersOptions& options);
void run_worker_processes(std::size_t n, const WorkerMain& main, const WorkersOptions& options);

}  // namespace detail
}  // namespace asyncio::inline v0
