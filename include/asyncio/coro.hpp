// Coro<T>: a coroutine object. Calling a coroutine function runs nothing; awaiting the object, or
// handing it to create_task, does.
#pragma once

#include <asyncio/driver.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <variant>

namespace asyncio::inline v0 {

template <class T>
class AsyncGenerator;
template <class T>
class Coro;

namespace detail {

struct CoroAccess;

// The place for what a coroutine ends with: a value or, in the base, an error.
// Invariant: `filled` exactly while `value` is alive.
template <class T>
struct Slot : Receiver {
    Slot() noexcept {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
        if (filled) {
            std::destroy_at(std::addressof(value));
        }
    }

    template <class U>
    void emplace(U&& source) {
        std::construct_at(std::addressof(value), std::forward<U>(source));
        filled = true;
    }
    void clear() noexcept {
        if (filled) {
            filled = false;
            std::destroy_at(std::addressof(value));
        }
    }

    union {
        T value;
    };
    bool filled = false;
};

template <>
struct Slot<void> : Receiver {
    void clear() noexcept {}
};

template <class T>
struct Slot<T&> : Receiver {
    void clear() noexcept {}
    T* value = nullptr;
};

// How control passes from one coroutine of a chain to another without growing the stack. clang
// guarantees the tail call at every optimisation level; elsewhere the suspension returns to the
// driver's trampoline (Driver::run_chain), which resumes `thread_state.next`. Both kinds may meet
// in one chain.
#if defined(__clang__)
using Transfer = std::coroutine_handle<>;
inline Transfer transfer_to(Frame& frame) noexcept { return frame.handle(); }
inline Transfer transfer_to_driver() noexcept { return std::noop_coroutine(); }
#else
using Transfer = void;
inline Transfer transfer_to(Frame& frame) noexcept { transfer_by_trampoline(frame); }
inline Transfer transfer_to_driver() noexcept {}
#endif

struct FinalAwaiter {
    static bool await_ready() noexcept { return false; }
    template <std::derived_from<Frame> P>
    static Transfer await_suspend(std::coroutine_handle<P> handle) noexcept {
        Frame& frame = handle.promise();
        Driver& driver = Driver::current();
        if (frame.caller != nullptr) [[likely]] {
            driver.leaf_ = frame.caller;  // this frame is about to be destroyed
            return transfer_to(*frame.caller);
        }
        driver.leaf_ = &frame;
        driver.flags_ |= Driver::flag_ended;
        return transfer_to_driver();
    }
    static void await_resume() noexcept {}
};

// Only a driver's first step can have something to throw before the body runs: a task that was
// cancelled before it started never enters its body.
struct InitialAwaiter {
    Frame* frame;
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    void await_resume() const {
        if (frame->caller == nullptr) {
            Driver::throw_if_pending();
        }
    }
};

ASYNCIO_API void report_never_awaited(Frame& frame) noexcept;
// Destroys a coroutine that nobody awaits: one that was never started, or a generator between two
// values. It may own others, and these again: to any depth without recursion.
ASYNCIO_API void destroy_suspended(Frame& frame) noexcept;
[[noreturn]] ASYNCIO_API void throw_coro_reused();

template <class T>
struct CoroAwaiter;

template <class A>
concept HasMakeAwaiter = requires(A&& awaitable) { make_awaiter(std::forward<A>(awaitable)); };

// What can be turned into a coroutine: a coroutine object, or an awaiter of the library.
template <class A>
concept AsCoro = requires(A&& source) { std::forward<A>(source).as_coro(); };

template <class A>
inline constexpr bool is_async_generator = false;
template <class T>
inline constexpr bool is_async_generator<AsyncGenerator<T>> = true;
template <class A>
inline constexpr bool is_coro = false;
template <class T>
inline constexpr bool is_coro<Coro<T>> = true;

// Everything of a promise that does not depend on the result's type.
struct PromiseBase : Frame {
    PromiseBase() noexcept {}

    static void* operator new(std::size_t size) { return pool_allocate(frame_size(size)); }
    static void operator delete(void* block, std::size_t size) noexcept {
        pool_deallocate(block, frame_size(size));
    }
    // The compiler takes it that frames are aligned as by the ordinary operator new.
    static constexpr std::size_t frame_size(std::size_t size) noexcept {
        constexpr std::size_t alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
        return (size + alignment - 1) / alignment * alignment;
    }

    InitialAwaiter initial_suspend() noexcept { return {this}; }
    static FinalAwaiter final_suspend() noexcept { return {}; }

    // The one gate of every co_await: it records the place, and lets in only what can be cancelled
    // and seen from outside.
    template <class A>
    decltype(auto) await_transform(A&& awaitable,
                                   std::source_location here = std::source_location::current()) {
        at = here;
        if constexpr (is_coro<std::remove_cvref_t<A>>) {
            static_assert(!std::is_lvalue_reference_v<A>,
                          "a coroutine object is awaited once: write co_await std::move(coro), or "
                          "make a Task of it with create_task to await it several times");
            return make_awaiter(std::forward<A>(awaitable));
        } else if constexpr (AsCoro<std::remove_cvref_t<A>> && std::is_lvalue_reference_v<A>) {
            static_assert(sizeof(A) == 0,
                          "what this operation returned is awaited once: await it where it is "
                          "called, or give it away with std::move");
        } else if constexpr (is_async_generator<std::remove_cvref_t<A>>) {
            static_assert(sizeof(A) == 0,
                          "a generator gives many values: while (auto value = co_await "
                          "generator.next()) { ... }");
        } else {
            static_assert(HasMakeAwaiter<A>,
                          "this type cannot be awaited here: co_await takes Coro, Task, Future and "
                          "the library's awaiters; complete an asyncio::Future from the foreign "
                          "operation instead");
            return make_awaiter(std::forward<A>(awaitable));
        }
    }

    template <class U>
    InitialAwaiter yield_value(U&&) noexcept {
        static_assert(sizeof(U) == 0,
                      "a Coro<T> has one result, which co_return gives: a coroutine that yields "
                      "values is an asyncio::AsyncGenerator<T>");
        return {};
    }
};

template <class T>
struct Promise final : PromiseBase {
    Promise() noexcept {}

    Coro<T> get_return_object(std::source_location here = std::source_location::current()) noexcept;

    template <class U = T>
        requires std::convertible_to<U&&, T>
    void return_value(U&& source) {
        static_cast<Slot<T>*>(receiver)->emplace(std::forward<U>(source));
    }

    void unhandled_exception() noexcept {
        static_cast<Slot<T>*>(receiver)->clear();
        receiver->error = std::current_exception();
    }
};

template <class T>
struct Promise<T&> final : PromiseBase {
    Promise() noexcept {}
    Coro<T&> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;
    void return_value(T& target) noexcept {
        static_cast<Slot<T&>*>(receiver)->value = std::addressof(target);
    }
    void unhandled_exception() noexcept { receiver->error = std::current_exception(); }
};

template <>
struct Promise<void> final : PromiseBase {
    Promise() noexcept {}
    Coro<void> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;
    void return_void() noexcept {}
    void unhandled_exception() noexcept { receiver->error = std::current_exception(); }
};

}  // namespace detail

/// A coroutine that has not started: what a function with `co_await` or `co_return` returns.
///
/// Lazy, move-only, awaited once. `co_await` runs it inside the awaiting task, at once and without
/// a turn of the loop; `create_task` runs it concurrently. One that is dropped without either is
/// reported ("coroutine 'f' was never awaited"), because its work was silently skipped.
///
/// A coroutine keeps references as it was given them: parameters that are references, and the
/// captures of a lambda, must outlive it. `create_task(function, args...)` keeps both alive.
///
/// Thread safety: may be moved to another thread before it starts.
/// Cancel safety: `co_await coro` passes a cancellation to whatever the coroutine awaits.
template <class T = void>
class [[nodiscard("a coroutine does nothing until it is awaited or made a task")]] Coro {
public:
    using promise_type = detail::Promise<T>;
    using value_type = T;

    Coro() noexcept = default;
    Coro(Coro&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Coro& operator=(Coro&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~Coro() {
        if (frame_ != nullptr) [[unlikely]] {
            detail::report_never_awaited(*frame_);
            detail::destroy_suspended(*frame_);
        }
    }

    /// True until the coroutine is awaited, made a task, closed or moved from.
    explicit operator bool() const noexcept { return frame_ != nullptr; }

    /// Destroys a coroutine that shall not run after all, without the report (`coro.close()`).
    void close() noexcept {
        if (frame_ != nullptr) {
            detail::destroy_suspended(*std::exchange(frame_, nullptr));
        }
    }

private:
    friend promise_type;
    friend struct detail::CoroAwaiter<T>;
    friend struct detail::CoroAccess;
    explicit Coro(detail::Frame* frame) noexcept : frame_(frame) {}

    detail::Frame* frame_ = nullptr;
};

namespace detail {

// For the library's own adopters of coroutine objects: tasks, foreign drivers.
struct CoroAccess {
    template <class T>
    static Frame* release(Coro<T>& coro) {
        if (coro.frame_ == nullptr) {
            throw_coro_reused();
        }
        return std::exchange(coro.frame_, nullptr);
    }
};

template <class T>
Coro<T> Promise<T>::get_return_object(std::source_location here) noexcept {
    function = here;
    at = here;
    return Coro<T>(this);
}

template <class T>
Coro<T&> Promise<T&>::get_return_object(std::source_location here) noexcept {
    function = here;
    at = here;
    return Coro<T&>(this);
}

inline Coro<void> Promise<void>::get_return_object(std::source_location here) noexcept {
    function = here;
    at = here;
    return Coro<void>(this);
}

// Destroys the child of an awaiter that is destroyed itself, unless destroy_chain already did.
ASYNCIO_API void destroy_awaited(Frame* child) noexcept;

// Awaiting a coroutine object: the child runs next, in the same step of the same driver.
template <class T>
struct CoroAwaiter : Slot<T> {
    explicit CoroAwaiter(Coro<T>& coro) noexcept : child(std::exchange(coro.frame_, nullptr)) {}
    ~CoroAwaiter() {
        if (child != nullptr) [[unlikely]] {
            destroy_awaited(child);
        }
    }

    bool await_ready() const {
        if (child == nullptr) [[unlikely]] {
            throw_coro_reused();
        }
        return false;
    }

    template <std::derived_from<Frame> P>
    Transfer await_suspend(std::coroutine_handle<P> caller) noexcept {
        child->caller = &caller.promise();
        child->receiver = static_cast<Slot<T>*>(this);
        return transfer_to(*child);
    }

    T await_resume() {
        std::exchange(child, nullptr)->handle().destroy();
        if (this->error) [[unlikely]] {
            std::rethrow_exception(std::move(this->error));
        }
        if constexpr (std::is_reference_v<T>) {
            return *this->value;
        } else if constexpr (!std::is_void_v<T>) {
            return std::move(this->value);
        }
    }

    Frame* child;
};

template <class T>
Coro<T> to_coro(Coro<T>&& coro) {
    return std::move(coro);
}
template <class T>
Coro<T> to_coro(Coro<T>&) {
    static_assert(sizeof(Coro<T>) == 0,
                  "a coroutine object is used once: give it away with std::move(coro)");
    return {};
}
template <AsCoro A>
auto to_coro(A&& awaiter) {
    return std::forward<A>(awaiter).as_coro();
}

template <class A>
concept CoroLike = is_coro<std::remove_cvref_t<A>> || AsCoro<A>;

template <class F, class... Args>
inline constexpr bool is_coro_function = false;
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
inline constexpr bool is_coro_function<F, Args...> =
    CoroLike<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>>;
template <class... FunctionAndArgs>
concept CoroFunction = is_coro_function<FunctionAndArgs...>;

template <class C>
struct CoroValue;
template <class T>
struct CoroValue<Coro<T>> {
    using type = T;
};

template <class A>
using coro_value_t = typename CoroValue<decltype(to_coro(std::declval<A>()))>::type;

// What a scope keeps of a result until it can return it.
template <class T>
using Stored =
    std::conditional_t<std::is_void_v<T>, std::monostate,
                       std::conditional_t<std::is_reference_v<T>,
                                          std::reference_wrapper<std::remove_reference_t<T>>, T>>;

}  // namespace detail

// How co_await turns its operand into an awaiter: found by the operand's type.
template <class T>
detail::CoroAwaiter<T> make_awaiter(Coro<T>&& coro) {
    return detail::CoroAwaiter<T>(coro);
}

}  // namespace asyncio::inline v0
