// Workers in threads. The calling thread runs a loop, too, which waits for them and hears of
// signals.
#include <asyncio/executors.hpp>
#include <asyncio/wait.hpp>

#include "exec/workers.hpp"
#include "io/signals.hpp"
#include "io/thread.hpp"

#include <deque>
#include <thread>

namespace asyncio::inline v0 {
namespace detail {

namespace {

/// Everything but what runs in the thread belongs to the calling thread.
class WorkerThread {
public:
    WorkerThread(std::size_t index, const WorkerMain& main, const WorkersOptions& options)
        : worker_(index, main, options), door_(worker_.loop()) {}
    WorkerThread(const WorkerThread&) = delete;
    WorkerThread& operator=(const WorkerThread&) = delete;
    ~WorkerThread() {
        if (thread_.joinable()) {
            cancel();
            thread_.join();
        }
    }

    /// The future: what the worker threw, or null. Raises: std::system_error.
    ThreadFuture<std::exception_ptr> start(const std::string& name) {
        auto end = ThreadFutureAccess::make_call([this] { return worker_.run(); });
        thread_ = start_thread(name, [job = ThreadFutureAccess::make_job(ThreadFutureAccess::state(
                                          end))]() mutable { std::move(job).run(); });
        return end;
    }
    void cancel() {
        door_.call([this] { worker_.cancel(); });
    }
    void interrupt() {
        door_.call([] { throw KeyboardInterrupt(); });
    }

private:
    Worker worker_;
    const LoopDoor door_;
    std::thread thread_;
};

class WorkerThreads {
public:
    WorkerThreads(std::size_t n, const WorkerMain& main, const WorkersOptions& options)
        : options_(options), runner_({.debug = options.debug}) {
        for (std::size_t i = 0; i < n; ++i) {
            threads_.emplace_back(i, main, options);
        }
    }

    void run() {
        interruptible([this] { runner_.run(supervise()); });
        interruptible([this] { runner_.close(); });
        threads_.clear();  // waits, if a loop was broken
        ends_.finish();
    }

private:
    // The first Ctrl-C cancels the task that supervises, the second one throws: then all loops are
    // broken, and what is left is what `close` does.
    void interruptible(const std::function<void()>& step) {
        try {
            step();
        } catch (const KeyboardInterrupt&) {
            ends_.add(std::current_exception());
            for (WorkerThread& thread : threads_) {
                thread.interrupt();
            }
        }
    }

    Coro<void> supervise() {
        const AnyTask self = current_task();
        self.set_name("run_workers");
        if (may_handle(SIGTERM)) {
            get_running_loop().add_signal_handler(SIGTERM, [this, self] {
                ends_.ask(SIGTERM);
                self.cancel();
            });
        }
        std::vector<Future<std::exception_ptr>> running = start_all();
        while (!running.empty()) {
            if (ends_.stopping()) {
                cancel_all();
            }
            try {
                auto [done, pending] =
                    co_await wait(running, {.return_when = ReturnWhen::first_completed});
                for (const Future<std::exception_ptr>& end : done) {
                    ends_.add(end.result());
                }
                running = std::move(pending);
            } catch (const CancelledError&) {
                ends_.ask(SIGINT);
            }
        }
    }

    std::vector<Future<std::exception_ptr>> start_all() {
        std::vector<Future<std::exception_ptr>> started;
        try {
            for (std::size_t i = 0; i < threads_.size(); ++i) {
                started.push_back(wrap_future(threads_[i].start(thread_name(options_.name, i))));
            }
        } catch (...) {
            ends_.add(std::current_exception());
        }
        return started;
    }

    void cancel_all() {
        for (WorkerThread& thread : threads_) {
            thread.cancel();
        }
    }

    const WorkersOptions& options_;
    std::deque<WorkerThread> threads_;  // they stay where they are
    WorkerEnds ends_;
    Runner runner_;
};

}  // namespace

void run_worker_threads(std::size_t n, const WorkerMain& main, const WorkersOptions& options) {
    WorkerThreads(n, main, options).run();
}

}  // namespace detail
}  // namespace asyncio::inline v0
