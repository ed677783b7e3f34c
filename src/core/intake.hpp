// Calls that other threads schedule: a locked list, emptied by the loop in one go. It outlives the
// loop for as long as other threads may call.
#pragma once

#include <asyncio/runnable.hpp>

#include <atomic>
#include <mutex>
#include <thread>

namespace asyncio::inline v0 {
namespace detail {

// Invariants:
//  1. Each element is owned by the list, and then by who runs it or gives it back.
//  2. After `close` it stays empty.
//
// Any thread, except `take` and `close`, which belong to the loop's.
class Intake {
public:
    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    // False if the list is closed. When the list was empty, calls `announce` under the lock
    // and then `wake` without it, or the woken thread would have to wait for it at once.
    template <class Announce, class Wake>
    [[nodiscard]] bool add(Runnable& call, Announce announce, Wake wake) {
        bool was_empty = false;
        {
            const std::lock_guard lock(mutex_);
            if (closed_) {
                return false;
            }
            was_empty = calls_.empty();
            calls_.push_back(call);
            if (was_empty) {
                announce();
                waking_.fetch_add(1, std::memory_order_relaxed);
            }
        }
        if (was_empty) {
            wake();
            waking_.fetch_sub(1, std::memory_order_release);
        }
        return true;
    }

    // Moves all calls behind those in `ready`; `before` runs under the lock. Constant time.
    template <class Before>
    void take(IntrusiveList<Runnable>& ready, Before before) {
        const std::lock_guard lock(mutex_);
        before();
        ready.splice_back(calls_);
    }

    // Returns when no other thread wakes the loop any more.
    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        while (waking_.load(std::memory_order_acquire) != 0) {
            std::this_thread::yield();
        }
    }

    bool closed() {
        const std::lock_guard lock(mutex_);
        return closed_;
    }

private:
    ~Intake() = default;

    std::mutex mutex_;
    IntrusiveList<Runnable> calls_;
    bool closed_ = false;
    std::atomic<int> waking_{0};  // threads inside `wake`
    std::atomic<std::uint32_t> refs_{1};
};

}  // namespace detail
}  // namespace asyncio::inline v0
