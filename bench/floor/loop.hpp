// The bare event loop: a queue of ready handles, a heap of timers and an epoll descriptor.
#pragma once

#include "measure.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace floor_runtime {

// What the ready queue links. Whatever can wait embeds one, so scheduling allocates nothing.
struct Handle {
    Handle* next = nullptr;
    void (*run)(Handle*) = nullptr;
};

class ReadyQueue {
public:
    void push(Handle* handle) {
        handle->next = nullptr;
        if (last_ != nullptr) {
            last_->next = handle;
        } else {
            first_ = handle;
        }
        last_ = handle;
    }

    Handle* pop() {
        Handle* handle = first_;
        first_ = handle->next;
        if (first_ == nullptr) {
            last_ = nullptr;
        }
        return handle;
    }

    bool empty() const { return first_ == nullptr; }
    Handle* last() const { return last_; }

private:
    Handle* first_ = nullptr;
    Handle* last_ = nullptr;
};

struct Timer {
    std::uint64_t when_ns;
    std::uint64_t sequence;  // Timers of equal deadlines fire in the order of their creation.
    Handle* handle;

    bool operator<(const Timer& other) const {
        return when_ns < other.when_ns || (when_ns == other.when_ns && sequence < other.sequence);
    }
};

// Four children to a node: half the depth of a binary heap, and siblings share cache lines.
class TimerHeap {
public:
    bool empty() const { return timers_.empty(); }
    std::uint64_t earliest_ns() const { return timers_[0].when_ns; }

    void push(std::uint64_t when_ns, Handle* handle) {
        const Timer timer{when_ns, sequence_++, handle};
        std::size_t hole = timers_.size();
        timers_.push_back(timer);
        while (hole > 0) {
            const std::size_t parent = (hole - 1) / 4;
            if (!(timer < timers_[parent])) {
                break;
            }
            timers_[hole] = timers_[parent];
            hole = parent;
        }
        timers_[hole] = timer;
    }

    Handle* pop() {
        Handle* handle = timers_[0].handle;
        const Timer moved = timers_.back();
        timers_.pop_back();
        if (!timers_.empty()) {
            sift_down(moved);
        }
        return handle;
    }

private:
    void sift_down(const Timer& timer) {
        const std::size_t size = timers_.size();
        std::size_t hole = 0;
        for (std::size_t child = 1; child < size; child = 4 * hole + 1) {
            std::size_t least = child;
            const std::size_t end = std::min(child + 4, size);
            for (std::size_t sibling = child + 1; sibling < end; ++sibling) {
                if (timers_[sibling] < timers_[least]) {
                    least = sibling;
                }
            }
            if (!(timers_[least] < timer)) {
                break;
            }
            timers_[hole] = timers_[least];
            hole = least;
        }
        timers_[hole] = timer;
    }

    std::vector<Timer> timers_;
    std::uint64_t sequence_ = 0;
};

struct Loop {
    ReadyQueue ready;
    TimerHeap timers;
    int epoll_fd = epoll_create1(0);

    // While work is ready, the kernel is asked only at every 64th iteration.
    static constexpr unsigned poll_interval = 64;

    template <class Done>
    void run_until(Done done) {
        for (unsigned iteration = 1; !done(); ++iteration) {
            if (ready.empty() || iteration % poll_interval == 0) {
                poll();
            }
            if (!timers.empty()) {
                wake_due_timers();
            }
            run_ready();
        }
    }

private:
    void poll() {
        epoll_event events[64];
        epoll_wait(epoll_fd, events, 64, timeout_ms());
    }

    int timeout_ms() const {
        if (!ready.empty()) {
            return 0;
        }
        if (timers.empty()) {
            return -1;
        }
        const std::uint64_t now = bench::now_ns();
        const std::uint64_t when = timers.earliest_ns();
        return when <= now ? 0 : static_cast<int>((when - now + 999'999) / 1'000'000);
    }

    void wake_due_timers() {
        const std::uint64_t now = bench::now_ns();
        while (!timers.empty() && timers.earliest_ns() <= now) {
            ready.push(timers.pop());
        }
    }

    // As in asyncio, what becomes ready during an iteration runs in the next one.
    void run_ready() {
        Handle* const last = ready.last();
        if (last == nullptr) {
            return;
        }
        for (Handle* handle = nullptr; handle != last;) {
            handle = ready.pop();
            // A task may end and free its handle here, so only the address is used again.
            handle->run(handle);
        }
    }
};

inline thread_local Loop* loop = nullptr;

}  // namespace floor_runtime
