// The smallest coroutine type that can await another: enough to show a compiler's faults,
// and nothing of the library, so that a failure is the compiler's alone.
#pragma once

#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

// A lazy coroutine; awaiting it runs it and gives its value.
template <class T>
class MiniTask {
public:
    struct promise_type {
        T value{};
        std::coroutine_handle<> waiter = std::noop_coroutine();

        promise_type() {}
        MiniTask get_return_object() {
            return MiniTask(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct Resume {
                bool await_ready() noexcept { return false; }
                std::coroutine_handle<> await_suspend(
                    std::coroutine_handle<promise_type> done) noexcept {
                    return done.promise().waiter;
                }
                void await_resume() noexcept {}
            };
            return Resume{};
        }
        void return_value(T result) { value = std::move(result); }
        void unhandled_exception() { std::terminate(); }
    };

    MiniTask(MiniTask&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    MiniTask(const MiniTask&) = delete;
    MiniTask& operator=(MiniTask&&) = delete;
    ~MiniTask() {
        if (frame_) {
            frame_.destroy();
        }
    }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        frame_.promise().waiter = waiter;
        return frame_;
    }
    T await_resume() { return std::move(frame_.promise().value); }

    // Runs a coroutine that nothing awaits.
    T run() {
        frame_.resume();
        return std::move(frame_.promise().value);
    }

private:
    explicit MiniTask(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

// Counts how often it is constructed and destroyed; the two must be equal in the end.
struct Counted {
    static inline int alive = 0;

    Counted() { ++alive; }
    Counted(const Counted&) { ++alive; }
    Counted(Counted&&) noexcept { ++alive; }
    Counted& operator=(const Counted&) = default;
    Counted& operator=(Counted&&) = default;
    ~Counted() { --alive; }
};

// Ends the program with a message if a value is not what the language promises.
inline void expect(const char* what, int actual, int wanted) {
    if (actual != wanted) {
        std::fprintf(stderr, "%s: %d instead of %d\n", what, actual, wanted);
        std::exit(1);
    }
}
