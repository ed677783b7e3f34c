// The threads of a ThreadPoolExecutor and the queue between them and everybody else.
#pragma once

#include <asyncio/executors.hpp>

#include "base/spinner.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

/// The executor and the threads share it.
///
/// Invariants:
///  1. A job in `queue_` is pending, or is being cancelled and about to be withdrawn. The queue
///     owns a reference of each; `queued_` is their number.
///  2. Of the threads, `idle_` wait for a job; others come for one when they are done with theirs.
///  3. At most one thread spins: it sees that `queued_` changes, and needs no wake-up.
///  4. Every thread is in `threads_`, or has been taken out to be joined, by another one than those
///     of the pool, or to be left alone. `joining_` counts those that are being joined.
///  5. In a forked child of where the first thread was made, nothing but constants is touched:
///     whoever had the mutex is not there. `forks_` is constant once `has_threads_` is set.
///
/// Thread safety: any thread.
class ThreadPool final : public JobQueue, public std::enable_shared_from_this<ThreadPool> {
public:
    ThreadPool(std::size_t threads_max, std::string name, std::function<void()> initializer);

    /// Raises: RuntimeError after `shut_down`, and in a forked child; BrokenThreadPool;
    /// std::system_error if there is no thread and none can be made.
    void add(Job job);
    void withdraw(ThreadFutureState& job) noexcept override;

    /// Whether the threads are those of a process that this one was forked from.
    bool is_forked() const noexcept;

    // Requires, for all that follow: not forked.

    /// `wait`: until the threads have ended, but not in one of them.
    void shut_down(bool wait, bool cancel_jobs);
    /// When the executor goes: waits, unless the latest `shut_down` did not. Threads that still
    /// run are nobody's from then on.
    void let_go();

private:
    using JobPtr = StatePtr<ThreadFutureState>;

    void check_open() const;
    void start_one();
    void join();
    void run_thread() noexcept;
    bool initialise() noexcept;
    JobPtr next_job() noexcept;
    void spin(std::unique_lock<std::mutex>& lock) noexcept;
    JobPtr pop() noexcept;
    void break_down() noexcept;
    std::size_t queued() const noexcept { return queued_.load(std::memory_order_relaxed); }
    void set_queued(std::size_t count) noexcept { queued_.store(count, std::memory_order_relaxed); }

    const std::size_t threads_max_;
    const std::string name_;
    const std::function<void()> initializer_;
    std::uint32_t forks_ = 0;               // of the program, when the first thread was made
    std::atomic<bool> has_threads_{false};  // or has tried to

    std::mutex mutex_;
    // Guarded by mutex_; a thread that spins reads `queued_` without.
    std::condition_variable changed_;
    std::condition_variable joined_;
    IntrusiveList<ThreadFutureState> queue_;
    std::size_t idle_ = 0;
    std::size_t started_ = 0;
    std::size_t joining_ = 0;
    std::vector<std::thread> threads_;
    Spinner spinner_;
    bool spinning_ = false;
    bool shut_down_ = false;
    bool left_alone_ = false;
    bool broken_ = false;
    // In a cache line of its own.
    alignas(64) std::atomic<std::size_t> queued_{0};
};

}  // namespace detail
}  // namespace asyncio::inline v0
