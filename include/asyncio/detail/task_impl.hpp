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
    static EventLoop*& next(EventLoop& loop) noexcept { return loop.next_loop_; }
    // Whether create_task has more to do than to make a task.
    static bool admits_at_once(EventLoop& loop) noexcept {
        return !loop.closed_ && !loop.task_factory_ &&
               !loop.intake_waiting_.load(std::memory_order_relaxed);
    }
    // Throws if the loop refuses a task, else applies the task factory.
    ASYNCIO_API static void admit_task(EventLoop& loop, TaskOptions& options);
};

template <class... FunctionAndArgs>
constexpr void require_coro_function() {
    static_assert(CoroFunction<FunctionAndArgs...>,
                  "create_task takes a coroutine, or a function and arguments it can be called "
                  "with as rvalues and that returns a Coro; pass references with std::ref. A Task "
                  "or Future is on its way already: await it, or use ensure_future");
}

// The parameters of a function or method, the object first; `Object` is no reference.
template <class...>
struct Types {};
struct Object;
template <class R, class... Ps>
Types<Ps...> parameters(R (*)(Ps...));
template <class R, class C, class... Ps>
Types<Object, Ps...> parameters(R (C::*)(Ps...));
template <class R, class C, class... Ps>
Types<Object, Ps...> parameters(R (C::*)(Ps...) const);

// Whether a parameter is a reference that an argument of another type reaches by conversion only.
template <class P, class A>
inline constexpr bool binds_temporary =
    std::is_reference_v<P> && !std::is_convertible_v<A*, std::remove_reference_t<P>*> &&
    !std::is_convertible_v<std::remove_reference_t<std::unwrap_reference_t<A>>*,
                           std::remove_reference_t<P>*>;
template <class... Ps, class... As>
constexpr bool bind_temporary(Types<Ps...>, Types<As...>) {
    if constexpr (sizeof...(Ps) == sizeof...(As)) {
        return (binds_temporary<Ps, As> || ...);
    }
    return false;
}

// The same for a callable, as far as can be told: nothing is known of overloaded and generic ones.
template <class F, class... As>
constexpr bool call_binds_temporary() {
    if constexpr (requires(F function) { parameters(function); }) {
        return bind_temporary(decltype(parameters(std::declval<F>()))(), Types<As...>());
    } else if constexpr (requires { parameters(&F::operator()); }) {
        return bind_temporary(decltype(parameters(&F::operator()))(), Types<F, As...>());
    }
    return false;
}

template <class T>
Task<T> spawn(EventLoop& loop, TaskOptions& options, Coro<T>& coro) {
    try {
        LoopAccess::admit_task(loop, options);
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
    if (!LoopAccess::admits_at_once(loop)) [[unlikely]] {
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
    static_assert(!call_binds_temporary<std::decay_t<F>, std::decay_t<Args>...>(),
                  "a parameter of the coroutine is a reference, and the argument has another type: "
                  "the coroutine would refer to a temporary that is gone when it runs. Pass the "
                  "parameter's own type, such as std::string(\"text\")");
    using Result = std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>;
    using T = coro_value_t<Result>;
    using State = TaskStateWithCallable<T, std::decay_t<F>, std::decay_t<Args>...>;
    LoopAccess::admit_task(loop, options);
    auto* state =
        new State(loop, options.created_at, std::forward<F>(function), std::forward<Args>(args)...);
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

inline FutureState::FutureState(EventLoop& loop, FutureKind kind,
                                std::source_location created_at) noexcept
    : kind_(kind), loop_(&loop), created_at_(created_at) {
    loop.retain();
}

inline void FutureState::check_thread() const {
    if (loop_->debug_) [[unlikely]] {
        loop_->check_thread();
    }
}

inline FutureState::~FutureState() {
    if (!callbacks_.empty()) [[unlikely]] {
        drop_callbacks();
    }
    loop_->release();
}

inline TaskState::TaskState(EventLoop& loop, std::source_location created_at) noexcept
    : FutureState(loop, FutureKind::task, created_at), Driver(&TaskState::run, flag_task),
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
        detail::require_coro_function<Args...>();
        if constexpr (detail::CoroFunction<Args...>) {
            return detail::spawn_call(*this, options, std::forward<Args>(args)...);
        }
    }
}

template <class First, class... Args>
    requires(!std::same_as<std::remove_cvref_t<First>, TaskOptions>)
auto EventLoop::create_task(First&& first, Args&&... args) {
    TaskOptions options;
    options.created_at = {};  // the call site is unknown; reports show the coroutine's function
    return create_task(std::move(options), std::forward<First>(first), std::forward<Args>(args)...);
}

template <class T>
Task<T> create_task(Coro<T>&& coro, std::source_location here) {
    EventLoop* loop = detail::thread_state.running_loop;
    if (loop == nullptr) [[unlikely]] {
        coro.close();
        loop = &get_running_loop();  // throws
    }
    return detail::spawn(*loop, coro, here);
}

template <class T>
Task<T> create_task(TaskOptions options, Coro<T>&& coro) {
    EventLoop* loop = detail::thread_state.running_loop;
    if (loop == nullptr) [[unlikely]] {
        coro.close();
        get_running_loop();  // throws
    }
    return detail::spawn(*loop, options, coro);
}

// Chosen to say what is wrong.
template <class T>
Task<T> create_task(Coro<T>& coro) {
    return create_task(detail::to_coro(coro));
}
template <class T>
Task<T> create_task(TaskOptions options, Coro<T>& coro) {
    return create_task(std::move(options), detail::to_coro(coro));
}

template <detail::AsCoro A>
auto create_task(A&& awaiter, std::source_location here = std::source_location::current()) {
    return create_task(detail::to_coro(std::forward<A>(awaiter)), here);
}

template <detail::AsCoro A>
auto create_task(TaskOptions options, A&& awaiter) {
    return create_task(std::move(options), detail::to_coro(std::forward<A>(awaiter)));
}

template <class F, class... Args>
    requires detail::CoroFunction<F, Args...>
auto create_task(F&& function, Args&&... args) {
    TaskOptions options;
    options.created_at = {};  // the call site is unknown; reports show the coroutine's function
    return detail::spawn_call(get_running_loop(), options, std::forward<F>(function),
                              std::forward<Args>(args)...);
}

// Chosen where nothing else fits, to say what is wrong.
template <class F, class... Args>
    requires(!detail::CoroFunction<F, Args...> && !detail::CoroLike<F> &&
             !std::same_as<std::remove_cvref_t<F>, TaskOptions>)
void create_task(F&&, Args&&...) {
    detail::require_coro_function<F, Args...>();
}

template <class F, class... Args>
    requires(!detail::CoroLike<F>)
auto create_task(TaskOptions options, F&& function, Args&&... args) {
    detail::require_coro_function<F, Args...>();
    if constexpr (detail::CoroFunction<F, Args...>) {
        return detail::spawn_call(get_running_loop(), options, std::forward<F>(function),
                                  std::forward<Args>(args)...);
    }
}

namespace detail {

// The result of a future whose caller gives `handle` away: moved if nobody else can ask for it.
template <class T>
T take_result(Future<T> handle) {
    if constexpr (!std::is_void_v<T> && copyable_result<T>) {
        if (!HandleAccess::sole(handle)) {
            return handle.result();
        }
    }
    return std::move(handle).result();
}

}  // namespace detail

template <class T>
T EventLoop::run_until_complete(Future<T> future) {
    run_until_done(detail::HandleAccess::state(future), false);
    return detail::take_result<T>(std::move(future));
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
    return detail::take_result<T>(std::move(task));
}

}  // namespace asyncio::inline v0
