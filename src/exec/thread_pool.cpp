// Threads on demand, and jobs in the order in which they came. Follows CPython's
// concurrent/futures/thread.py.
#include "exec/thread_pool.hpp"

#include <asyncio/log.hpp>

#include "base/processors.hpp"
#include "exec/fork_count.hpp"
#include "io/thread.hpp"

#include <algorithm>
#include <atomic>

namespace asyncio::inline v0 {

namespace detail {

namespace {

const char broken_message[] = "the thread pool is broken: a thread's initializer has failed";

// Whose thread this is.
thread_local const ThreadPool* own_pool = nullptr;

std::exception_ptr broken_error() {
    return std::make_exception_ptr(BrokenThreadPool(broken_message));
}

std::string default_name() {
    static std::atomic<std::size_t> pools{0};
    return "ThreadPool-" + std::to_string(pools.fetch_add(1));
}

std::size_t checked_workers(std::optional<std::size_t> threads_max) {
    if (threads_max == std::size_t{0}) {
        throw ValueError("max_workers must be greater than 0");
    }
    return threads_max ? *threads_max : std::min<std::size_t>(32, usable_processors() + 4);
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads_max, std::string name, std::function<void()> initializer)
    : threads_max_(threads_max), name_(std::move(name)), initializer_(std::move(initializer)) {}

bool ThreadPool::is_forked() const noexcept {
    return has_threads_.load(std::memory_order_acquire) && forks_ != fork_count();
}

// ---- any thread

void ThreadPool::check_open() const {
    if (broken_) {
        throw BrokenThreadPool(broken_message);
    }
    if (shut_down_) {
        throw RuntimeError("cannot schedule new futures after shutdown");
    }
}

void ThreadPool::add(Job job) {
    if (is_forked()) {
        throw RuntimeError(
            "the thread pool belongs to the process that made it, and a fork of that "
            "has none of its threads: make another pool there");
    }
    bool is_seen = false;
    {
        const std::lock_guard lock(mutex_);
        check_open();
        if (queued() >= idle_ && started_ < threads_max_) {
            start_one();
        }
        const JobPtr state = ThreadFutureAccess::release(job);
        state->set_queue(shared_from_this());
        state->retain();  // the queue's reference
        queue_.push_back(*state);
        set_queued(queued() + 1);
        is_seen = spinning_ && queued() == 1;
    }
    if (!is_seen) {
        changed_.notify_one();
    }
}

void ThreadPool::start_one() {
    threads_.emplace_back();  // first, because one that has begun must have a place
    if (!has_threads_.load(std::memory_order_relaxed)) {
        forks_ = fork_count();
        has_threads_.store(true, std::memory_order_release);
    }
    try {
        threads_.back() = start_thread(thread_name(name_, started_),
                                       [self = shared_from_this()] { self->run_thread(); });
        ++started_;
    } catch (...) {
        threads_.pop_back();
        if (started_ == 0) {
            throw;
        }
    }
}

void ThreadPool::withdraw(ThreadFutureState& job) noexcept {
    if (is_forked()) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        if (!job.linked()) {
            return;  // a thread has it, and will see that it is cancelled
        }
        job.unlink();
        set_queued(queued() - 1);
    }
    job.release();
}

void ThreadPool::shut_down(bool wait, bool cancel_jobs) {
    std::unique_lock lock(mutex_);
    shut_down_ = true;
    left_alone_ = !wait;
    changed_.notify_all();
    while (cancel_jobs && queued() > 0) {
        const JobPtr job = pop();
        lock.unlock();
        job->cancel();
        lock.lock();
    }
    lock.unlock();
    // A thread of the pool cannot wait for itself, nor for one that waits for it.
    if (wait && own_pool != this) {
        join();
    }
}

void ThreadPool::join() {
    std::unique_lock lock(mutex_);
    std::vector<std::thread> threads = std::exchange(threads_, {});
    joining_ += threads.size();
    lock.unlock();
    for (std::thread& thread : threads) {
        thread.join();
    }
    lock.lock();
    joining_ -= threads.size();
    joined_.notify_all();
    joined_.wait(lock, [this] { return joining_ == 0; });
}

void ThreadPool::let_go() {
    std::unique_lock lock(mutex_);
    if (!left_alone_) {
        lock.unlock();
        shut_down(true, false);
        lock.lock();
    }
    for (std::thread& thread : threads_) {
        thread.detach();
    }
    threads_.clear();
}

// ---- in the threads

void ThreadPool::run_thread() noexcept {
    own_pool = this;
    if (!initialise()) {
        break_down();
        return;
    }
    while (const JobPtr job = next_job()) {
        job->run();
    }
}

bool ThreadPool::initialise() noexcept {
    if (!initializer_) {
        return true;
    }
    try {
        initializer_();
        return true;
    } catch (...) {
        log(LogLevel::error, "exception in the initializer of a thread pool: " +
                                 describe_exception(std::current_exception()));
        return false;
    }
}

ThreadPool::JobPtr ThreadPool::pop() noexcept {
    JobPtr job(&queue_.pop_front());
    job->release();  // the queue's reference
    set_queued(queued() - 1);
    return job;
}

ThreadPool::JobPtr ThreadPool::next_job() noexcept {
    std::unique_lock lock(mutex_);
    ++idle_;
    if (queued() == 0) {
        spin(lock);
    }
    changed_.wait(lock, [this] { return queued() > 0 || shut_down_; });
    --idle_;
    return queued() > 0 ? pop() : JobPtr();
}

void ThreadPool::spin(std::unique_lock<std::mutex>& lock) noexcept {
    if (spinning_ || shut_down_ || !spinner_.is_worth_it()) {
        return;
    }
    const std::size_t busy = started_ - idle_;
    spinning_ = true;
    lock.unlock();
    spinner_.spin([this] { return queued() > 0; }, busy);
    lock.lock();
    spinning_ = false;
}

void ThreadPool::break_down() noexcept {
    std::unique_lock lock(mutex_);
    broken_ = true;
    while (queued() > 0) {
        const JobPtr job = pop();
        lock.unlock();
        job->fail(broken_error());
        lock.lock();
    }
}

}  // namespace detail

// ---- the public door

BrokenThreadPool::~BrokenThreadPool() = default;

Executor::~Executor() = default;

ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolOptions options)
    : pool_(std::make_shared<detail::ThreadPool>(detail::checked_workers(options.max_workers),
                                                 options.thread_name_prefix.empty()
                                                     ? detail::default_name()
                                                     : std::move(options.thread_name_prefix),
                                                 std::move(options.initializer))) {}

ThreadPoolExecutor::~ThreadPoolExecutor() {
    if (pool_->is_forked()) {
        new std::shared_ptr(pool_);  // it stays: its threads can be neither joined nor let go
        return;
    }
    pool_->let_go();
}

void ThreadPoolExecutor::execute(Job job) { pool_->add(std::move(job)); }

void ThreadPoolExecutor::shutdown(bool wait, bool cancel_futures) {
    if (!pool_->is_forked()) {
        pool_->shut_down(wait, cancel_futures);
    }
}

}  // namespace asyncio::inline v0
