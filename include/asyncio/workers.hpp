// run_workers: the same coroutine on every processor, each time in a loop of its own.
#pragma once

#include <asyncio/runners.hpp>

#include <functional>
#include <string>
#include <type_traits>

namespace asyncio::inline v0 {

/// A worker's process has ended by itself. The text tells which one it was, and how it ended.
class ASYNCIO_API BrokenWorker : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~BrokenWorker() override;
};

struct WorkersOptions {
    /// Each worker is a process, a copy of the program, and not a thread.
    bool processes = false;
    /// Whether a process that ends by itself, or by a SIGTERM from elsewhere, is replaced: at once,
    /// but not twice in a second. If that fails, the others go on, and it is tried again, with a
    /// line of the log. Only for processes.
    bool restart = false;
    /// Without a value: as the environment says.
    std::optional<bool> debug{};
    /// Threads, or processes, and main tasks are named "<name>_0", "<name>_1", ..., for the kernel
    /// shortened to 15 bytes by the end of the name.
    std::string name = "worker";
};

namespace detail {

using WorkerMain = std::function<Coro<void>(std::size_t)>;

// `n`: without a value, as many as there are processors.
ASYNCIO_API void run_workers(std::optional<std::size_t> n, const WorkerMain& main,
                             const WorkersOptions& options);

template <class F>
WorkerMain worker_main(F function) {
    constexpr bool takes_index = std::is_invocable_r_v<Coro<void>, F&, std::size_t>;
    constexpr bool takes_nothing = std::is_invocable_r_v<Coro<void>, F&>;
    static_assert(takes_index || takes_nothing,
                  "run_workers takes a function that returns a Coro<void>, without parameters or "
                  "with one for the worker's number; give it more as captures of a lambda");
    if constexpr (takes_index) {
        return function;
    } else if constexpr (takes_nothing) {
        return [call = std::move(function)](std::size_t) mutable { return call(); };
    }
}

}  // namespace detail

/// Runs `main()`, or `main(index)` with a number from 0 to n - 1, in n loops at once, each in a
/// thread of its own, and returns when all have ended:
///
///     Coro<void> serve() {
///         auto server = co_await asyncio::start_server(answer, "", 8080, {.reuse_port = true});
///         co_await server.serve_forever();
///     }
///     asyncio::run_workers(4, serve);
///
/// With `reuse_port` the kernel spreads the connections over the servers that listen at the port.
///
/// The calling thread only waits. Each worker is what `run` is in its thread: it has a copy of
/// `main` and of the caller's context, and a Runner. In worker threads signals are blocked, but for
/// SIGPROF and those that a thread raises by a fault of its own, such as SIGSEGV.
///
/// An exception of one worker cancels the main tasks of the others. Once all have ended it is
/// thrown again, as it is if it is the only one, else in an ExceptionGroup. A worker whose main
/// task was cancelled has just ended; a LoopBreak goes before all others.
///
/// In the main thread, and if nobody handles the signal, Ctrl-C and SIGTERM cancel all main tasks.
/// If one of them ends by that, KeyboardInterrupt is thrown, or SystemExit(143). A second Ctrl-C
/// breaks all loops.
///
/// With `processes` each worker is a copy of the program, made by fork, that never returns from
/// here; everything else is the same. Meanwhile SIGCHLD has its default action in the program,
/// whoever handles it else. A worker may handle signals, and a SIGTERM cancels its main task. A
/// process that ends by itself, a crash for instance, is an exception of that worker,
/// BrokenWorker, unless it is replaced (see `restart`). What a worker throws keeps its type as
/// it does on its way out of a ProcessPoolExecutor. A third Ctrl-C kills all processes, and
/// they are killed if the program ends, however it does; one that has changed its user, once it
/// is back in its loop.
///
/// Raises: RuntimeError if a loop runs in this thread, and with `processes` if the program has
/// other threads; ValueError without a worker, and for `restart` without `processes`;
/// std::system_error. Not in Python.
template <class F>
void run_workers(std::size_t n, F main, const WorkersOptions& options = {}) {
    detail::run_workers(n, detail::worker_main(std::move(main)), options);
}
/// The same, with as many workers as the process may use processors.
template <class F>
void run_workers(F main, const WorkersOptions& options = {}) {
    detail::run_workers(std::nullopt, detail::worker_main(std::move(main)), options);
}

}  // namespace asyncio::inline v0
