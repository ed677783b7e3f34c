// gather as asyncio orders it. The end of a child queues a callback, the callback counts, and the
// last one collects the results in the order of the children and queues the waiting task: one
// more hop a child than awaiting the tasks one after another would need. The callbacks' handles
// lie in one array, so a gather allocates twice, whatever the number of its children.
#pragma once

#include "task.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace floor_runtime {

template <class T>
class Gather {
public:
    explicit Gather(std::vector<Task<T>> children)
        : children_(std::move(children)),
          callbacks_(std::make_unique_for_overwrite<Callback[]>(children_.size())) {}

    bool await_ready() const { return children_.empty(); }

    void await_suspend(std::coroutine_handle<> caller) {
        waiter_ = park(caller);
        for (std::size_t index = 0; index < children_.size(); ++index) {
            Callback& callback = callbacks_[index];
            callback.run = child_done;
            callback.gather = this;
            TaskBase& child = children_[index].promise();
            if (child.done()) {
                loop->ready.push(&callback);
            } else {
                child.add_waiter(&callback);
            }
        }
    }

    std::vector<T> await_resume() {
        throw_if_cancelled();
        return std::move(results_);
    }

private:
    struct Callback : Handle {
        Gather* gather;
    };

    static void child_done(Handle* handle) {
        Gather& gather = *static_cast<Callback*>(handle)->gather;
        if (++gather.finished_ == gather.children_.size()) {
            gather.collect();
            loop->ready.push(gather.waiter_);
        }
    }

    void collect() {
        results_.reserve(children_.size());
        for (const Task<T>& child : children_) {
            results_.push_back(child.promise().outcome.get());
        }
    }

    std::vector<Task<T>> children_;
    std::unique_ptr<Callback[]> callbacks_;
    std::vector<T> results_;
    std::size_t finished_ = 0;
    Handle* waiter_ = nullptr;
};

}  // namespace floor_runtime
