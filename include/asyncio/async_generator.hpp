// AsyncGenerator<T>: a coroutine that produces values one by one and may wait between them.
#pragma once

#include <asyncio/coro.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace asyncio::inline v0 {

namespace detail {

class AsyncGenerators;
struct GeneratorFrame;

// Owns a generator that has begun, and tells its owner whether it has ended. Made by the first
// `next()` for the handle, which another thread may drop at any time: then it is itself the call
// that has the loop close the generator, so that dropping allocates nothing.
//
// Invariant: `frame` is null once the generator has ended.
//
// Thread safety: the loop's thread, except `drop`.
struct ASYNCIO_API GeneratorLife final : Runnable {
    GeneratorLife(std::shared_ptr<AsyncGenerators> loops, GeneratorFrame& begun) noexcept
        : Runnable(&GeneratorLife::run), home(std::move(loops)), frame(&begun) {}
    ~GeneratorLife();

    // The handle has gone: has the loop close the generator.
    static void drop(std::unique_ptr<GeneratorLife> life) noexcept;

    const std::shared_ptr<AsyncGenerators> home;
    std::atomic<GeneratorFrame*> frame;
    ContextPtr context;  // of whoever dropped it

private:
    static void run(Runnable& self, Turn turn);
};

// The part of a generator's promise that does not depend on the type of its values.
//
// Invariants:
//  1. From the first `next()` on `life` is set, and the loop's list holds the frame until it ends,
//     the loop begins to close it, or the loop closes.
//  2. `dropped` is set if the handle went while somebody awaited the generator: it owns `life`.
struct ASYNCIO_API GeneratorFrame : PromiseBase, ListNode {
    enum class State : std::uint8_t { created, running, closing, suspended };

    GeneratorFrame() noexcept = default;
    ~GeneratorFrame();

    void enter(State entered, Frame& awaiting, Receiver& values) noexcept {
        state = entered;
        caller = &awaiting;
        receiver = &values;
    }
    // When the awaiter resumes: true if a value was yielded; else the frame is gone.
    bool leave() noexcept;
    bool awaited() const noexcept { return state == State::running || state == State::closing; }
    bool closing() const noexcept { return state == State::closing; }

    GeneratorLife* life = nullptr;
    std::unique_ptr<GeneratorLife> dropped;
    State state = State::created;
};

// How a generator passes a value: control goes to whoever awaits `next()`, in the same step.
struct YieldAwaiter {
    static bool await_ready() noexcept { return false; }
    template <std::derived_from<Frame> P>
    static Transfer await_suspend(std::coroutine_handle<P> handle) noexcept {
        return return_to_caller(handle.promise());
    }
    void await_resume() const {
        if (frame->closing()) [[unlikely]] {
            throw GeneratorExit();
        }
    }

    GeneratorFrame* frame;

private:
    static Transfer return_to_caller(Frame& frame) noexcept {
        Driver::current().leaf_ = frame.caller;
        return transfer_to(*std::exchange(frame.caller, nullptr));
    }
};

template <class T>
struct GeneratorPromise final : GeneratorFrame {
    GeneratorPromise() noexcept {}

    AsyncGenerator<T> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;

    template <class U = T>
        requires std::convertible_to<U&&, T>
    YieldAwaiter yield_value(U&& value,
                             std::source_location here = std::source_location::current()) {
        at = here;
        if (!closing()) {
            static_cast<Slot<T>*>(receiver)->emplace(std::forward<U>(value));
        }
        return {this};
    }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { receiver->error = std::current_exception(); }
};

// Owns a generator.
class ASYNCIO_API GeneratorHandle {
public:
    explicit GeneratorHandle(GeneratorFrame* frame) noexcept : frame_(frame) {}
    GeneratorHandle(GeneratorHandle&& other) noexcept
        : frame_(std::exchange(other.frame_, nullptr)), life_(std::move(other.life_)) {}
    GeneratorHandle& operator=(GeneratorHandle other) noexcept {
        std::swap(frame_, other.frame_);
        std::swap(life_, other.life_);
        return *this;
    }
    ~GeneratorHandle() {
        if (frame_ != nullptr) {
            drop();
        }
    }

    // Null once it has ended.
    GeneratorFrame* frame() const noexcept {
        return life_ == nullptr ? frame_ : life_->frame.load(std::memory_order_relaxed);
    }
    // Before it is entered: refuses a generator that somebody else awaits, and makes one that
    // begins known to the loop.
    void prepare(const char* operation);
    // Ends one that has not begun.
    void discard() noexcept;

private:
    void drop() noexcept;

    GeneratorFrame* frame_;  // only compared with null once it has begun
    std::unique_ptr<GeneratorLife> life_;
};

// What the awaiters of a generator share: while one is suspended, it owns the frame's activation.
//
// Invariant: `frame_` is set from the suspension to the resumption.
class GeneratorAwaiter {
public:
    GeneratorAwaiter() = default;
    GeneratorAwaiter(const GeneratorAwaiter&) = delete;
    GeneratorAwaiter& operator=(const GeneratorAwaiter&) = delete;
    ~GeneratorAwaiter() {
        if (frame_ != nullptr) [[unlikely]] {
            destroy_awaited(frame_);
        }
    }

protected:
    Transfer enter(GeneratorFrame& frame, GeneratorFrame::State state, Frame& caller,
                   Receiver& receiver) noexcept {
        frame_ = &frame;
        frame.enter(state, caller, receiver);
        return transfer_to(frame);
    }
    // True if the generator yielded.
    bool leave() noexcept { return frame_ != nullptr && std::exchange(frame_, nullptr)->leave(); }

private:
    GeneratorFrame* frame_ = nullptr;
};

template <class T>
struct [[nodiscard("next() does nothing until it is awaited")]] GeneratorNext final
    : private Slot<T>,
      private GeneratorAwaiter {
    explicit GeneratorNext(GeneratorHandle& handle) noexcept : handle(handle) {}

    friend GeneratorNext&& make_awaiter(GeneratorNext&& awaiter) noexcept {
        return std::move(awaiter);
    }

    bool await_ready() const {
        if (handle.frame() == nullptr) {
            return true;
        }
        handle.prepare("next()");
        return false;
    }
    template <std::derived_from<Frame> P>
    Transfer await_suspend(std::coroutine_handle<P> caller) noexcept {
        this->clear();
        return enter(*handle.frame(), GeneratorFrame::State::running, caller.promise(), *this);
    }
    std::optional<T> await_resume() {
        if (this->leave()) [[likely]] {
            return std::optional<T>(std::move(this->value));
        }
        if (this->error) [[unlikely]] {
            std::rethrow_exception(std::move(this->error));
        }
        return std::nullopt;
    }

    Coro<std::optional<T>> as_coro() && { return run(handle); }
    operator Coro<std::optional<T>>() && { return run(handle); }  // NOLINT(google-explicit-*)

    GeneratorHandle& handle;

private:
    static Coro<std::optional<T>> run(GeneratorHandle& handle) {
        co_return co_await GeneratorNext(handle);
    }
};

struct [[nodiscard("aclose() does nothing until it is awaited")]] ASYNCIO_API GeneratorClose final
    : private Receiver,
      private GeneratorAwaiter {
    explicit GeneratorClose(GeneratorHandle& handle) noexcept : handle_(&handle) {}
    // One that the loop closes; it has begun.
    explicit GeneratorClose(GeneratorFrame& frame) noexcept : begun_(&frame) {}

    friend GeneratorClose&& make_awaiter(GeneratorClose&& awaiter) noexcept {
        return std::move(awaiter);
    }

    bool await_ready() const;
    template <std::derived_from<Frame> P>
    Transfer await_suspend(std::coroutine_handle<P> caller) noexcept {
        GeneratorFrame* const frame = handle_ != nullptr ? handle_->frame() : begun_;
        ASYNCIO_ASSERT(frame != nullptr);
        return enter(*frame, GeneratorFrame::State::closing, caller.promise(), *this);
    }
    void await_resume();

    Coro<void> as_coro() && { return run(*handle_); }
    operator Coro<void>() && { return run(*handle_); }  // NOLINT(google-explicit-constructor)

private:
    static Coro<void> run(GeneratorHandle& handle);

    GeneratorHandle* handle_ = nullptr;
    GeneratorFrame* begun_ = nullptr;
};

}  // namespace detail

/// A coroutine that uses `co_yield`: it runs until its next value whenever one is asked for.
///
///     asyncio::AsyncGenerator<int> ticks(int count) {
///         for (int i = 0; i < count; ++i) {
///             co_await asyncio::sleep(1s);
///             co_yield i;
///         }
///     }
///
///     auto ticker = ticks(3);
///     while (auto tick = co_await ticker.next()) {
///         use(*tick);
///     }
///
/// It runs inside the task that awaits `next()`, in the same step, and shares its cancellation and
/// context. An exception that leaves the body is thrown by `next()`, and ends the generator.
///
/// One that is dropped before its end is closed by a task of its loop: GeneratorExit is thrown at
/// the `co_yield` where it stopped, so that its clean-up runs and may wait. The task begins with
/// that, in the loop's next iteration; `run` cancels it at its end, as every task. `aclose()`
/// closes at once. On a closed loop the body's variables are destroyed, and nothing is thrown. A
/// generator that never started just goes.
///
/// Thread safety: belongs to the loop on which `next()` was first awaited; may be dropped by any
/// thread, but not while `next()` is awaited. Once the loop has closed, the thread that drops it
/// destroys the body's variables: what they share with others, as futures and tasks of that loop,
/// must then be left alone by other threads.
/// Cancel safety: a cancelled `next()` cancels what the generator waits for, and so ends it.
/// Cost: two allocations; a value costs two changes of coroutine.
/// Differs from CPython: no `asend` and `athrow`; the end is an empty optional; the task that
/// closes a dropped one is never cancelled before GeneratorExit is thrown. Source: S322 to S325.
template <class T>
class [[nodiscard("a generator does nothing until next() is awaited")]] AsyncGenerator {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                  "an AsyncGenerator yields values: use a pointer or std::reference_wrapper for "
                  "references");

public:
    using promise_type = detail::GeneratorPromise<T>;
    using value_type = T;

    /// Runs the body to its next `co_yield` and gives the value; nothing once it has ended.
    /// Requires: the generator outlives the await. Raises: what the body throws; RuntimeError if
    /// another `next()` or `aclose()` has not returned.
    detail::GeneratorNext<T> next() noexcept { return detail::GeneratorNext<T>(handle_); }

    /// Ends the generator: throws GeneratorExit at its `co_yield` and waits for the clean-up.
    /// Does nothing if it has ended or never started. Raises: what the clean-up throws;
    /// RuntimeError if the body yields another value instead of ending, or as above.
    detail::GeneratorClose aclose() noexcept { return detail::GeneratorClose(handle_); }

private:
    friend promise_type;
    explicit AsyncGenerator(detail::GeneratorFrame* frame) noexcept : handle_(frame) {}

    detail::GeneratorHandle handle_;
};

namespace detail {

template <class T>
AsyncGenerator<T> GeneratorPromise<T>::get_return_object(std::source_location here) noexcept {
    function = here;
    at = here;
    return AsyncGenerator<T>(this);
}

}  // namespace detail
}  // namespace asyncio::inline v0
