// ensure_future: whatever can be awaited, as a future.
#pragma once

#include <asyncio/task.hpp>

namespace asyncio::inline v0 {

namespace detail {

// Whatever can be awaited, as a coroutine.
template <class T>
Coro<T> await_once(Coro<T> coro) {
    return coro;
}
template <std::derived_from<AnyFuture> F>
Coro<typename F::value_type> await_once(F future) {
    co_return co_await std::move(future);
}

}  // namespace detail

/// A future or task is returned as it is; a coroutine becomes a task of the running loop.
///
/// Raises: RuntimeError if a coroutine is given and no loop runs in this thread; the coroutine is
/// closed then. Differs from CPython: what cannot be awaited does not compile. Source: S056.
template <std::derived_from<AnyFuture> F>
F ensure_future(F future) {
    return future;
}
template <class T>
Task<T> ensure_future(Coro<T> coro, std::source_location here = std::source_location::current()) {
    return create_task(std::move(coro), here);
}
template <detail::AsCoro A>
auto ensure_future(A&& awaiter, std::source_location here = std::source_location::current()) {
    return create_task(detail::to_coro(std::forward<A>(awaiter)), here);
}

/// The same for a loop that need not run yet. Raises: ValueError for a future of another loop;
/// RuntimeError for a coroutine if the loop is closed.
template <std::derived_from<AnyFuture> F>
F ensure_future(F future, EventLoop& loop) {
    if (&future.get_loop() != &loop) {
        throw ValueError(
            "The future belongs to a different loop than the one specified as the loop argument");
    }
    return future;
}
template <detail::CoroLike C>
auto ensure_future(C&& coro, EventLoop& loop,
                   std::source_location here = std::source_location::current()) {
    TaskOptions options;
    options.created_at = here;
    return loop.create_task(std::move(options), std::forward<C>(coro));
}

}  // namespace asyncio::inline v0
