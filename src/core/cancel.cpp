// Task.cancel and gather's cancel: a walk over what waits for what. It is iterative, because a
// chain of waiting tasks may be a million long, and it notices circles, which CPython dies of.
#include <asyncio/gather.hpp>
#include <asyncio/task.hpp>

#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// The requests go from each task to what it waits for, and from a gather to every child; the
// answers ("accepted") come back the same way. Nothing that runs here steps a task, so what waits
// for what does not change meanwhile.
struct CancelWalk {
    static bool cancel(FutureState& start, const CancelMessage& message);

private:
    class CircleSearch;

    struct Step {
        FutureState* node;
        std::size_t next_child = 0;
        bool any_accepted = false;
        bool child_asked = false;
    };

    explicit CancelWalk(const CancelMessage& message) : message_(message) {}

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

    // Either answers at once, or puts nodes on the path; the answer is then for the last of them.
    bool enter(FutureState& first) {
        for (FutureState* node = &first;;) {
            if (node->kind_ == FutureKind::gathering) {
                if (!node->done()) {
                    path_.push_back(Step{node});
                }
                return false;
            }
            if (node->kind_ != FutureKind::task) {
                return node->cancel(message_);
            }
            auto& task = static_cast<TaskState&>(*node);
            task.mark_retrieved();
            if (task.done()) {
                return false;
            }
            path_.push_back(Step{node});
            ++task.cancels_requested_;
            if (!awaits_future(task.wait_kind())) {
                return task.waiting_ != nullptr && task.waiting_->cancel(message_);
            }
            node = static_cast<FutureState*>(task.waiting_);
        }
    }

    bool finish_task(TaskState& task, bool accepted) {
        if (!accepted) {
            task.Driver::flags_ |= Driver::flag_must_cancel;
            task.cancel_message_ = message_;
        }
        path_.pop_back();
        return true;
    }

    bool continue_gather(Step& step, bool accepted) {
        auto& gather = static_cast<GatherBase&>(*step.node);
        step.any_accepted |= step.child_asked && accepted;
        if (step.next_child < gather.child_count_) {
            step.child_asked = true;
            return enter(*gather.children_[step.next_child++].future);  // `step` may be moved
        }
        const bool any = step.any_accepted;
        if (any) {
            gather.FutureState::flags_ |= FutureState::flag_cancel_requested;
        }
        path_.pop_back();
        return any;
    }

    const CancelMessage& message_;
    std::vector<Step> path_;
};

// Throws if a request would come back to where it was. It looks before anything is asked, so that
// a refused request has changed nothing.
//
// Invariant: the nodes on `path_` carry flag_on_cancel_path, all in `visited_` flag_mentioned.
class CancelWalk::CircleSearch {
public:
    CircleSearch() = default;
    CircleSearch(const CircleSearch&) = delete;
    CircleSearch& operator=(const CircleSearch&) = delete;
    ~CircleSearch() {
        for (FutureState* node : visited_) {
            node->flags_ &= static_cast<std::uint8_t>(~(on_path | visited));
        }
    }

    void run(FutureState& start) {
        enter(start);
        while (!path_.empty()) {
            Step& step = path_.back();
            if (FutureState* const node = next(*step.node, step.next_child++)) {
                enter(*node);
            } else {
                step.node->flags_ &= static_cast<std::uint8_t>(~on_path);
                path_.pop_back();
            }
        }
    }

private:
    static constexpr std::uint8_t on_path = FutureState::flag_on_cancel_path;
    static constexpr std::uint8_t visited = FutureState::flag_mentioned;

    void enter(FutureState& node) {
        if (node.done() || next(node, 0) == nullptr) {
            return;
        }
        if ((node.flags_ & on_path) != 0) {
            throw_circle(node);
        }
        if ((node.flags_ & visited) == 0) {
            visited_.push_back(&node);
            path_.push_back(Step{&node});
            node.flags_ |= on_path | visited;
        }
    }

    // What a request to `node` goes on to, as far as it can be part of a circle.
    static FutureState* next(FutureState& node, std::size_t index) noexcept {
        if (node.kind_ == FutureKind::gathering) {
            auto& gather = static_cast<GatherBase&>(node);
            return index < gather.child_count_ ? gather.children_[index].future.get() : nullptr;
        }
        if (node.kind_ != FutureKind::task || index > 0) {
            return nullptr;
        }
        auto& task = static_cast<TaskState&>(node);
        const WaitKind kind = task.wait_kind();
        return kind == WaitKind::task || kind == WaitKind::gathering
                   ? static_cast<FutureState*>(task.waiting_)
                   : nullptr;
    }

    [[noreturn]] void throw_circle(FutureState& again) const {
        std::string text = "cannot cancel: these tasks wait for each other in a circle: ";
        bool inside = false;
        for (const Step& step : path_) {
            inside |= step.node == &again;
            text += inside ? name(*step.node) + " -> " : "";
        }
        throw RuntimeError(text + name(again) +
                           "; complete or cancel something that one of them waits for");
    }

    static std::string name(FutureState& node) {
        return node.kind_ == FutureKind::task ? "'" + static_cast<TaskState&>(node).name() + "'"
                                              : std::string("gather()");
    }

    std::vector<Step> path_;
    std::vector<FutureState*> visited_;
};

bool CancelWalk::cancel(FutureState& start, const CancelMessage& message) {
    CircleSearch().run(start);
    return CancelWalk(message).run(start);
}

bool TaskState::cancel(const CancelMessage& message) {
    mark_retrieved();
    if (done()) {
        return false;
    }
    return CancelWalk::cancel(*this, message);
}

bool GatherBase::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    return CancelWalk::cancel(*this, message);
}

void cancel_or_tear_out(CancelTarget& target, const CancelMessage& message) {
    try {
        target.cancel(message);
    } catch (const RuntimeError&) {
        auto* const task = dynamic_cast<TaskState*>(&target);
        if (task == nullptr) {
            throw;  // another runtime's, which knows what to do
        }
        task->cancel_forcibly();
        ErrorContext context;
        context.message = "tasks wait for each other in a circle";
        context.exception = std::current_exception();
        context.future = HandleAccess::make<AnyTask>(task);
        context.created_at = context.future.created_at();
        task->FutureState::loop().call_exception_handler(context);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
