// Tasks and coroutines of the floor. They carry what an asyncio task cannot do without: a
// reference count, a place in the list of all tasks, a result or an exception, a count of
// cancellations, a context, an id and its waiters. Less would not be a fair floor; it does
// nothing with them that the rows do not ask for.
#pragma once

#include "frame_pool.hpp"
#include "loop.hpp"

#include <coroutine>
#include <cstdint>
#include <exception>
#include <utility>
#include <variant>
#include <vector>

namespace floor_runtime {

struct Cancelled {};

template <class T>
class Outcome {
public:
    void set_value(T value) { state_.template emplace<1>(std::move(value)); }
    void set_exception(std::exception_ptr error) { state_.template emplace<2>(std::move(error)); }

    T& get() {
        if (state_.index() == 2) {
            std::rethrow_exception(std::get<2>(state_));
        }
        return std::get<1>(state_);
    }

private:
    std::variant<std::monostate, T, std::exception_ptr> state_;
};

enum class TaskState : std::uint16_t { created, pending, done };

struct TaskBase : Handle {
    std::int32_t references = 2;  // One of the loop until the task ends, one of its creator.
    TaskState state = TaskState::created;
    std::uint16_t cancel_requests = 0;
    TaskBase* previous = nullptr;
    TaskBase* following = nullptr;
    void* context = nullptr;
    std::uint64_t id = 0;
    std::coroutine_handle<> resume_at;
    std::coroutine_handle<> frame;
    Handle* waiter = nullptr;  // Nearly every task has one waiter, so the first needs no vector.
    std::vector<Handle*>* more_waiters = nullptr;

    bool done() const { return state == TaskState::done; }

    void start();
    void finish() noexcept;
    void add_waiter(Handle* handle);

    void release() {
        if (--references == 0) {
            frame.destroy();
        }
    }
};

struct AllTasks : TaskBase {
    AllTasks() { previous = following = this; }
};

inline thread_local AllTasks all_tasks;
inline thread_local TaskBase* current_task = nullptr;
inline thread_local std::uint64_t task_count = 0;

inline void step(Handle* handle) {
    auto* task = static_cast<TaskBase*>(handle);
    TaskBase* const outer = std::exchange(current_task, task);
    task->resume_at.resume();
    current_task = outer;
}

inline void TaskBase::start() {
    run = step;
    id = ++task_count;
    context = current_task != nullptr ? current_task->context : nullptr;
    following = &all_tasks;
    previous = all_tasks.previous;
    all_tasks.previous->following = this;
    all_tasks.previous = this;
    state = TaskState::pending;
    loop->ready.push(this);
}

inline void TaskBase::finish() noexcept {
    state = TaskState::done;
    previous->following = following;
    following->previous = previous;
    if (waiter != nullptr) {
        loop->ready.push(waiter);
    }
    if (more_waiters != nullptr) {
        for (Handle* other : *more_waiters) {
            loop->ready.push(other);
        }
        delete more_waiters;
    }
    release();
}

inline void TaskBase::add_waiter(Handle* handle) {
    if (waiter == nullptr) {
        waiter = handle;
        return;
    }
    if (more_waiters == nullptr) {
        more_waiters = new std::vector<Handle*>;
    }
    more_waiters->push_back(handle);
}

// Parks the running task; whoever wakes it pushes the returned handle.
inline Handle* park(std::coroutine_handle<> caller) {
    current_task->resume_at = caller;
    return current_task;
}

inline void throw_if_cancelled() {
    if (current_task->cancel_requests != 0) {
        throw Cancelled{};
    }
}

// A scheduled coroutine, counted by its handles.
template <class T>
class Task {
public:
    struct promise_type : TaskBase, PooledFrame {
        Outcome<T> outcome;

        promise_type() { resume_at = frame = handle(); }
        Task get_return_object() { return Task(this); }
        std::suspend_always initial_suspend() noexcept { return {}; }

        struct Finish {
            bool await_ready() noexcept { return false; }
            void await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
                ended.promise().finish();
            }
            void await_resume() noexcept {}
        };
        Finish final_suspend() noexcept { return {}; }

        void return_value(T value) { outcome.set_value(std::move(value)); }
        void unhandled_exception() { outcome.set_exception(std::current_exception()); }

    private:
        std::coroutine_handle<> handle() {
            return std::coroutine_handle<promise_type>::from_promise(*this);
        }
    };

    Task(Task&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
    Task(const Task&) = delete;
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (promise_ != nullptr) {
            promise_->release();
        }
    }

    promise_type& promise() const { return *promise_; }
    void start() { promise_->start(); }

    bool await_ready() const { return promise_->done(); }
    void await_suspend(std::coroutine_handle<> caller) { promise_->add_waiter(park(caller)); }
    T await_resume() {
        throw_if_cancelled();
        return promise_->outcome.get();
    }

private:
    explicit Task(promise_type* promise) : promise_(promise) {}

    promise_type* promise_;
};

// A coroutine that runs inside its awaiter, by symmetric transfer.
template <class T>
class Coro {
public:
    struct promise_type : PooledFrame {
        Outcome<T> outcome;
        std::coroutine_handle<> caller;

        promise_type() {}
        Coro get_return_object() {
            return Coro(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }

        struct Return {
            bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(
                std::coroutine_handle<promise_type> ended) noexcept {
                return ended.promise().caller;
            }
            void await_resume() noexcept {}
        };
        Return final_suspend() noexcept { return {}; }

        void return_value(T value) { outcome.set_value(std::move(value)); }
        void unhandled_exception() { outcome.set_exception(std::current_exception()); }
    };

    Coro(Coro&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Coro(const Coro&) = delete;
    Coro& operator=(Coro&&) = delete;
    ~Coro() {
        if (handle_) {
            handle_.destroy();
        }
    }

    bool await_ready() const { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
        handle_.promise().caller = caller;
        return handle_;
    }
    T await_resume() { return std::move(handle_.promise().outcome.get()); }

private:
    explicit Coro(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;
};

// sleep(0): to the end of the ready queue.
struct Yield {
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> caller) { loop->ready.push(park(caller)); }
    void await_resume() { throw_if_cancelled(); }
};

struct Sleep {
    std::uint64_t delay_ns;

    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
        loop->timers.push(bench::now_ns() + delay_ns, park(caller));
    }
    void await_resume() { throw_if_cancelled(); }
};

}  // namespace floor_runtime
