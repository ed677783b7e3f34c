// staggered_race: several ways to the same result, begun one after the other, the first one wins.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/coro.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace asyncio::inline v0 {

/// How a race ended.
template <class T>
struct RaceResult {
    /// What the winner returned; nothing if nobody won.
    std::optional<detail::Stored<T>> value{};
    /// The winner's place in the list.
    std::optional<std::size_t> winner{};
    /// What became of those that were begun, in the order of the list: null for the winner, and a
    /// CancelledError for one that was cancelled because of it.
    std::vector<std::exception_ptr> exceptions{};
};

namespace detail {

// What begins one attempt: it ends normally if that succeeds.
using RaceAttempt = std::function<Coro<void>(std::size_t)>;

struct RaceEnd {
    std::optional<std::size_t> winner;
    std::vector<std::exception_ptr> exceptions;
};
ASYNCIO_API Coro<RaceEnd> staggered_race(std::size_t count, RaceAttempt attempt,
                                         std::optional<Duration> delay);

template <class T, class F>
Coro<void> attempt_to(std::optional<Stored<T>>& value, F& function) {
    if constexpr (std::is_void_v<T>) {
        co_await to_coro(std::invoke(function));
        value.emplace();
    } else {
        Stored<T> result = co_await to_coro(std::invoke(function));
        if (!value) {  // else it has ignored that somebody has won
            value.emplace(std::move(result));
        }
    }
}

}  // namespace detail

/// Calls the functions and runs their coroutines as tasks: the next one begins when the one before
/// has failed, or `delay` after it began. The first that succeeds cancels the others; when all have
/// ended, the result is returned. Happy eyeballs (RFC 8305) is such a race.
///
/// Without a delay, each begins when the one before has failed. The functions are kept until the
/// end, so lambdas may capture.
///
/// Raises: nothing that an attempt throws, except a LoopBreak; ValueError for a negative delay.
/// Cancel safety: cancels all attempts and waits for them. Source: S194.
template <std::invocable F>
    requires detail::CoroLike<std::invoke_result_t<F&>>
auto staggered_race(std::vector<F> functions, std::optional<Duration> delay = std::nullopt)
    -> Coro<RaceResult<detail::coro_value_t<std::invoke_result_t<F&>>>> {
    using T = detail::coro_value_t<std::invoke_result_t<F&>>;
    struct Shared {  // with the attempts
        std::vector<F> functions;
        std::optional<detail::Stored<T>> value;
    };
    const auto shared = std::make_shared<Shared>(Shared{std::move(functions), std::nullopt});
    detail::RaceEnd end = co_await detail::staggered_race(
        shared->functions.size(),
        [shared](std::size_t index) {
            return detail::attempt_to<T>(shared->value, shared->functions[index]);
        },
        delay);
    co_return RaceResult<T>{std::move(shared->value), end.winner, std::move(end.exceptions)};
}

}  // namespace asyncio::inline v0
