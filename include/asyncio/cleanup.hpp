// What takes the place of `await` in a handler or a `finally` clause, where C++ allows no co_await.
#pragma once

#include <asyncio/ensure_future.hpp>
#include <asyncio/outcome.hpp>

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace asyncio::inline v0 {

namespace detail {

template <class F>
concept CleanupPart = std::invocable<F&> && CoroLike<std::invoke_result_t<F&>>;

template <class F>
auto call_part(F& part) {
    static_assert(CleanupPart<F>,
                  "finally takes a body and a clean-up, both functions that return a coroutine, "
                  "such as [&]() -> asyncio::Coro<> { ... }");
    return to_coro(std::invoke(part));
}
template <class F>
using part_value_t = coro_value_t<decltype(call_part(std::declval<F&>()))>;

}  // namespace detail

/// Awaits a coroutine in the current task and returns how it ended, instead of throwing:
///
///     const auto outcome = co_await asyncio::settle(transfer(from, to));
///     if (!outcome) {
///         co_await roll_back();  // which a handler could not do
///     }
///     use(outcome.value());      // or throws what `transfer` threw
///
/// That holds for every exception: also throw a cancellation of the current task, and a LoopBreak,
/// again with `value()` when everything is cleaned up.
///
/// Cancel safety: passes a cancellation to the coroutine. Cost: a coroutine.
template <class T>
    requires(!std::is_reference_v<T>)
Coro<Outcome<T>> settle(Coro<T> coro) {
    std::exception_ptr error;
    bool cancelled = false;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(coro);
            co_return Outcome<void>(std::in_place);
        } else {
            co_return Outcome<T>(std::in_place, co_await std::move(coro));
        }
    } catch (const CancelledError&) {
        error = std::current_exception();
        cancelled = true;
    } catch (...) {
        error = std::current_exception();
    }
    co_return cancelled ? Outcome<T>::cancellation(std::move(error))
                        : Outcome<T>::failure(std::move(error));
}
/// Of a task or future: cancelling the current task cancels that, as `co_await` does.
template <std::derived_from<AnyFuture> F>
Coro<Outcome<typename F::value_type>> settle(F future) {
    return settle(detail::await_once(std::move(future)));
}
template <detail::AsCoro A>
auto settle(A&& awaiter) {
    return settle(detail::to_coro(std::forward<A>(awaiter)));
}

/// Runs `body()`, then `cleanup()` however the body ended, and then returns what the body returned
/// or throws what it threw. What the clean-up throws takes the place of that. Python's `finally`:
///
///     const Reply reply = co_await asyncio::finally(
///         [&]() -> asyncio::Coro<Reply> { co_return co_await ask(connection); },
///         [&]() -> asyncio::Coro<> { co_await connection.close(); });
///
/// Both run in the current task. Owns the callables.
///
/// Cancel safety: a cancellation interrupts the body, and then the clean-up runs undisturbed; one
/// that comes during the clean-up interrupts that. Cost: a coroutine.
template <class Body, class Cleanup>
Coro<detail::part_value_t<Body>> finally(Body body, Cleanup cleanup) {
    static_assert(std::is_void_v<detail::part_value_t<Cleanup>>,
                  "the clean-up of finally() returns nothing: let it be a Coro<void>");
    using T = detail::part_value_t<Body>;
    std::optional<detail::Stored<T>> value;
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await detail::call_part(body);
        } else {
            value.emplace(co_await detail::call_part(body));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await detail::call_part(cleanup);
    if (error != nullptr) {
        std::rethrow_exception(std::move(error));
    }
    if constexpr (!std::is_void_v<T>) {
        co_return *std::move(value);
    }
}

}  // namespace asyncio::inline v0
