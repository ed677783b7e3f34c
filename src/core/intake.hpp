// Calls that other threads schedule: a locked list, emptied by the loop in one go.
#pragma once

#include <asyncio/handle.hpp>

#include <mutex>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

// Invariants:
//  1. The list is linked through `next_in_intake`, oldest first; `last_` is valid unless it is
//     empty. Each element is owned by the list.
//  2. After `close` it stays empty.
//
// Any thread, except `take` and `close`, which belong to the loop's.
class Intake {
public:
    // False if the list is closed. `on_first` is called under the lock when the list was empty, so
    // that the loop cannot be closed meanwhile.
    template <class OnFirst>
    [[nodiscard]] bool add(ThreadSafeState& state, OnFirst on_first) {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            return false;
        }
        const bool was_empty = first_ == nullptr;
        (was_empty ? first_ : last_->next_in_intake) = &state;
        last_ = &state;
        if (was_empty) {
            on_first();
        }
        return true;
    }

    // Gives the whole list away; `before` runs under the lock.
    template <class Before>
    ThreadSafeState* take(Before before) {
        const std::lock_guard lock(mutex_);
        before();
        return std::exchange(first_, nullptr);
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }

private:
    std::mutex mutex_;
    ThreadSafeState* first_ = nullptr;
    ThreadSafeState* last_ = nullptr;
    bool closed_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
