// run and Runner: the way into asyncio from ordinary code, and out again.
#pragma once

#include <asyncio/task.hpp>

#include <exception>
#include <functional>
#include <optional>

namespace asyncio::inline v0 {

struct RunOptions {
    /// Without a value: as the environment says.
    std::optional<bool> debug{};
    /// Makes the loop; empty: new_event_loop().
    std::function<EventLoopPtr()> loop_factory{};
};

/// Owns a loop across several calls of `run`.
///
/// Closing it, at the latest in the destructor, cancels the tasks that are left, waits for them,
/// reports those that failed, and closes the asynchronous generators that are left; that is
/// repeated while there are new ones. Then it joins the threads of the default executor, for at
/// most 300 seconds, and closes the loop.
///
/// While the main thread runs a coroutine and nobody else handles SIGINT, Ctrl-C cancels the main
/// task, and `run` throws KeyboardInterrupt once that has ended; a second Ctrl-C breaks the loop,
/// and so does one while the runner closes.
///
/// Invariants:
///  1. The loop is made by the first use and belongs to the runner until it is closed.
///  2. `context_` is shared by all runs, so that they see each other's context variables.
///
/// Thread safety: one thread. Source: S206 to S219.
class ASYNCIO_API Runner final {
public:
    explicit Runner(RunOptions options = {});
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    ~Runner();

    /// Runs until `coro` ends; returns its result or throws its exception. May be called again:
    /// the loop, the context and the other tasks go on. Raises: RuntimeError if the runner is
    /// closed or a loop runs in this thread.
    template <class T>
    T run(Coro<T> coro, std::optional<Context> context = std::nullopt);
    template <class T>
    T run(Future<T> future);
    template <class F, class... Args>
        requires detail::CoroFunction<F, Args...>
    auto run(F&& function, Args&&... args);

    /// The loop; the first use makes it. Raises: RuntimeError if the runner is closed.
    EventLoop& get_loop();
    /// Idempotent.
    void close();

private:
    void check_can_run() const;
    // Runs the loop until `task` is done, with Ctrl-C arranged for.
    void run_main(const AnyTask& task);
    void initialise();
    void cancel_tasks(const std::vector<AnyTask>& tasks);
    void tear_down();

    enum class State : std::uint8_t { created, initialised, closed };

    RunOptions options_;
    EventLoopPtr loop_;
    std::optional<Context> context_;
    State state_ = State::created;
    int interrupt_count_ = 0;
};

namespace detail {

// Closes the runner by hand: the teardown runs tasks, and these shall not find an exception on its
// way out around them; what breaks the loop meanwhile reaches the caller.
template <class F>
auto run_and_close(Runner& runner, F&& body) {
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
            body();
            runner.close();
            return;
        } else {
            auto result = body();
            runner.close();
            return result;
        }
    } catch (...) {
        error = std::current_exception();
    }
    runner.close();
    std::rethrow_exception(std::move(error));
}

}  // namespace detail

/// Runs a coroutine in a new loop, tears everything down and returns the result. The form with a
/// function owns it and its arguments: `run(serve, 8080)`.
///
/// Raises: RuntimeError if a loop runs in this thread; whatever the coroutine throws;
/// KeyboardInterrupt after Ctrl-C.
template <class T>
T run(Coro<T> main, RunOptions options = {}) {
    Runner runner(std::move(options));
    return detail::run_and_close(runner, [&] { return runner.run(std::move(main)); });
}
template <detail::AsCoro A>
auto run(A&& awaiter, RunOptions options = {}) {
    return run(detail::to_coro(std::forward<A>(awaiter)), std::move(options));
}
template <class F, class... Args>
    requires detail::CoroFunction<F, Args...>
auto run(F&& function, Args&&... args) {
    Runner runner;
    return detail::run_and_close(
        runner, [&] { return runner.run(std::forward<F>(function), std::forward<Args>(args)...); });
}

template <class T>
T Runner::run(Coro<T> coro, std::optional<Context> context) {
    try {
        check_can_run();
        initialise();
    } catch (...) {
        coro.close();
        throw;
    }
    TaskOptions options;
    options.context = context ? std::move(context) : context_;
    options.created_at = {};
    Task<T> task = get_loop().create_task(std::move(options), std::move(coro));
    run_main(task);
    return std::move(task).result();
}

template <class T>
T Runner::run(Future<T> future) {
    // A main task that awaits it, for Ctrl-C to cancel.
    return run([](Future<T> awaited) -> Coro<T> { co_return co_await std::move(awaited); },
               std::move(future));
}

template <class F, class... Args>
    requires detail::CoroFunction<F, Args...>
auto Runner::run(F&& function, Args&&... args) {
    check_can_run();
    initialise();
    TaskOptions options;
    options.context = context_;
    options.created_at = {};
    auto task = get_loop().create_task(std::move(options), std::forward<F>(function),
                                       std::forward<Args>(args)...);
    run_main(task);
    return std::move(task).result();
}

}  // namespace asyncio::inline v0
