// to_thread and run_coroutine_threadsafe: from a coroutine into a thread, and the other way round.
#pragma once

#include <asyncio/ensure_future.hpp>
#include <asyncio/executors.hpp>

namespace asyncio::inline v0 {

/// Calls `function(args...)` in a thread of the loop's default executor, with a copy of the current
/// context, and returns the result:
///
///     const std::string text = co_await asyncio::to_thread(read_slowly, path);
///
/// Cancel safety: as run_in_executor. Source: S204.
template <class F, class... Args>
auto to_thread(F function, Args... args) -> Coro<detail::thread_result_t<F, Args...>> {
    co_return co_await run_in_executor(
        nullptr,
        [context = copy_context(), function = std::move(function)](Args&&... given) mutable {
            return context.run(function, std::move(given)...);
        },
        std::move(args)...);
}

namespace detail {

// The end of a ThreadFuture that a loop's thread completes. Dropping it cancels the future: nobody
// shall wait for a loop that is closed.
template <class T>
class ThreadPromise {
public:
    ThreadPromise() : state_(new ThreadFutureStateOf<T>) {}
    ThreadPromise(ThreadPromise&&) noexcept = default;
    ThreadPromise& operator=(ThreadPromise&&) = delete;
    ~ThreadPromise() {
        if (state_) {
            state_->cancel();
        }
    }

    ThreadFutureStateOf<T>& state() const noexcept { return *state_; }

    // Ends the future as the task ended, whose result nobody else can ask for.
    void set_from(FutureState& task) const noexcept {
        if (task.cancelled()) {
            state_->cancel();
        } else if (state_->begin()) {
            try {
                task.check_result();
                if constexpr (!std::is_void_v<T>) {
                    task.set_moved();
                    state_->emplace(std::move(HandleAccess::slot<T>(task).value));
                }
            } catch (...) {
                state_->receiver().error = std::current_exception();
            }
            state_->finish();
        }
    }

private:
    StatePtr<ThreadFutureStateOf<T>> state_;
};

// The task of run_coroutine_threadsafe, null once it is done or gone. Loop thread only.
using ThreadsafeTask = std::shared_ptr<TaskState*>;

// Has the loop cancel the task when the thread's future is cancelled.
ASYNCIO_API void pass_cancellation(ThreadFutureState& future, EventLoop& loop, ThreadsafeTask task);

// The task's done callback.
template <class T>
struct TaskForThread {
    TaskForThread(ThreadPromise<T> promise, ThreadsafeTask task) noexcept
        : promise(std::move(promise)), task(std::move(task)) {}
    TaskForThread(TaskForThread&&) noexcept = default;
    TaskForThread& operator=(TaskForThread&&) = delete;
    ~TaskForThread() {
        if (task != nullptr) {
            *task = nullptr;
        }
    }
    void operator()(const AnyFuture& done) {
        *task = nullptr;
        promise.set_from(HandleAccess::state(done));
    }

    ThreadPromise<T> promise;
    ThreadsafeTask task;
};

// What the loop's thread is asked to call: makes the task.
template <class T, class Source>
struct StartForThread {
    StartForThread(EventLoop& loop, Source source) : loop(&loop), source(std::move(source)) {}
    StartForThread(StartForThread&&) noexcept = default;
    StartForThread& operator=(StartForThread&&) = delete;
    ~StartForThread() {
        if constexpr (is_coro<Source>) {
            source.close();
        }
    }
    void operator()() {
        ThreadFutureState& future = promise.state();
        if (future.done()) {
            return;  // cancelled meanwhile
        }
        Task<T> task;
        try {
            task = loop->create_task(TaskOptions{.created_at = {}}, std::move(source));
        } catch (const LoopBreak&) {
            throw;
        } catch (...) {
            future.fail(std::current_exception());
            throw;
        }
        auto& state = static_cast<TaskState&>(HandleAccess::state(task));
        auto shared = std::make_shared<TaskState*>(&state);
        const StatePtr<ThreadFutureState> alive(&future);
        task.add_done_callback(TaskForThread<T>(std::move(promise), shared));
        pass_cancellation(future, *loop, std::move(shared));
    }

    EventLoop* loop;
    Source source;
    ThreadPromise<T> promise;
};

template <class T, class Source>
ThreadFuture<T> start_for_thread(EventLoop& loop, Source source) {
    StartForThread<T, Source> start(loop, std::move(source));
    ThreadFuture<T> future = ThreadFutureAccess::make<T>(&start.promise.state());
    loop.call_soon_threadsafe(std::move(start));
    return future;
}

}  // namespace detail

/// Has a loop of another thread run a coroutine, or that of a function, which the loop then owns:
///
///     auto answer = asyncio::run_coroutine_threadsafe([] { return ask("them"); }, loop);
///     use(answer.result(1s));
///
/// Cancelling the future cancels the task, and the other way round. If the task cannot be made, the
/// future gets the error, and the loop's exception handler is told. If the loop is closed first,
/// the future is cancelled. In the loop's own thread `result()` would wait for ever.
///
/// Raises: RuntimeError if the loop is closed. Thread safety: any thread, while the loop lives.
/// Source: S199, S200.
template <detail::CoroLike C>
auto run_coroutine_threadsafe(C&& coro, EventLoop& loop) {
    using T = detail::coro_value_t<C>;
    return detail::start_for_thread<T, Coro<T>>(loop, detail::to_coro(std::forward<C>(coro)));
}
template <class F>
    requires detail::CoroFunction<F>
auto run_coroutine_threadsafe(F&& function, EventLoop& loop) {
    using T = detail::coro_value_t<std::invoke_result_t<std::decay_t<F>&>>;
    return detail::start_for_thread<T, std::decay_t<F>>(loop, std::forward<F>(function));
}

}  // namespace asyncio::inline v0
