// The state of a call in another thread. Follows CPython's concurrent/futures/_base.py.
#include <asyncio/log.hpp>
#include <asyncio/thread_future.hpp>

#include <condition_variable>

namespace asyncio::inline v0 {
namespace detail {

ThreadFutureState::~ThreadFutureState() {
    while (!callbacks_.empty()) {
        delete &callbacks_.pop_front();
    }
}

void ThreadFutureState::set_status(Status status) noexcept {
    status_.store(status, std::memory_order_release);
}

bool ThreadFutureState::cancel() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (status() != Status::pending) {
            return status() == Status::cancelled;
        }
        set_status(Status::cancelled);
    }
    if (queue_ != nullptr) {
        std::exchange(queue_, nullptr)->withdraw(*this);
    }
    drop_call();
    call_callbacks();
    return true;
}

bool ThreadFutureState::begin() noexcept {
    const std::lock_guard lock(mutex_);
    if (status() == Status::cancelled) {
        return false;
    }
    ASYNCIO_ASSERT(status() == Status::pending);
    set_status(Status::running);
    return true;
}

void ThreadFutureState::finish() noexcept {
    queue_ = nullptr;
    {
        const std::lock_guard lock(mutex_);
        set_status(Status::finished);
    }
    call_callbacks();
}

void ThreadFutureState::run() noexcept {
    if (begin()) {
        call();
        // What the call owns is gone before anybody learns that it has ended.
        drop_call();
        finish();
    }
}

void ThreadFutureState::fail(std::exception_ptr error) noexcept {
    if (begin()) {
        drop_call();
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

void ThreadFutureState::call_callbacks() noexcept {
    // One after the other, because those that wait for a time may leave meanwhile.
    while (true) {
        ThreadCallback* callback = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (callbacks_.empty()) {
                return;
            }
            callback = &callbacks_.pop_front();
        }
        callback->call(*this);
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
    const std::lock_guard lock(mutex_);
    if (moved_) {
        throw InvalidStateError("the result of this ThreadFuture was moved out already: call "
                                "result() on an lvalue to keep it");
    }
}

void ThreadFutureState::take_result() {
    check_result_or_error();
    std::exception_ptr error;
    {
        const std::lock_guard lock(mutex_);
        moved_ = true;
        error = std::exchange(receiver().error, nullptr);
    }
    if (error != nullptr) {
        std::rethrow_exception(std::move(error));
    }
}

void log_callback_error() noexcept {
    log(LogLevel::error, "exception in a callback of a ThreadFuture: " +
                             describe_exception(std::current_exception()));
}

}  // namespace detail
}  // namespace asyncio::inline v0
