// Calls in other processes: for work that computes, may crash, or must be stopped.
#pragma once

#include <asyncio/executors.hpp>
#include <asyncio/remote_error.hpp>
#include <asyncio/remote_function.hpp>

namespace asyncio::inline v0 {

/// A process of the pool has ended without being asked to, or sent what cannot be read. The text
/// tells which process it was, how it ended, and what it ran.
class ASYNCIO_API BrokenProcessPool : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~BrokenProcessPool() override;
};

namespace detail {

class ProcessPool;

// A call between its submission and its end; the list node is that of the pool's queue, or of the
// worker that runs it.
//
// Invariants:
//  1. While it is in a list, that owns a reference of the state.
//  2. The arguments are there until the state is no longer pending.
class ASYNCIO_API RemoteCall : public ListNode, public JobQueue {
public:
    // How calls are sent: alone, or with others of a batch.
    struct Group {
        std::size_t batch = 0;  // 0: none
        std::size_t chunk = 1;  // so many at most
    };

    RemoteCall(const RemoteFunction& function, ProcessPool& pool, Group group) noexcept
        : function_(function), pool_(&pool), group_(group) {}
    RemoteCall(const RemoteCall&) = delete;
    RemoteCall& operator=(const RemoteCall&) = delete;

    virtual ThreadFutureState& state() noexcept = 0;
    virtual void write_arguments(Writer& writer) = 0;
    virtual void read_result(Reader& reader) = 0;

    const RemoteFunction& function() const noexcept { return function_; }
    const Group& group() const noexcept { return group_; }
    // Whether it is in the pool's queue. Guarded by the pool's mutex.
    bool queued() const noexcept { return queued_; }
    void set_queued(bool queued) noexcept { queued_ = queued; }
    void withdraw(ThreadFutureState& state) noexcept override;

protected:
    ~RemoteCall() = default;

private:
    const RemoteFunction& function_;
    ProcessPool* pool_;  // the state's reference of the queue keeps it alive
    const Group group_;
    bool queued_ = false;
};

template <auto f>
class RemoteCallOf final : public ThreadFutureStateOf<typename Function<f>::Result>,
                           public RemoteCall {
public:
    template <class... Args>
    RemoteCallOf(ProcessPool& pool, RemoteCall::Group group, Args&&... args)
        : RemoteCall(remote_function<f>, pool, group),
          arguments_(Remote<f>::keep_all(std::forward<Args>(args)...)) {}

    ThreadFutureState& state() noexcept override { return *this; }
    void write_arguments(Writer& writer) override {
        writer(*arguments_);
        arguments_.reset();
    }
    void read_result(Reader& reader) override {
        if constexpr (!std::is_void_v<typename Function<f>::Result>) {
            auto value = typename Function<f>::Result();
            reader(value);
            reader.finish();
            this->emplace(std::move(value));
        }
    }

private:
    void drop_call() noexcept override { arguments_.reset(); }

    std::optional<typename Remote<f>::Kept> arguments_;
};

class ASYNCIO_API ProcessCalls {
public:
    explicit ProcessCalls(std::shared_ptr<ProcessPool> pool) noexcept : pool_(std::move(pool)) {}

    // A number that no other calls have.
    std::size_t new_batch() noexcept;
    // Calls of one chunk go in one message. Raises: RuntimeError after `shutdown`,
    // BrokenProcessPool, and then none of them is there.
    void add(std::span<RemoteCall* const> calls);
    // Somebody must take what the processes send back: a loop, or a thread of the pool's own.
    void watch(EventLoop& loop);
    void watch_by_thread();
    // Ends the process that runs the call.
    static void kill(ProcessPool& pool, ThreadFutureState& call) noexcept;
    ProcessPool& pool() const noexcept { return *pool_; }
    const std::shared_ptr<ProcessPool>& shared() const noexcept { return pool_; }

    template <auto f, class... Args>
    ThreadFuture<typename Function<f>::Result> start(Args&&... args) {
        auto* const call =
            new RemoteCallOf<f>(*pool_, RemoteCall::Group(), std::forward<Args>(args)...);
        auto future = ThreadFutureAccess::make<typename Function<f>::Result>(call);
        RemoteCall* const alone[] = {call};
        add(alone);
        return future;
    }
    template <auto f, class R>
    auto map(R&& elements, std::size_t chunksize) {
        const RemoteCall::Group group{new_batch(), chunksize};
        std::vector<ThreadFuture<typename Function<f>::Result>> futures;
        std::vector<RemoteCall*> chunk;
        for (auto&& element : elements) {
            auto* const call = new RemoteCallOf<f>(*pool_, group, element);
            futures.push_back(ThreadFutureAccess::make<typename Function<f>::Result>(call));
            chunk.push_back(call);
            if (chunk.size() == chunksize) {
                add(chunk);
                chunk.clear();
            }
        }
        add(chunk);
        return futures;
    }

private:
    std::shared_ptr<ProcessPool> pool_;
};

}  // namespace detail

/// A function and its arguments, to be called at the start of each process:
/// `{asyncio::function<&load_model>, "model.bin"}`.
class ProcessInitializer {
public:
    ProcessInitializer() = default;
    template <auto f, class... Args>
    ProcessInitializer(Function<f>, Args&&... args)  // NOLINT(google-explicit-constructor)
        : function_(&detail::remote_function<f>),
          write_([kept = detail::Remote<f>::keep_all(std::forward<Args>(args)...)](Writer& writer) {
              writer(kept);
          }) {}

    explicit operator bool() const noexcept { return function_ != nullptr; }
    const detail::RemoteFunction& function() const noexcept { return *function_; }
    void write_arguments(Writer& writer) const { write_(writer); }

private:
    const detail::RemoteFunction* function_ = nullptr;
    std::function<void(Writer&)> write_;
};

struct ProcessPoolOptions {
    /// Without a value: as many as the program may use processors.
    std::optional<std::size_t> max_workers{};
    /// A process ends after so many calls, and is replaced. Without a value: never.
    std::optional<std::size_t> max_tasks_per_child{};
    /// If it throws, the pool is broken.
    ProcessInitializer initializer{};
    /// Whether a process that ends by itself is replaced, and only its own calls fail. Otherwise
    /// the pool is broken, as CPython's.
    bool restart = false;
};

#define ASYNCIO_NOBODY_WAITS(call)                                                               \
    "a killable call ends its process when an await of it is cancelled, and nobody awaits that " \
    "of " call ": use run_in_executor(), or leave out killable()"

/// Calls functions in processes of its own. They are made when there is a call and none of them is
/// idle, and stay until `shutdown`; each runs one call at a time.
///
///     asyncio::ProcessPoolExecutor pool;
///     const Image small = co_await asyncio::run_in_executor(
///         pool, asyncio::function<&resize>, std::move(image), 256);
///
/// The processes are copies of the program as it was when the first pool was made, or
/// `start_process_server` was called: that must be before the program has a second thread. They see
/// global variables as they were then, have the standard output and error, an empty standard input,
/// and no other descriptor of the program; they ignore SIGINT, and are killed when the program
/// ends, however it does. Arguments and results pass through memory that both sides share, whatever
/// their size up to 1 GiB.
///
/// Raises: ValueError if there may be no worker; RuntimeError if the program has more than one
/// thread and no server yet. Thread safety: any thread. Cost: an idle pool uses no processor time.
/// Source: concurrent.futures.ProcessPoolExecutor.
class ASYNCIO_API ProcessPoolExecutor {
public:
    explicit ProcessPoolExecutor(ProcessPoolOptions options = {});
    explicit ProcessPoolExecutor(std::size_t max_workers)
        : ProcessPoolExecutor(ProcessPoolOptions{.max_workers = max_workers}) {}
    ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
    ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
    /// Does `shutdown(true)` unless that, `shutdown(false)`, or one of those that end the processes
    /// was called before.
    ~ProcessPoolExecutor();

    /// Has the function called. What is added to the future as a callback runs in whichever thread
    /// ends the call: one of the pool's own, that of a loop that waits for a call of the pool, or
    /// one that uses the pool at that moment. Raises: RuntimeError after `shutdown`,
    /// BrokenProcessPool.
    template <auto f, bool kills, class... Args>
    ThreadFuture<typename Function<f>::Result> submit(Function<f, kills>, Args&&... args) {
        static_assert(!kills, ASYNCIO_NOBODY_WAITS("submit"));
        calls_.watch_by_thread();
        return calls_.start<f>(std::forward<Args>(args)...);
    }

    /// Has the function called for each element, `chunksize` of them by one message; returns the
    /// futures in the same order. Those of a chunk end together, each with its own result or error;
    /// if the process crashes meanwhile, all of them fail. The limit of 1 GiB is that of a chunk.
    template <auto f, bool kills, std::ranges::input_range R>
    std::vector<ThreadFuture<typename Function<f>::Result>> map(Function<f, kills>, R&& elements,
                                                                std::size_t chunksize = 1) {
        static_assert(!kills, ASYNCIO_NOBODY_WAITS("map"));
        check_chunk(chunksize);
        calls_.watch_by_thread();
        return calls_.map<f>(std::forward<R>(elements), chunksize);
    }

    /// Takes no calls any more. `wait`: returns when those it has are done and its processes have
    /// ended; in a callback of a call, when the processes have. `cancel_futures`: cancels those
    /// that have not begun. May be called again.
    void shutdown(bool wait = true, bool cancel_futures = false);
    /// Ends all processes by SIGTERM, or SIGKILL, and takes no calls any more: those it has fail
    /// with BrokenProcessPool. Does not wait, nor does the destructor afterwards: `shutdown` does.
    /// Source: Python 3.14.
    void terminate_workers();
    void kill_workers();

    /// The numbers of the processes there are, of which the latest may not be known yet.
    std::vector<int> processes() const;

private:
    template <auto f, bool kills, class... Args>
    friend auto run_in_executor(ProcessPoolExecutor& pool, Function<f, kills>, Args&&... args);
    static void check_chunk(std::size_t chunksize);

    detail::ProcessCalls calls_;
};
#undef ASYNCIO_NOBODY_WAITS

namespace detail {

// As any future of another thread's call, but a call that nobody waits for any more is killed.
template <class T>
class KillingFuture final : public FutureStateOf<T, WrappedFuture> {
public:
    KillingFuture(EventLoop& loop, std::shared_ptr<ProcessPool> pool, ThreadFutureState& call)
        : FutureStateOf<T, WrappedFuture>(loop, FutureKind::future, {}), pool_(std::move(pool)),
          call_(&call) {}

private:
    void detach() noexcept override {
        if (!call_->done()) {  // the loop closes, and the handle was dropped
            abandon(*call_);
        }
        WrappedFuture::detach();
    }
    void abandon(ThreadFutureState& source) noexcept override {
        if (!source.cancel()) {
            ProcessCalls::kill(*pool_, source);
        }
    }
    void take_value(ThreadFutureState& source) override {
        source.take_result();
        if constexpr (!std::is_void_v<T>) {
            this->emplace(std::move(static_cast<ThreadFutureStateOf<T>&>(source).value));
        }
    }

    const std::shared_ptr<ProcessPool> pool_;
    const StatePtr<ThreadFutureState> call_;
};

}  // namespace detail

/// Calls `function(args...)` in a process of the pool and returns a future of the running loop. The
/// arguments are converted to the function's parameters here; string views and spans that it takes
/// refer to the bytes that were sent, without another copy.
///
/// Raises: RuntimeError if no loop runs in this thread, or after `shutdown`; BrokenProcessPool.
/// The future: what the function throws, see `register_exception`; BrokenProcessPool; ValueError if
/// the arguments or the result are too large. Cancel safety: resumes at once. A call that has not
/// begun never runs; one that runs goes on, unless it is `killable`, and its outcome is dropped.
template <auto f, bool kills, class... Args>
auto run_in_executor(ProcessPoolExecutor& pool, Function<f, kills>, Args&&... args) {
    using T = typename Function<f>::Result;
    EventLoop& loop = get_running_loop();
    pool.calls_.watch(loop);
    ThreadFuture<T> call = pool.calls_.template start<f>(std::forward<Args>(args)...);
    if constexpr (kills) {
        detail::ThreadFutureState& running = detail::ThreadFutureAccess::state(call);
        auto* const state = new detail::KillingFuture<T>(loop, pool.calls_.shared(), running);
        Future<T> future = detail::HandleAccess::make<Future<T>>(state);
        state->begin(running);
        return future;
    } else {
        return wrap_future(std::move(call));
    }
}
template <class F, class... Args>
auto run_in_executor(ProcessPoolExecutor&, F&&, Args&&...) {
    static_assert(std::is_void_v<F>,
                  "a process pool calls a function that has a name when the program is compiled: "
                  "pass asyncio::function<&f>");
}

/// Starts the process of which those of all pools are copies, if it is not there. Call it first in
/// `main` if threads are started before a pool is made, or to keep what the copies inherit small.
///
/// Raises: RuntimeError if the program has more than one thread; std::system_error.
ASYNCIO_API void start_process_server();

}  // namespace asyncio::inline v0
