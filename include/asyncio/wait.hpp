// wait, wait_for and as_completed: waiting for one or many tasks and futures, with a time limit.
#pragma once

#include <asyncio/ensure_future.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/timeouts.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace asyncio::inline v0 {

// ---- wait_for

namespace detail {

// Cancels a task or future and waits until it has ended. Cancel safety: only the waiting ends.
ASYNCIO_API Coro<void> cancel_and_wait(AnyFuture future);
[[noreturn]] ASYNCIO_API void throw_timeout_of(const AnyFuture& cancelled);

template <class A>
using awaited_t = typename decltype(await_once(std::declval<A>()))::value_type;

template <class A>
Coro<awaited_t<A>> wait_for(A awaitable, std::optional<Duration> limit) {
    using T = awaited_t<A>;
    if (limit && *limit <= Duration::zero()) {
        auto future = ensure_future(std::move(awaitable));
        if (!future.done()) {
            co_await cancel_and_wait(future);
            if (future.cancelled()) {
                throw_timeout_of(future);
            }
        }
        co_return take_result<T>(std::move(future));
    }
    Timeout scope = limit ? Timeout(*limit) : Timeout(std::nullopt);
    co_return co_await timeout(scope, [&awaitable] { return await_once(std::move(awaitable)); });
}

}  // namespace detail

/// Awaits a coroutine, task or future in the current task, for at most `limit`. At the limit it is
/// cancelled and waited for; if it then ends with a result or another error, that counts.
///
/// With a limit of zero or less, what is done gives its result; a coroutine does not start.
///
/// Raises: TimeoutError; ValueError for NaN. Cancel safety: cancels what it waits for, too;
/// `shield` prevents that. Source: S162 to S172.
template <class T, class Rep, class Period>
Coro<T> wait_for(Coro<T> coro, std::chrono::duration<Rep, Period> limit) {
    return detail::wait_for(std::move(coro), detail::to_duration(limit));
}
template <std::derived_from<AnyFuture> F, class Rep, class Period>
Coro<typename F::value_type> wait_for(F future, std::chrono::duration<Rep, Period> limit) {
    return detail::wait_for(std::move(future), detail::to_duration(limit));
}
template <detail::AsCoro A, class Rep, class Period>
auto wait_for(A&& awaiter, std::chrono::duration<Rep, Period> limit) {
    return wait_for(detail::to_coro(std::forward<A>(awaiter)), limit);
}
/// Seconds, as in Python.
template <class A>
auto wait_for(A&& awaitable, double seconds) {
    return wait_for(std::forward<A>(awaitable), detail::from_seconds(seconds));
}
/// Without a limit: the same as awaiting.
template <class T>
Coro<T> wait_for(Coro<T> coro, std::nullopt_t) {
    return detail::wait_for(std::move(coro), std::nullopt);
}
template <std::derived_from<AnyFuture> F>
Coro<typename F::value_type> wait_for(F future, std::nullopt_t) {
    return detail::wait_for(std::move(future), std::nullopt);
}

// ---- wait

enum class ReturnWhen : std::uint8_t {
    all_completed,
    first_completed,
    first_exception,  ///< a cancellation does not count as one
};

struct WaitOptions {
    /// Without a value: for as long as it takes.
    std::optional<Duration> timeout{};
    ReturnWhen return_when = ReturnWhen::all_completed;
};

/// Both in the order in which they were given.
template <class F>
struct WaitResult {
    std::vector<F> done;
    std::vector<F> pending;
};

namespace detail {

// The indices of those that were not there before.
ASYNCIO_API std::vector<std::size_t> without_duplicates(const std::vector<AnyFuture>& futures);
// Waits as `wait` does, for those of the futures that are listed.
ASYNCIO_API Coro<void> wait_until(const std::vector<AnyFuture>& futures,
                                  const std::vector<std::size_t>& listed, WaitOptions options);

}  // namespace detail

/// Waits for tasks or futures until all, one, or one with an exception is done, or for a time.
/// Cancels nothing, and throws nothing that they ended with.
///
/// Duplicates count once. Suspends at least once. Raises: ValueError for an empty vector.
/// Cancel safety: the futures go on. Source: S182 to S188.
template <std::derived_from<AnyFuture> F>
Coro<WaitResult<F>> wait(std::vector<F> futures, WaitOptions options = {}) {
    const std::vector<AnyFuture> all(futures.begin(), futures.end());
    const std::vector<std::size_t> unique = detail::without_duplicates(all);
    co_await detail::wait_until(all, unique, options);
    WaitResult<F> result;
    for (const std::size_t index : unique) {
        F& future = futures[index];
        (future.done() ? result.done : result.pending).push_back(std::move(future));
    }
    co_return result;
}

template <class T>
void wait(const std::vector<Coro<T>>&, WaitOptions = {}) {
    static_assert(sizeof(T) == 0,
                  "wait() takes tasks and futures, so that you know which of them are done: make "
                  "tasks of the coroutines with create_task()");
}

// ---- as_completed

namespace detail {

// What an as_completed and the coroutines that it gave out share.
//
// Invariants:
//  1. `todo_` holds the futures in the order in which they were given, null once they have
//     reported; it is empty after the time-out. `unreported_` counts the others.
//  2. `reported_` holds those that have and were not taken; null stands for the time-out.
class ASYNCIO_API Completions {
public:
    static std::shared_ptr<Completions> of(const std::vector<AnyFuture>& futures,
                                           std::optional<Duration> timeout);
    Completions() = default;
    Completions(const Completions&) = delete;
    Completions& operator=(const Completions&) = delete;
    ~Completions();

    // Takes one of the completions; false when none is left.
    bool take_one() noexcept {
        if (left_ == 0) {
            return false;
        }
        --left_;
        return true;
    }
    // Waits for the next one. Raises: TimeoutError.
    static Coro<AnyFuture> next(std::shared_ptr<Completions> completions);

private:
    struct Todo {
        AnyFuture future;
        CallbackId callback;
    };
    void on_done(std::size_t index);
    void on_timeout();
    void remove_callbacks() noexcept;

    std::vector<Todo> todo_;
    std::size_t unreported_ = 0;
    std::size_t left_ = 0;
    Queue<AnyFuture> reported_;
    TimerHandle timer_;
};

}  // namespace detail

/// Tasks or futures in the order in which they complete. Two ways to use it:
///
///     auto completions = asyncio::as_completed(tasks);
///     while (auto task = co_await completions.next()) {
///         use(task->result());              // the same task that was given
///     }
///
///     for (auto earliest : asyncio::as_completed(tasks)) {
///         use(co_await std::move(earliest));  // the next result, of whichever task
///     }
///
/// Coroutines become tasks. Duplicates count once. After the time limit each further step raises
/// TimeoutError; what is not done goes on.
///
/// Cancel safety: a cancelled step loses one completion's turn, not its result; the tasks go on.
/// Source: S189 to S193.
template <class T>
class AsCompleted {
public:
    explicit AsCompleted(std::shared_ptr<detail::Completions> completions) noexcept
        : completions_(std::move(completions)) {}

    /// The next one that is done; nothing after the last.
    Coro<std::optional<Future<T>>> next() {
        if (!completions_->take_one()) {
            co_return std::nullopt;
        }
        const AnyFuture done = co_await detail::Completions::next(completions_);
        co_return detail::HandleAccess::make<Future<T>>(&detail::HandleAccess::state(done));
    }

    class Iterator {
    public:
        using value_type = Coro<T>;
        using difference_type = std::ptrdiff_t;

        explicit Iterator(std::shared_ptr<detail::Completions> completions)
            : completions_(std::move(completions)) {
            ++*this;
        }
        Coro<T> operator*() const { return next_result(completions_); }
        Iterator& operator++() {
            if (!completions_->take_one()) {
                completions_ = nullptr;
            }
            return *this;
        }
        friend bool operator==(const Iterator& iterator, std::default_sentinel_t) noexcept {
            return iterator.completions_ == nullptr;
        }

    private:
        static Coro<T> next_result(std::shared_ptr<detail::Completions> completions) {
            AnyFuture done = co_await detail::Completions::next(std::move(completions));
            auto future = detail::HandleAccess::make<Future<T>>(&detail::HandleAccess::state(done));
            done = {};
            co_return detail::take_result<T>(std::move(future));
        }
        std::shared_ptr<detail::Completions> completions_;
    };
    Iterator begin() const { return Iterator(completions_); }
    static std::default_sentinel_t end() noexcept { return {}; }

private:
    std::shared_ptr<detail::Completions> completions_;
};

/// See AsCompleted. Raises: RuntimeError without a running loop.
template <std::derived_from<AnyFuture> F>
AsCompleted<typename F::value_type> as_completed(const std::vector<F>& futures,
                                                 std::optional<Duration> timeout = std::nullopt) {
    return AsCompleted<typename F::value_type>(
        detail::Completions::of(std::vector<AnyFuture>(futures.begin(), futures.end()), timeout));
}
template <class T>
AsCompleted<T> as_completed(std::vector<Coro<T>> coros,
                            std::optional<Duration> timeout = std::nullopt) {
    std::vector<AnyFuture> tasks;
    for (Coro<T>& coro : coros) {
        tasks.push_back(create_task(std::move(coro)));
    }
    return AsCompleted<T>(detail::Completions::of(tasks, timeout));
}

}  // namespace asyncio::inline v0
