// Callbacks from other threads: a lock, a vector that the loop swaps out whole, and one write to
// an eventfd whenever the vector was empty. Batches make it cheaper than a lock-free list.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace floor_runtime {

class ThreadsafeQueue {
public:
    using Callback = std::function<void()>;

    ~ThreadsafeQueue() { close(event_fd_); }

    void push(Callback callback) {
        bool was_empty = false;
        {
            const std::lock_guard lock(mutex_);
            was_empty = incoming_.empty();
            incoming_.push_back(std::move(callback));
        }
        if (was_empty) {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto written = write(event_fd_, &one, sizeof one);
        }
    }

    // Sleeps until there is something, then runs all of it; returns how much.
    long wait_and_run() {
        std::uint64_t wakes = 0;
        [[maybe_unused]] const auto got = read(event_fd_, &wakes, sizeof wakes);
        {
            const std::lock_guard lock(mutex_);
            running_.swap(incoming_);
        }
        for (Callback& callback : running_) {
            callback();
        }
        const auto count = static_cast<long>(running_.size());
        running_.clear();
        return count;
    }

private:
    int event_fd_ = eventfd(0, 0);
    std::mutex mutex_;
    std::vector<Callback> incoming_;  // Guarded by mutex_.
    std::vector<Callback> running_;   // Loop thread only.
};

}  // namespace floor_runtime
