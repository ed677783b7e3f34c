// Definitions of task.hpp: how a task is made of a coroutine, or of a function and its arguments.
#pragma once

#include <asyncio/task.hpp>

namespace asyncio::inline v0 {

namespace detail {

struct LoopAccess {
    static bool closed(EventLoop& loop) noexcept { return loop.closed_; }
    [[noreturn]] static void throw_closed() { EventLoop::throw_closed(); }
    static IntrusiveList<Runnable>& ready(EventLoop& loop) noexcept { return loop.ready_; }
    static IntrusiveList<CompositeNode>& composites(EventLoop& loop) noexcept {
        return loop.composites_;
    }
    static IntrusiveList<TaskState, TaskNode>& tasks(EventLoop& loop) noexcept {
        return loop.tasks_;
    }
    static TimerHeap& timers(EventLoop& loop) noexcept { return loop.scheduled_; }
    static bool has_task_factory(EventLoop& loop) noexcept {
        return static_cast<bool>(loop.task_factory_);
    }
    ASYNCIO_API static void apply_task_factory(EventLoop& loop, TaskOptions& options);
};

template <class T>
Task<T> spawn(EventLoop& loop, TaskOptions& options, Coro<T>& coro) {
    try {
        if (LoopAccess::closed(loop)) {
            LoopAccess::throw_closed();
        }
        LoopAccess::apply_task_factory(loop, options);
    } catch (...) {
        coro.close();
        throw;
    }
    auto* state = new TaskStateOf<T>(loop, options.created_at);
    Task<T> task = HandleAccess::make<Task<T>>(state);
    state->start(CoroAccess::release(coro), static_cast<Slot<T>*>(state), options);
    return task;
}

// Without options: the path that is taken a million times a second.
template <class T>
Task<T> spawn(EventLoop& loop, Coro<T>& coro, std::source_location here) {
    if (LoopAccess::closed(loop) || LoopAccess::has_task_factory(loop)) [[unlikely]] {
        TaskOptions options;
        options.created_at = here;
        return spawn(loop, options, coro);
    }
    Frame* const root = CoroAccess::release(coro);
    auto* state = new TaskStateOf<T>(loop, here);
    state->start_soon(root, static_cast<Slot<T>*>(state));
    return HandleAccess::make<Task<T>>(state);
}

template <class F, class... Args>
auto spawn_call(EventLoop& loop, TaskOptions& options, F&& function, Args&&... args) {
    using Result = std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>;
    using T = coro_value_t<Result>;
    using State = TaskStateWithCallable<T, std::decay_t<F>, std::decay_t<Args>...>;
    if (LoopAccess::closed(loop)) {
        LoopAccess::throw_closed();
    }
    LoopAccess::apply_task_factory(loop, options);
    auto* state = new State(loop, options.created_at, std::forward<F>(function),
                            std::forward<Args>(args)...);
    Task<T> task = HandleAccess::make<Task<T>>(state);
    Coro<T> coro = state->invoke();
    state->start(CoroAccess::release(coro), static_cast<Slot<T>*>(state), options);
    return task;
}

template <class T, class F, class... Args>
Coro<T> TaskStateWithCallable<T, F, Args...>::invoke() {
    return std::apply(
        [](F& function, Args&... args) {
            return to_coro(std::invoke(function, std::move(args)...));
        },
        *call_);
}

inline TaskState::TaskState(EventLoop& loop, std::source_location created_at) noexcept
    : FutureState(loop, FutureKind::task, created_at),
      Driver(&TaskState::run, flag_task),
      name_(take_id(loop)) {}

inline void TaskState::start_soon(Frame* root, Receiver* receiver) {
    root->receiver = receiver;
    leaf_ = root;
    context_ = copy_current_context().leak();
    retain();
    loop_->tasks_.push_back(*this);
    loop_->ready_.push_back(*this);
}

}  // namespace detail

inline EventLoop& Driver::loop() const noexcept {
    if ((flags_ & flag_task) != 0) [[likely]] {
        return static_cast<const detail::TaskState*>(this)->FutureState::loop();
    }
    return foreign_loop();
}

template <class T>
Future<T> EventLoop::create_future(std::source_location here) {
    return detail::HandleAccess::make<Future<T>>(
        new detail::FutureStateOf<T>(*this, detail::FutureKind::future, here));
}

template <class... Args>
auto EventLoop::create_task(TaskOptions options, Args&&... args) {
    if constexpr (sizeof...(Args) == 1 && (detail::CoroLike<Args> && ...)) {
        auto coro = detail::to_coro(std::forward<Args>(args)...);
        return detail::spawn(*this, options, coro);
    } else {
        static_assert(detail::CoroFunction<Args...>,
                      "create_task takes a coroutine, or a function and arguments it can be called "
                      "with as rvalues and that returns a Coro; pass references with std::ref");
        return detail::spawn_call(*this, options, std::forward<Args>(args)...);
    }
}

template <class... Args>
    requires((sizeof...(Args) == 1 && (detail::CoroLike<Args> && ...)) ||
             detail::CoroFunction<Args...>)
auto EventLoop::create_task(Args&&... args) {
    TaskOptions options;
    options.created_at = {};  // the call site is unknown; reports show the coroutine's function
    return create_task(std::move(options), std::forward<Args>(args)...);
}

template <class T>
Task<T> create_task(Coro<T> coro, std::source_location here) {
    EventLoop* loop = detail::thread_state.running_loop;
    if (loop == nullptr) [[unlikely]] {
        coro.close();
        get_running_loop();  // throws
    }
    return detail::spawn(*loop, coro, here);
}

template <class T>
Task<T> create_task(TaskOptions options, Coro<T> coro) {
    EventLoop* loop = detail::thread_state.running_loop;
    if (loop == nullptr) [[unlikely]] {
        coro.close();
        get_running_loop();  // throws
    }
    return detail::spawn(*loop, options, coro);
}

template <detail::AsCoro A>
auto create_task(A&& awaiter, std::source_location here = std::source_location::current()) {
    return create_task(detail::to_coro(std::forward<A>(awaiter)), here);
}

template <class F, class... Args>
    requires detail::CoroFunction<F, Args...>
auto create_task(F&& function, Args&&... args) {
    TaskOptions options;
    options.created_at = {};  // the call site is unknown; reports show the coroutine's function
    return detail::spawn_call(get_running_loop(), options, std::forward<F>(function),
                              std::forward<Args>(args)...);
}

template <class F, class... Args>
    requires detail::CoroFunction<F, Args...>
auto create_task(TaskOptions options, F&& function, Args&&... args) {
    return detail::spawn_call(get_running_loop(), options, std::forward<F>(function),
                              std::forward<Args>(args)...);
}

template <class T>
T EventLoop::run_until_complete(Future<T> future) {
    detail::FutureState& state = detail::HandleAccess::state(future);
    run_until_done(state, false);
    if constexpr (std::is_void_v<T> || std::copy_constructible<T>) {
        if (state.refs() > 1) {
            return future.result();  // others may still ask for it
        }
    }
    return std::move(future).result();
}

template <class T>
T EventLoop::run_until_complete(Coro<T> coro) {
    try {
        check_can_run();
    } catch (...) {
        coro.close();
        throw;
    }
    Task<T> task = create_task(std::move(coro));
    run_until_done(detail::HandleAccess::state(task), true);
    return std::move(task).result();
}

}  // namespace asyncio::inline v0
