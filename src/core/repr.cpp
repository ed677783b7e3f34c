// How futures and tasks look in reports, as Python spells them.
#include <asyncio/gather.hpp>
#include <asyncio/log.hpp>
#include <asyncio/task.hpp>

#include "base/exception_type.hpp"
#include "base/function_name.hpp"
#include "core/registry.hpp"

#include <string>
#include <string_view>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// A chain of waiting tasks may be long, or a circle: deeper levels are "...".
constexpr int wait_depth_max = 4;

std::string place(const std::source_location& location) {
    return std::string(location.file_name()) + ":" + std::to_string(location.line());
}

const char* wait_name(WaitKind kind) {
    switch (kind) {
    case WaitKind::sleep:
        return "<sleep>";
    case WaitKind::io:
        return "<io>";
    case WaitKind::primitive:
        return "<primitive>";
    default:
        return "<other>";
    }
}

// What Python's reprlib leaves of a long string.
constexpr std::size_t brief_size_max = 30;
constexpr std::string_view brief_gap = "...";

std::string repr_state(const FutureState& state, int depth);

std::string repr_task_parts(const TaskState& task, int depth) {
    std::string text = " name='" + task.name() + "'";
    const std::source_location function = task.function();
    if (function.line() != 0) {
        text += " coro=<" + function_name(function) + "() ";
        const Frame* const leaf = task.leaf();
        const Frame* root = leaf;
        while (root != nullptr && root->caller != nullptr) {
            root = root->caller;
        }
        text += root != nullptr ? "running at " + place(root->at)
                                : "done, defined at " + place(function);
        text += ">";
    }
    if (CancelTarget* const target = task.waiting()) {
        text += " wait_for=";
        text += awaits_future(task.wait_kind())
                    ? repr_state(*static_cast<FutureState*>(target), depth + 1)
                    : wait_name(task.wait_kind());
    }
    return text;
}

std::string repr_state(const FutureState& state, int depth) {
    std::string text = std::string("<") + state.type_name();
    if (depth > wait_depth_max) {
        return text + " ...>";
    }
    const bool is_task = state.kind() == FutureKind::task;
    switch (state.status()) {
    case FutureStatus::pending:
        text += is_task && static_cast<const TaskState&>(state).cancelling() > 0 ? " cancelling"
                                                                                 : " pending";
        break;
    case FutureStatus::cancelled:
        text += " cancelled";
        break;
    case FutureStatus::finished:
        text += " finished";
        break;
    }
    if (is_task) {
        text += repr_task_parts(static_cast<const TaskState&>(state), depth);
    }
    if (state.failed()) {
        text += " exception=<" + describe_exception(const_cast<FutureState&>(state).error()) + ">";
    } else if (state.has_value()) {
        const std::string result = state.result_repr();
        text += result.empty() ? "" : " result=" + result;
    }
    if (state.created_at().line() != 0) {
        text += " created at " + place(state.created_at());
    }
    return text + ">";
}

}  // namespace

std::string quoted_briefly(std::string_view text) {
    if (text.size() + 2 <= brief_size_max) {
        return "'" + std::string(text) + "'";
    }
    constexpr std::size_t head = (brief_size_max - brief_gap.size()) / 2;
    constexpr std::size_t tail = brief_size_max - brief_gap.size() - head;
    std::string brief = "'";
    brief += text.substr(0, head - 1);
    brief += brief_gap;
    brief += text.substr(text.size() - (tail - 1));
    brief += "'";
    return brief;
}

std::string FutureState::repr() const { return repr_state(*this, 0); }

std::string describe_runnable(Runnable& runnable) {
    if (TaskState* const task = TaskState::from(runnable)) {
        return task->FutureState::repr();
    }
    HandleState* const handle = HandleState::from(runnable);
    return handle != nullptr ? handle->describe() : "<Runnable>";
}

void TaskState::report_destroyed_pending() noexcept {
    if ((FutureState::flags_ & flag_quiet_destroy) != 0) {
        return;
    }
    try {
        ErrorContext context;
        context.message = "Task was destroyed but it is pending!";
        context.future = HandleAccess::make<AnyFuture>(this);
        context.created_at = created_at();
        loop_->call_exception_handler(context);
    } catch (...) {
        log(LogLevel::error, "Task was destroyed but it is pending!");
    }
}

void report_never_awaited(Frame& frame) noexcept {
    try {
        log(LogLevel::warning, "RuntimeWarning: coroutine '" + function_name(frame.function) +
                                   "' was never awaited; defined at " + place(frame.function) +
                                   "; co_await it, or make it a task with create_task()");
    } catch (...) {
        log(LogLevel::warning, "RuntimeWarning: a coroutine was never awaited");
    }
}

}  // namespace detail

std::string repr(const AnyFuture& future) {
    return future ? detail::HandleAccess::state(future).repr() : "<Future (empty handle)>";
}

}  // namespace asyncio::inline v0
