// TaskGroup: a scope that owns its tasks. It is left when all of them have ended; if one fails, the
// others are cancelled.
#pragma once

#include <asyncio/exception_group.hpp>
#include <asyncio/task.hpp>

#include <functional>
#include <optional>
#include <type_traits>
#include <vector>

namespace asyncio::inline v0 {

class TaskGroup;

namespace detail {

// Links the children of a group; their other link belongs to the future's callbacks.
struct GroupLink : ListNode {};

// The done callback of a group's child, and its place in the group's list.
//
// Invariant: `group_` is set exactly while it is in the list. The callback lives in the child until
// that is done, so the child is alive as long as the link.
class ASYNCIO_API GroupChild final : public DoneCallback, public GroupLink {
public:
    GroupChild(TaskGroup& group, FutureState& task) noexcept;
    void call(FutureState& task) override;

private:
    friend class asyncio::v0::TaskGroup;
    TaskGroup* group_;
    FutureState* task_;
};

// Ends a group's scope, also if its coroutine is destroyed inside.
class GroupScope {
public:
    explicit GroupScope(TaskGroup& group) noexcept : group_(group) {}
    GroupScope(const GroupScope&) = delete;
    GroupScope& operator=(const GroupScope&) = delete;
    ~GroupScope();

private:
    TaskGroup& group_;
};

}  // namespace detail

/// Runs tasks whose lives end with the scope:
///
///     co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> asyncio::Coro<> {
///         group.create_task(fetch, first_url);
///         group.create_task(fetch, second_url);
///         co_return;
///     });  // both are done here
///
/// The first child that fails cancels the others and the body. When all have ended, the scope
/// throws an ExceptionGroup ("unhandled errors in a TaskGroup") of every error in the order in
/// which they happened, the body's last; a BaseExceptionGroup if one is no std::exception. A child
/// that is cancelled by itself is no error. A LoopBreak is thrown bare.
///
/// The object may outlive its scope: `task_group(group, body)`. Used outside, its methods throw.
///
/// Invariants:
///  1. `children_` holds every task that was created here and has not reported its end, oldest
///     first.
///  2. `parent_` is set from `enter` to the end of `exit`, or to the destruction of the coroutine
///     that runs the scope; `parent_task_` keeps it alive if it is a task.
///  3. `completed_` is set exactly while `exit` waits.
///
/// Thread safety: loop thread only.
/// Cancel safety: cancelling the task that runs the scope cancels the body and every child, waits
/// for all of them, and goes on. If children fail on that occasion, their ExceptionGroup is thrown
/// first, and CancelledError at the next await. Source: S120 to S146.
class ASYNCIO_API TaskGroup {
public:
    TaskGroup() noexcept = default;
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    /// Cancels the children that are left, which happens only if the scope was not left.
    ~TaskGroup();

    /// Creates a child; the forms are those of the free `create_task`. May be called by the body,
    /// by children and by others, as long as the body runs or a child is alive.
    ///
    /// Raises: RuntimeError before the scope is entered ("has not been entered"), after its end
    /// ("is finished"), and after a failure or cancellation ("is shutting down"); a coroutine is
    /// then closed.
    template <class T>
    Task<T> create_task(Coro<T> coro, std::source_location here = std::source_location::current());
    template <detail::AsCoro A>
    auto create_task(A&& awaiter, std::source_location here = std::source_location::current());
    template <class F, class... Args>
        requires(!detail::CoroLike<F> && !std::same_as<std::remove_cvref_t<F>, TaskOptions>)
    auto create_task(F&& function, Args&&... args);
    template <class... Args>
    auto create_task(TaskOptions options, Args&&... coro_or_function_and_args);

    /// Cancels the body and every child; the scope then ends without CancelledError. Before the
    /// scope is entered, it does so there; after the end it does nothing.
    void cancel();

    /// Begins the scope by hand; `co_await exit(error)` must follow, with what the body threw.
    /// Raises: RuntimeError if it was entered before, or outside a task.
    void enter();
    /// Waits for the children. Throws what the scope ends with; returns if that is nothing, even
    /// if `error` is a CancelledError that this group itself caused.
    Coro<void> exit(std::exception_ptr error = nullptr);

    /// `<TaskGroup tasks=2 entered>`.
    friend ASYNCIO_API std::string repr(const TaskGroup& group);

private:
    friend class detail::GroupChild;
    friend class detail::GroupScope;
    struct Completion;

    bool accepts_children() const noexcept {
        return entered_ && !aborting_ && !(exiting_ && children_.empty());
    }
    [[noreturn]] void refuse_child() const;
    void add(const AnyFuture& task);
    void child_done(detail::FutureState& task);
    void abort();
    void abort_children_left();
    void end_scope();
    void cancel_parent();
    void throw_loop_break();
    [[noreturn]] void throw_errors();

    EventLoop* loop_ = nullptr;
    CancelTarget* parent_ = nullptr;
    AnyTask parent_task_;
    detail::IntrusiveList<detail::GroupChild, detail::GroupLink> children_;
    std::vector<std::exception_ptr> errors_;
    std::exception_ptr loop_break_;
    Completion* completion_ = nullptr;
    bool entered_ = false;
    bool exiting_ = false;
    bool aborting_ = false;
    bool parent_cancel_requested_ = false;
    bool cancel_on_enter_ = false;
};

namespace detail {

inline GroupScope::~GroupScope() {
    if (group_.parent_ != nullptr) {
        group_.end_scope();
    }
}

template <class F>
concept GroupBody =
    std::invocable<F&, TaskGroup&> && CoroLike<std::invoke_result_t<F&, TaskGroup&>>;

template <class F>
auto call_body(F& body, TaskGroup& group) {
    static_assert(GroupBody<F>,
                  "task_group takes a body: a function of a TaskGroup& that returns a coroutine, "
                  "such as [&](TaskGroup& group) -> asyncio::Coro<> { ... }");
    return to_coro(std::invoke(body, group));
}

template <class F>
using group_value_t =
    coro_value_t<decltype(call_body(std::declval<F&>(), std::declval<TaskGroup&>()))>;

[[noreturn]] ASYNCIO_API void throw_group_has_no_value();

}  // namespace detail

/// Runs `body(group)` and waits for the tasks it created. Returns what the body returned; throws
/// as TaskGroup describes. Owns the callable, so a lambda may capture.
///
/// Raises: InvalidStateError if the body was to return a value and `group.cancel()` ended it.
template <detail::GroupBody Body>
Coro<detail::group_value_t<Body>> task_group(TaskGroup& group, Body body) {
    using T = detail::group_value_t<Body>;
    group.enter();
    const detail::GroupScope scope(group);
    std::optional<detail::Stored<T>> value;
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await detail::call_body(body, group);
        } else {
            value.emplace(co_await detail::call_body(body, group));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await group.exit(std::move(error));
    if constexpr (!std::is_void_v<T>) {
        if (!value) {
            detail::throw_group_has_no_value();
        }
        co_return *std::move(value);
    }
}

template <detail::GroupBody Body>
Coro<detail::group_value_t<Body>> task_group(Body body) {
    TaskGroup group;
    if constexpr (std::is_void_v<detail::group_value_t<Body>>) {
        co_await task_group(group, std::move(body));
    } else {
        co_return co_await task_group(group, std::move(body));
    }
}

template <class T>
Task<T> TaskGroup::create_task(Coro<T> coro, std::source_location here) {
    if (!accepts_children()) [[unlikely]] {
        coro.close();
        refuse_child();
    }
    Task<T> task = detail::spawn(*loop_, coro, here);
    add(task);
    return task;
}

template <detail::AsCoro A>
auto TaskGroup::create_task(A&& awaiter, std::source_location here) {
    return create_task(detail::to_coro(std::forward<A>(awaiter)), here);
}

template <class F, class... Args>
    requires(!detail::CoroLike<F> && !std::same_as<std::remove_cvref_t<F>, TaskOptions>)
auto TaskGroup::create_task(F&& function, Args&&... args) {
    TaskOptions options;
    options.created_at = {};  // the call site is unknown; reports show the coroutine's function
    return create_task(std::move(options), std::forward<F>(function), std::forward<Args>(args)...);
}

template <class... Args>
auto TaskGroup::create_task(TaskOptions options, Args&&... args) {
    if (!accepts_children()) [[unlikely]] {
        if constexpr (sizeof...(Args) == 1 && (detail::is_coro<std::remove_cvref_t<Args>> && ...)) {
            (args.close(), ...);
        }
        refuse_child();
    }
    auto task = loop_->create_task(std::move(options), std::forward<Args>(args)...);
    add(task);
    return task;
}

}  // namespace asyncio::inline v0
