// Calls that other threads schedule: a locked list, emptied by the loop in one go. It outlives the
// loop for as long as other threads may call.
#pragma once

#include <asyncio/runnable.hpp>

#include "base/spinner.hpp"

#include <atomic>
#include <mutex>
#include <thread>

namespace asyncio::inline v0 {
namespace detail {

// Invariants:
//  1. Each element is owned by the list, and then by who runs it or gives it back.
//  2. After `close` it stays empty.
//  3. While `awake_` is set, the loop sees what is announced before it blocks or stops running,
//     and needs no wake-up. It clears it under the mutex.
//
// Any thread, except those that belong to the loop's.
class Intake {
public:
    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    // False if the list is closed. When the list was empty, calls `announce` under the lock
    // and then, unless the loop is awake, `wake` without it, or the woken thread would have to wait
    // for it at once.
    template <class Announce, class Wake>
    [[nodiscard]] bool add(Runnable& call, Announce announce, Wake wake) {
        bool wakes = false;
        {
            const std::lock_guard lock(mutex_);
            if (closed_) {
                return false;
            }
            const bool was_empty = calls_.empty();
            calls_.push_back(call);
            if (was_empty) {
                announce();
                wakes = !awake_.load(std::memory_order_relaxed);
            }
            if (wakes) {
                waking_.fetch_add(1, std::memory_order_relaxed);
            }
        }
        if (wakes) {
            wake();
            waking_.fetch_sub(1, std::memory_order_release);
        }
        return true;
    }

    // ---- the loop's thread only

    Spinner& spinner() noexcept { return spinner_; }
    bool awake() const noexcept { return awake_.load(std::memory_order_relaxed); }
    // Who does not see it yet wakes the loop in vain.
    void stay_awake() noexcept { awake_.store(true, std::memory_order_relaxed); }
    // From now on whoever announces wakes the loop; what was announced before is seen.
    void fall_asleep() noexcept {
        const std::lock_guard lock(mutex_);
        awake_.store(false, std::memory_order_relaxed);
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
    // Guarded by mutex_.
    IntrusiveList<Runnable> calls_;
    bool closed_ = false;
    std::atomic<bool> awake_{false};  // becomes true without it

    Spinner spinner_;             // loop thread only
    std::atomic<int> waking_{0};  // threads inside `wake`
    alignas(64) std::atomic<std::uint32_t> refs_{1};
};

}  // namespace detail
}  // namespace asyncio::inline v0
