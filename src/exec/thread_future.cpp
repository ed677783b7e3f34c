// The state of a call in another thread. Follows CPython's concurrent/futures/_base.py.
#include <asyncio/log.hpp>
#include <asyncio/thread_future.hpp>

#include <condition_variable>

namespace asyncio::inline v0 {
namespace detail {

namespace {

[[noreturn]] void throw_moved() {
    throw InvalidStateError("the result of this ThreadFuture was moved out already: call "
                            "result() on an lvalue to keep it");
}

}  // namespace

void throw_null_thread_future() {
    throw RuntimeError(
        "this ThreadFuture is empty (default constructed or moved from); submit() of "
        "an executor and run_coroutine_threadsafe() give one");
}

ThreadFutureState::~ThreadFutureState() {
    while (!callbacks_.empty()) {
        delete &callbacks_.pop_front();
    }
}

bool ThreadFutureState::leave_pending(Status status) noexcept {
    Status expected = Status::pending;
    return status_.compare_exchange_strong(expected, status, std::memory_order_acq_rel);
}

bool ThreadFutureState::cancel() noexcept {
    if (!leave_pending(Status::cancelled)) {
        return status() == Status::cancelled;
    }
    // A callback may drop the handle through which this was called.
    const StatePtr<ThreadFutureState> alive(this);
    if (queue_ != nullptr) {
        std::exchange(queue_, nullptr)->withdraw(*this);
    }
    drop_call();
    call_callbacks(std::unique_lock(mutex_));
    return true;
}

bool ThreadFutureState::begin() noexcept {
    const bool begun = leave_pending(Status::running);
    ASYNCIO_ASSERT(begun || status() == Status::cancelled);
    return begun;
}

void ThreadFutureState::finish() noexcept {
    // What the call owns is gone before anybody learns that it has ended.
    drop_call();
    queue_ = nullptr;
    std::unique_lock lock(mutex_);
    status_.store(Status::finished, std::memory_order_release);
    call_callbacks(std::move(lock));
}

void ThreadFutureState::run() noexcept {
    if (begin()) {
        call();
        finish();
    }
}

void ThreadFutureState::fail(std::exception_ptr error) noexcept {
    if (begin()) {
        receiver().error = std::move(error);
        finish();
    }
}

// ---- who waits

void ThreadFutureState::add_callback(std::unique_ptr<ThreadCallback> callback) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!done()) {
            callbacks_.push_back(*callback.release());
            return;
        }
    }
    callback.release()->call(*this);
}

void ThreadFutureState::call_callbacks(std::unique_lock<std::mutex> lock) noexcept {
    // One after the other, because those that wait for a time may leave meanwhile.
    while (!callbacks_.empty()) {
        ThreadCallback& callback = callbacks_.pop_front();
        const bool was_last = callbacks_.empty();
        lock.unlock();
        callback.call(*this);
        if (was_last) {
            return;
        }
        lock.lock();
    }
}

// A thread that blocks until the future is done; lives on its stack.
struct ThreadFutureState::Waker final : ThreadCallback {
    void call(ThreadFutureState&) noexcept override {
        const std::lock_guard lock(mutex);
        woken = true;
        changed.notify_one();  // under the lock: the waiting thread destroys this afterwards
    }
    bool wait(std::optional<Duration> timeout) {
        std::unique_lock lock(mutex);
        const auto is_woken = [this] { return woken; };
        if (timeout) {
            return changed.wait_for(lock, *timeout, is_woken);
        }
        changed.wait(lock, is_woken);
        return true;
    }
    std::mutex mutex;
    std::condition_variable changed;
    bool woken = false;
};

void ThreadFutureState::wait(std::optional<Duration> timeout) {
    if (done()) {
        return;
    }
    Waker waker;
    {
        const std::lock_guard lock(mutex_);
        if (done()) {
            return;
        }
        // In front: a callback may take its time.
        IntrusiveList<ThreadCallback> first;
        first.push_back(waker);
        callbacks_.splice_front(first);
    }
    if (waker.wait(timeout)) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        if (waker.linked()) {
            waker.unlink();
            throw TimeoutError();
        }
    }
    waker.wait(std::nullopt);  // it is being called at this moment
}

void ThreadFutureState::check_result() {
    check_result_or_error();
    if (receiver().error != nullptr) {
        std::rethrow_exception(receiver().error);
    }
}

void ThreadFutureState::check_result_or_error() {
    if (status() == Status::cancelled) {
        throw CancelledError();
    }
    if (moved_.load(std::memory_order_acquire)) {
        throw_moved();
    }
}

void ThreadFutureState::take_result() {
    if (status() == Status::cancelled) {
        throw CancelledError();
    }
    if (moved_.exchange(true, std::memory_order_acq_rel)) {
        throw_moved();
    }
    if (receiver().error != nullptr) {
        std::rethrow_exception(std::exchange(receiver().error, nullptr));
    }
}

void log_callback_error() noexcept {
    log(LogLevel::error, "exception in a callback of a ThreadFuture: " +
                             describe_exception(std::current_exception()));
}

}  // namespace detail
}  // namespace asyncio::inline v0
