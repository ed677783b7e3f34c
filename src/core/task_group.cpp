// TaskGroup. Follows CPython's asyncio/taskgroups.py, with `cancel()` and the mended propagation of
// cancellations (gh-155433) from its development branch.
#include <asyncio/task_group.hpp>
#include <asyncio/waiter.hpp>

#include "base/exception_type.hpp"

namespace asyncio::inline v0 {

namespace detail {

GroupChild::GroupChild(TaskGroup& group, FutureState& task) noexcept
    : group_(&group), task_(&task) {
    context = copy_current_context();
    group.children_.push_back(*this);
}

void GroupChild::call(FutureState& task) {
    if (group_ != nullptr) {
        GroupLink::unlink();
        std::exchange(group_, nullptr)->child_done(task);
    }
}

void throw_group_has_no_value() {
    throw InvalidStateError(
        "the body of a task group was ended by cancel() and returned no value; let it return void, "
        "or keep its result in a variable outside");
}

}  // namespace detail

// What `exit` waits with until the last child is done.
struct TaskGroup::Completion final : Waiter {
    explicit Completion(TaskGroup& group) noexcept : group(group) { group.completion_ = this; }
    ~Completion() { group.completion_ = nullptr; }

    static bool await_ready() noexcept { return false; }
    template <std::derived_from<detail::Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        suspend(handle, WaitKind::primitive);
    }
    static void await_resume() { resumed(); }

    TaskGroup& group;
};

void TaskGroup::end_scope() {
    parent_ = nullptr;
    parent_task_ = AnyTask();
    errors_.clear();
    loop_break_ = nullptr;
    exiting_ = true;
    abort_children_left();
}

void TaskGroup::abort_children_left() {
    if (!children_.empty() && !loop_->is_closed()) {
        abort();
    }
}

TaskGroup::~TaskGroup() {
    abort_children_left();
    while (!children_.empty()) {
        children_.pop_front().group_ = nullptr;
    }
}

std::string repr(const TaskGroup& group) {
    std::string text = "<TaskGroup";
    const std::size_t count = group.children_.count();
    text += count == 0 ? "" : " tasks=" + std::to_string(count);
    text += group.errors_.empty() ? "" : " errors=" + std::to_string(group.errors_.size());
    if (group.aborting_) {
        text += " cancelling";
    } else if (group.entered_) {
        text += " entered";
    }
    return text + ">";
}

// ---- children

void TaskGroup::refuse_child() const {
    const std::string name = "TaskGroup " + repr(*this);
    if (!entered_) {
        throw RuntimeError(name + " has not been entered: create tasks inside the body that is "
                                  "given to task_group()");
    }
    if (exiting_ && children_.empty()) {
        throw RuntimeError(name + " is finished: its scope was left, use another group");
    }
    throw RuntimeError(name + " is shutting down: a task failed or the scope is being cancelled");
}

void TaskGroup::add(const AnyFuture& task) {
    // Through the loop even if an eager task is done already: a failure must not cancel the
    // creator in the middle of its step (gh-128550).
    detail::FutureState& state = detail::HandleAccess::state(task);
    state.add_callback(new detail::GroupChild(*this, state));
    if (aborting_ && !task.done()) {
        task.cancel();  // an eager task may have cancelled the group before it joined (gh-155418)
    }
}

void TaskGroup::child_done(detail::FutureState& state) {
    if (completion_ != nullptr && children_.empty() && !completion_->done()) {
        completion_->set_result();
    }
    if (!state.failed()) {
        return;
    }
    const std::exception_ptr error = state.exception();
    errors_.push_back(error);
    if (loop_break_ == nullptr && detail::classify(error) == detail::ExceptionClass::loop_break) {
        loop_break_ = error;
    }
    if (parent_ == nullptr || (parent_task_ && parent_task_.done())) {
        const auto task = detail::HandleAccess::make<AnyFuture>(&state);
        ErrorContext context;
        context.message = repr(task) + " has errored out but its parent task " +
                          (parent_task_ ? repr(parent_task_) + " " : "") + "is already completed";
        context.exception = error;
        context.future = task;
        context.created_at = task.created_at();
        loop_->call_exception_handler(context);
        return;
    }
    if (!aborting_ && !parent_cancel_requested_) {
        // The scope's body is interrupted by cancelling its task; `exit` takes the request back.
        abort();
        cancel_parent();
    }
}

void TaskGroup::abort() {
    aborting_ = true;
    children_.for_each([](detail::GroupChild& child) {
        if (!child.task_->done()) {
            detail::cancel_or_tear_out(*child.task_, {});
        }
    });
}

void TaskGroup::cancel_parent() {
    detail::cancel_or_tear_out(*parent_, {});
    parent_cancel_requested_ = true;
}

void TaskGroup::cancel() {
    if (!entered_) {
        cancel_on_enter_ = true;
    } else if (!aborting_ && !(exiting_ && children_.empty())) {
        abort();
        if (parent_ != nullptr && !parent_cancel_requested_) {
            cancel_parent();
        }
    }
}

// ---- the scope

void TaskGroup::enter() {
    if (entered_) {
        throw RuntimeError("TaskGroup " + repr(*this) +
                           " has already been entered: a group is used once");
    }
    Driver* const driver = detail::thread_state.driver;
    if (driver == nullptr) {
        throw RuntimeError("TaskGroup " + repr(*this) +
                           " cannot determine the parent task: enter it inside a coroutine");
    }
    loop_ = &driver->loop();
    parent_ = &driver->cancel_target();
    parent_task_ = current_task(*loop_);
    entered_ = true;
    if (cancel_on_enter_) {
        cancel();
    }
}

Coro<void> TaskGroup::exit(std::exception_ptr error) {
    if (parent_ == nullptr) {
        throw RuntimeError("TaskGroup " + repr(*this) +
                           (entered_ ? " is finished" : " has not been entered"));
    }
    const detail::GroupScope scope(*this);
    exiting_ = true;
    const bool is_cancellation =
        error != nullptr && detail::classify(error) == detail::ExceptionClass::cancelled;
    std::exception_ptr cancellation = is_cancellation ? error : nullptr;
    if (error != nullptr) {
        if (loop_break_ == nullptr &&
            detail::classify(error) == detail::ExceptionClass::loop_break) {
            loop_break_ = error;
        }
        if (!aborting_) {
            abort();
        }
    }
    // Repeated cancellation must not abandon the children, and children may add others.
    std::exception_ptr interruption;
    while (!children_.empty()) {
        try {
            co_await Completion(*this);
        } catch (const CancelledError&) {
            interruption = std::current_exception();
            if (!aborting_) {
                cancellation = interruption;
                abort();
            }
        }
    }
    throw_loop_break();
    if (parent_cancel_requested_) {
        if (parent_->uncancel() == 0) {
            cancellation = nullptr;  // it was this group's own request
        } else if (cancellation == nullptr) {
            cancellation = interruption;
        }
    }
    if (cancellation != nullptr && errors_.empty()) {
        std::rethrow_exception(cancellation);
    }
    if (error != nullptr && !is_cancellation) {
        if (errors_.empty() && is_exception<GeneratorExit>(error)) {
            std::rethrow_exception(error);  // a generator is closed, which is no failure
        }
        errors_.push_back(error);
    }
    if (!errors_.empty()) {
        throw_errors();
    }
}

void TaskGroup::throw_loop_break() {
    if (loop_break_ == nullptr) {
        return;
    }
    for (const std::exception_ptr& error : errors_) {
        if (error != loop_break_) {
            ErrorContext context;
            context.message = "TaskGroup task exception was not propagated because the scope ends "
                              "with " +
                              describe_exception(loop_break_);
            context.exception = error;
            loop_->call_exception_handler(context);
        }
    }
    std::rethrow_exception(loop_break_);
}

void TaskGroup::throw_errors() {
    if (parent_->cancelling() > 0) {
        // Somebody else's request is still to be heard: it is delivered again at the next await,
        // and the number of requests stays the same.
        parent_->uncancel();
        parent_->cancel(CancelMessage());
    }
    std::rethrow_exception(
        make_exception_group("unhandled errors in a TaskGroup", std::move(errors_)));
}

}  // namespace asyncio::inline v0
