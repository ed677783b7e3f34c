// A lock, a semaphore, a queue and a deadline: the least work that asyncio's order demands. Who
// comes while others are in line goes behind them, and whoever is woken takes one hop through the
// ready queue before it has what it waited for.
#pragma once

#include "indexed_heap.hpp"
#include "task.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace floor_runtime {

// A task in line. Lives in its awaiter, so waiting allocates nothing.
struct Place {
    Place* next = nullptr;
    Handle* task = nullptr;  // Null as long as there was no need to wait.
    bool woken = false;
};

class Line {
public:
    bool empty() const { return first_ == nullptr; }
    Place& front() { return *first_; }

    void push(Place& place) {
        *end_ = &place;
        end_ = &place.next;
    }

    Place& pop() {
        Place& place = *first_;
        first_ = place.next;
        if (first_ == nullptr) {
            end_ = &first_;
        }
        return place;
    }

private:
    Place* first_ = nullptr;
    Place** end_ = &first_;
};

// Who was woken stays in line until it runs, so that nobody takes the lock from it.
class Lock {
public:
    struct Acquire : Place {
        explicit Acquire(Lock& free_or_not) : lock(free_or_not) {}

        bool await_ready() {
            if (lock.locked_ || !lock.line_.empty()) {
                return false;
            }
            lock.locked_ = true;
            return true;
        }
        void await_suspend(std::coroutine_handle<> caller) {
            task = park(caller);
            lock.line_.push(*this);
        }
        void await_resume() {
            if (task != nullptr) {
                lock.line_.pop();
                throw_if_cancelled();
                lock.locked_ = true;
            }
        }

        Lock& lock;
    };

    Acquire acquire() { return Acquire(*this); }

    void release() {
        locked_ = false;
        if (!line_.empty() && !line_.front().woken) {
            line_.front().woken = true;
            loop->ready.push(line_.front().task);
        }
    }

private:
    Line line_;
    bool locked_ = false;
};

// Who is woken leaves the line with its permit and is counted until it runs.
class Semaphore {
public:
    struct Acquire : Place {
        explicit Acquire(Semaphore& permits) : semaphore(permits) {}

        bool await_ready() {
            if (semaphore.locked()) {
                return false;
            }
            --semaphore.value_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> caller) {
            task = park(caller);
            semaphore.line_.push(*this);
        }
        void await_resume() {
            if (task != nullptr) {
                --semaphore.woken_;
                throw_if_cancelled();
                semaphore.wake_all_allowed();
            }
        }

        Semaphore& semaphore;
    };

    explicit Semaphore(std::size_t value = 1) : value_(value) {}

    bool locked() const { return value_ == 0 || woken_ > 0 || !line_.empty(); }
    Acquire acquire() { return Acquire(*this); }

    void release() {
        ++value_;
        wake_all_allowed();
    }

private:
    void wake_all_allowed() {
        for (; value_ > 0 && !line_.empty(); --value_) {
            ++woken_;
            loop->ready.push(line_.pop().task);
        }
    }

    Line line_;
    std::size_t value_;
    std::size_t woken_ = 0;
};

// Without a bound, and for one task that gets: nobody takes an item from a task that was woken.
template <class T>
class Queue {
public:
    struct Get : Place {
        explicit Get(Queue& source) : queue(source) {}

        bool await_ready() const { return !queue.empty(); }
        void await_suspend(std::coroutine_handle<> caller) {
            task = park(caller);
            queue.getters_.push(*this);
        }
        T await_resume() {
            throw_if_cancelled();
            return queue.take();
        }

        Queue& queue;
    };

    bool empty() const { return first_ == end_; }
    Get get() { return Get(*this); }

    void put(T item) {
        if (end_ - first_ == capacity_) {
            grow();
        }
        items_[end_++ % capacity_] = std::move(item);
        ++unfinished_;
        if (!getters_.empty()) {
            loop->ready.push(getters_.pop().task);
        }
    }

private:
    T take() { return std::move(items_[first_++ % capacity_]); }

    void grow() {
        auto larger = std::make_unique<T[]>(2 * capacity_);
        for (std::size_t index = first_; index != end_; ++index) {
            larger[index % (2 * capacity_)] = std::move(items_[index % capacity_]);
        }
        items_ = std::move(larger);
        capacity_ *= 2;
    }

    // A ring: items have growing numbers, and the capacity, a power of two, is a mask for them.
    std::size_t capacity_ = 16;
    std::unique_ptr<T[]> items_ = std::make_unique<T[]>(capacity_);
    std::size_t first_ = 0;
    std::size_t end_ = 0;
    std::size_t unfinished_ = 0;  // What `join` would wait for.
    Line getters_;
};

// Cancels the task that made it, unless its scope is left in time.
class Deadline : Handle {
public:
    Deadline(IndexedHeap& timers, std::uint64_t delay_ns)
        : timers_(timers), task_(*current_task), requests_at_entry_(task_.cancel_requests) {
        run = expire;
        timers_.push(bench::now_ns() + delay_ns, &place_);
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline() {
        if (!expired_) {
            timers_.remove(place_);
        } else if (--task_.cancel_requests <= requests_at_entry_) {
            timed_out = true;
        }
    }

    bool timed_out = false;

private:
    static void expire(Handle* handle) {
        auto& deadline = *static_cast<Deadline*>(handle);
        deadline.expired_ = true;
        ++deadline.task_.cancel_requests;
    }

    IndexedHeap& timers_;
    TaskBase& task_;
    std::size_t place_ = 0;
    std::uint16_t requests_at_entry_;
    bool expired_ = false;
};

}  // namespace floor_runtime
