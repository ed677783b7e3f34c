// Executors: calls in other threads, and their results as futures of a loop.
#pragma once

#include <asyncio/task.hpp>
#include <asyncio/thread_future.hpp>

#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::inline v0 {

/// Runs calls, in other threads as a rule. Derive from it to have jobs run by threads of your own:
/// `execute` gets them, from any thread.
///
/// A job owns its callable and its arguments, and passes the arguments as rvalues; a `T&` parameter
/// needs std::ref. They are destroyed in the thread that runs the job, or that cancels it, and must
/// not be handles of a loop's futures or tasks, which belong to the loop's thread.
///
/// Thread safety: any thread. Source: concurrent.futures.Executor.
class ASYNCIO_API Executor {
public:
    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    virtual ~Executor();

    /// Has `function(args...)` called. Raises: RuntimeError after `shutdown`.
    template <class F, class... Args>
    auto submit(F&& function, Args&&... args) {
        auto future = detail::ThreadFutureAccess::make_call(std::forward<F>(function),
                                                            std::forward<Args>(args)...);
        execute(future);
        return future;
    }

    /// Has `function(element)` called for each element, which the jobs copy; returns the futures in
    /// the same order. Differs from CPython: there are no results yet.
    template <class F, std::ranges::input_range R>
    auto map(const F& function, R&& elements) {
        using Element = std::ranges::range_value_t<R>;  // what is iterated may be a proxy of it
        std::vector<ThreadFuture<detail::thread_result_t<F, Element>>> calls;
        for (auto&& element : elements) {
            calls.push_back(submit(function, Element(std::forward<decltype(element)>(element))));
        }
        return calls;
    }

    /// Takes no jobs any more. `wait`: returns when those it has are done and its threads have
    /// ended. `cancel_futures`: cancels those that have not begun. May be called again.
    virtual void shutdown(bool wait = true, bool cancel_futures = false) = 0;

protected:
    /// Has `std::move(job).run()` called. Raises: RuntimeError after `shutdown`.
    virtual void execute(Job job) = 0;

private:
    friend class EventLoop;
    template <class T>
    void execute(const ThreadFuture<T>& call) {
        execute(detail::ThreadFutureAccess::make_job(detail::ThreadFutureAccess::state(call)));
    }
};

/// The initializer of a pool's thread has failed, so the pool does nothing any more.
class ASYNCIO_API BrokenThreadPool : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~BrokenThreadPool() override;
};

struct ThreadPoolOptions {
    /// Without a value: as many as the process may use processors and 4 more, at most 32.
    std::optional<std::size_t> max_workers{};
    /// Threads are named "<prefix>_0", "<prefix>_1", ..., for the kernel shortened to 15 bytes by
    /// the end of the prefix. Empty: "ThreadPool-<n>".
    std::string thread_name_prefix{};
    /// Called at the start of each thread. If it throws, the pool is broken.
    std::function<void()> initializer{};
};

namespace detail {

class ThreadPool;

}  // namespace detail

/// An executor with threads of its own. They are made when there is a job and none of them is idle,
/// and stay until `shutdown`. Signals are blocked in them, but for SIGPROF and those that a thread
/// raises by a fault of its own, such as SIGSEGV.
///
/// The destructor does `shutdown(true)`, unless the latest call of it was `shutdown(false)`: then
/// threads that still run end by themselves. In a thread of the pool neither waits. In a loop's
/// thread both block the loop.
///
/// A forked child has none of the threads: if there were some, `submit` raises RuntimeError there,
/// `shutdown` and the destructor do nothing.
///
/// Raises: ValueError if there may be no worker. Cost: an idle pool uses no processor time.
/// Source: concurrent.futures.ThreadPoolExecutor.
class ASYNCIO_API ThreadPoolExecutor final : public Executor {
public:
    explicit ThreadPoolExecutor(ThreadPoolOptions options = {});
    explicit ThreadPoolExecutor(std::size_t max_workers)
        : ThreadPoolExecutor(ThreadPoolOptions{.max_workers = max_workers}) {}
    ~ThreadPoolExecutor() override;

    void shutdown(bool wait = true, bool cancel_futures = false) override;

protected:
    void execute(Job job) override;

private:
    const std::shared_ptr<detail::ThreadPool> pool_;  // shared with the threads
};

namespace detail {

// A loop's future that is completed by a ThreadFuture.
//
// Invariant: from `begin` until the source is done or the loop closes, it is in the loop's list of
// composites and owns a reference of itself; while it is pending, too, it counts as external work.
class ASYNCIO_API WrappedFuture : public FutureState, public CompositeNode {
public:
    using FutureState::FutureState;

    void begin(ThreadFutureState& source);
    bool cancel(const CancelMessage& message) override;
    void detach() noexcept override;

protected:
    // Nobody waits any more. A source that runs already goes on, and its outcome is dropped.
    virtual void abandon(ThreadFutureState& source) noexcept { source.cancel(); }
    // The source has a result: moves or copies it into the slot.
    virtual void take_value(ThreadFutureState& source) = 0;

private:
    struct Arrival;
    void deliver(ThreadFutureState& source);

    StatePtr<ThreadFutureState> source_;  // null once done
};

template <class T, bool moves>
class WrappedFutureOf final : public FutureStateOf<T, WrappedFuture> {
public:
    using FutureStateOf<T, WrappedFuture>::FutureStateOf;

private:
    void take_value(ThreadFutureState& source) override {
        if constexpr (moves) {
            source.take_result();
        } else {
            source.check_result();
        }
        if constexpr (!std::is_void_v<T>) {
            auto& value = static_cast<ThreadFutureStateOf<T>&>(source).value;
            if constexpr (moves) {
                this->emplace(std::move(value));
            } else {
                this->emplace(std::as_const(value));
            }
        }
    }
};

template <bool moves, class T>
Future<T> wrap(const ThreadFuture<T>& source, EventLoop& loop, std::source_location here) {
    ThreadFutureState& call = ThreadFutureAccess::state(source);
    auto* state = new WrappedFutureOf<T, moves>(loop, FutureKind::future, here);
    Future<T> future = HandleAccess::make<Future<T>>(state);
    state->begin(call);
    return future;
}

}  // namespace detail

/// A future of the running loop that ends as `source` does. Cancelling it cancels `source`. The
/// result is copied; that of an rvalue is moved, and nobody else gets it.
///
/// Raises: RuntimeError if no loop runs in this thread, or if `source` names nothing. Source:
/// asyncio.wrap_future.
template <class T>
Future<T> wrap_future(const ThreadFuture<T>& source,
                      std::source_location here = std::source_location::current()) {
    return detail::wrap<false>(source, get_running_loop(), here);
}
template <class T>
Future<T> wrap_future(ThreadFuture<T>&& source,
                      std::source_location here = std::source_location::current()) {
    return detail::wrap<true>(source, get_running_loop(), here);
}

template <class F, class... Args>
auto EventLoop::run_in_executor(Executor* executor, F&& function, Args&&... args) {
    check_usable();
    Executor& target = executor != nullptr ? *executor : default_executor();
    const auto call = detail::ThreadFutureAccess::make_call(std::forward<F>(function),
                                                            std::forward<Args>(args)...);
    auto future = detail::wrap<true>(call, *this, {});
    target.execute(call);  // last, since another thread has it from then on
    return future;
}

/// Calls `function(args...)` in a thread of the executor, null being the running loop's default
/// one, and returns a future of the running loop:
///
///     const int sum = co_await asyncio::run_in_executor(pool, add, 1, 2);
///
/// The job owns the function, the arguments and the result. An exception comes out of the await.
///
/// Raises: RuntimeError if no loop runs in this thread, or after `shutdown`.
/// Cancel safety: resumes at once. A job that has not begun never runs; one that runs goes on, and
/// its outcome is dropped. Cost: four pooled allocations. Source: S201, S202.
template <class F, class... Args>
auto run_in_executor(Executor* executor, F&& function, Args&&... args) {
    return get_running_loop().run_in_executor(executor, std::forward<F>(function),
                                              std::forward<Args>(args)...);
}
template <class F, class... Args>
auto run_in_executor(Executor& executor, F&& function, Args&&... args) {
    return run_in_executor(&executor, std::forward<F>(function), std::forward<Args>(args)...);
}

}  // namespace asyncio::inline v0
