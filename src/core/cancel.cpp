// Task.cancel and gather's cancel: a walk over what waits for what. It is iterative, because a
// chain of waiting tasks may be a million long, and it notices circles, which CPython dies of.
#include <asyncio/gather.hpp>
#include <asyncio/task.hpp>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// The requests go from each task to what it waits for, and from a gather to every child; the
// answers ("accepted") come back the same way.
//
// Invariant: the nodes on `path_` carry flag_on_cancel_path, so meeting one again is a circle.
struct CancelWalk {
    explicit CancelWalk(const CancelMessage& message) : message_(message) {}
    CancelWalk(const CancelWalk&) = delete;
    CancelWalk& operator=(const CancelWalk&) = delete;
    ~CancelWalk() {
        for (Step& step : path_) {
            leave(*step.node);
        }
    }

    bool run(FutureState& start) {
        bool accepted = enter(start);
        while (!path_.empty()) {
            Step& step = path_.back();
            if (step.node->kind_ == FutureKind::gathering) {
                accepted = continue_gather(step, accepted);
            } else {
                accepted = finish_task(static_cast<TaskState&>(*step.node), accepted);
            }
        }
        return accepted;
    }

private:
    struct Step {
        FutureState* node;
        std::size_t next_child = 0;
        bool any_accepted = false;
        bool child_asked = false;
    };

    // Either answers at once, or puts the node on the path; its step then gives the answer.
    bool enter(FutureState& node) {
        if (node.kind_ == FutureKind::gathering) {
            if (!node.done()) {
                push(node);
            }
            return false;
        }
        if (node.kind_ != FutureKind::task) {
            return node.FutureState::cancel(message_);
        }
        auto& task = static_cast<TaskState&>(node);
        task.mark_retrieved();
        if (task.done()) {
            return false;
        }
        push(node);
        ++task.cancels_requested_;
        return pass_on(task);
    }

    // Asks what the task waits for. False also means "not answered yet" when it was put on the path.
    bool pass_on(TaskState& task) {
        switch (task.wait_kind()) {
            case WaitKind::none:
                return false;
            case WaitKind::future:
            case WaitKind::task:
            case WaitKind::gathering:
                return enter(*static_cast<FutureState*>(task.waiting_));
            default:
                return task.waiting_->cancel(message_);
        }
    }

    bool finish_task(TaskState& task, bool accepted) {
        if (!accepted) {
            task.Driver::flags_ |= Driver::flag_must_cancel;
            task.cancel_message_ = message_;
        }
        leave(task);
        path_.pop_back();
        return true;
    }

    bool continue_gather(Step& step, bool accepted) {
        auto& gather = static_cast<GatherBase&>(*step.node);
        step.any_accepted |= step.child_asked && accepted;
        if (step.next_child < gather.child_count_) {
            step.child_asked = true;
            FutureState& child = *gather.children_[step.next_child++].future;
            const std::size_t depth = path_.size();
            const bool answer = enter(child);  // `step` may be moved from here on
            return path_.size() == depth ? answer : false;
        }
        const bool any = step.any_accepted;
        if (any) {
            gather.FutureState::flags_ |= FutureState::flag_cancel_requested;
        }
        leave(gather);
        path_.pop_back();
        return any;
    }

    void push(FutureState& node) {
        if ((node.flags_ & FutureState::flag_on_cancel_path) != 0) {
            throw_circle(node);
        }
        path_.push_back(Step{&node});
        node.flags_ |= FutureState::flag_on_cancel_path;
    }

    static void leave(FutureState& node) noexcept {
        node.flags_ &= static_cast<std::uint8_t>(~FutureState::flag_on_cancel_path);
    }

    [[noreturn]] void throw_circle(FutureState& again) {
        std::string text = "cannot cancel: these tasks wait for each other in a circle: ";
        bool inside = false;
        for (const Step& step : path_) {
            inside |= step.node == &again;
            if (step.node->kind_ == FutureKind::task) {
                auto& task = static_cast<TaskState&>(*step.node);
                --task.cancels_requested_;
                if (inside) {
                    text += "'" + task.name() + "' -> ";
                }
            }
        }
        text += again.kind_ == FutureKind::task
                    ? "'" + static_cast<TaskState&>(again).name() + "'"
                    : std::string("the same gather()");
        throw RuntimeError(text + "; complete or cancel something that one of them waits for");
    }

    const CancelMessage& message_;
    std::vector<Step> path_;
};

bool TaskState::cancel(const CancelMessage& message) {
    mark_retrieved();
    if (done()) {
        return false;
    }
    return CancelWalk(message).run(*this);
}

bool GatherBase::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    return CancelWalk(message).run(*this);
}

}  // namespace detail
}  // namespace asyncio::inline v0
