// Tasks: steps, and how a coroutine's end becomes a future's. Follows Task.__step and __wakeup of
// CPython's asyncio/tasks.py.
#include <asyncio/log.hpp>
#include <asyncio/task.hpp>

#include "base/exception_type.hpp"
#include "base/function_name.hpp"

#include <atomic>
#include <ostream>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Ids are taken from the process in blocks, so that creating a task needs no atomic operation.
constexpr std::uint64_t id_block_size = 256;
constinit std::atomic<std::uint64_t> next_id_block{1};

// Retrieves an exception in place of a task that does not wait any more.
struct Forget final : DoneCallback {
    void call(FutureState& future) override { future.mark_retrieved(); }
};

}  // namespace

void TaskName::set(std::string name) {
    auto* text = new std::string(std::move(name));
    if ((bits_ & 1) == 0) {
        clear();
    }
    bits_ = reinterpret_cast<std::uintptr_t>(text);
}

std::string TaskName::get() const {
    if ((bits_ & 1) == 0) {
        return *reinterpret_cast<const std::string*>(bits_);
    }
    return "Task-" + std::to_string(bits_ >> 1);
}

void TaskName::clear() noexcept { delete reinterpret_cast<std::string*>(bits_); }

void TaskState::refill_ids(EventLoop& loop) noexcept {
    loop.next_task_id_ = next_id_block.fetch_add(id_block_size, std::memory_order_relaxed);
    loop.task_id_end_ = loop.next_task_id_ + id_block_size;
}

void TaskState::return_ids(EventLoop& loop) noexcept {
    // Possible only if no other loop took ids since: then the next loop goes on without a gap.
    std::uint64_t expected = loop.task_id_end_;
    if (expected != 0) {
        next_id_block.compare_exchange_strong(expected, loop.next_task_id_);
        loop.task_id_end_ = loop.next_task_id_ = 0;
    }
}

void TaskState::start(Frame* root, Receiver* receiver, TaskOptions& options) {
    if (!options.name.empty()) {
        // As in CPython, a task that is given a name uses up no number.
        if (name_.number() + 1 == loop_->next_task_id_) {
            --loop_->next_task_id_;
        }
        name_.set(std::move(options.name));
    }
    root->receiver = receiver;
    leaf_ = root;
    context_ = options.context ? ContextPtr(ContextAccess::data(*options.context)).leak()
                               : copy_current_context().leak();
    retain();
    loop_->tasks_.push_back(*this);
    if (options.eager_start.value_or(false) && loop_->running_) {
        eager_start();
    } else {
        loop_->ready_.push_back(*this);
    }
}

void TaskState::run(Runnable& self, Turn) {
    // Never discarded: the loop destroys its tasks itself.
    auto& task = static_cast<TaskState&>(self);
    if ((task.Driver::flags_ & (Driver::flag_must_cancel | Driver::flag_pending)) != 0)
        [[unlikely]] {
        prepare_error(self);
    }
    task.waiting_ = nullptr;
    task.resume_leaf();
    constexpr auto interesting =
        Driver::flag_ended | Driver::flag_must_cancel | Driver::flag_transfer;
    if ((task.Driver::flags_ & interesting) != 0) {
        after_resume(self);
    }
}

void TaskState::after_resume(Runnable& self) {
    auto& task = static_cast<TaskState&>(self);
    if ((task.Driver::flags_ & Driver::flag_transfer) != 0) {
        task.run_trampoline();
    }
    if (task.ended()) {
        task.end_step();
        return;
    }
    thread_state.driver = nullptr;  // what follows may destroy this task
    if ((task.Driver::flags_ & Driver::flag_must_cancel) != 0 && task.waiting_ != nullptr) {
        task.interrupt_wait();
    }
}

// A task that cancelled itself is interrupted at what it waits for next.
void TaskState::interrupt_wait() {
    try {
        if (waiting_->cancel(cancel_message_)) {
            clear_must_cancel();
        }
    } catch (const RuntimeError&) {
        if (!awaits_future(wait_kind_)) {
            throw;
        }
        // It began to wait for a circle of tasks, which cannot be cancelled: the wait ends instead.
        stop_waiting();
    }
}

void TaskState::eager_start() {
    // The creator is in the middle of its own step.
    Driver* const creator = thread_state.driver;
    try {
        run(*this, Turn::run);
    } catch (...) {
        thread_state.driver = creator;
        throw;
    }
    thread_state.driver = creator;
}

void TaskState::prepare_error(Runnable& self) {
    auto& task = static_cast<TaskState&>(self);
    if ((task.Driver::flags_ & Driver::flag_must_cancel) != 0) {
        task.deliver_must_cancel();
    }
    task.announce_pending();
}

void TaskState::deliver_must_cancel() {
    CancelTarget* const awaited = waiting_;
    clear_must_cancel();
    bool cancelled_anyway = false;
    const auto is_cancelled_error = [](const std::exception_ptr& error) {
        return error != nullptr && classify(error) == ExceptionClass::cancelled;
    };
    if ((Driver::flags_ & Driver::flag_pending) != 0) {
        cancelled_anyway = is_cancelled_error(error());
    } else if (awaited != nullptr && awaits_future(wait_kind_)) {
        auto& future = static_cast<FutureState&>(*awaited);
        cancelled_anyway =
            future.cancelled() || (future.failed() && is_cancelled_error(future.error()));
        future.mark_retrieved();
    }
    if (!cancelled_anyway) {
        deliver(std::make_exception_ptr(CancelledError(cancel_message_, leaf_->at)));
    }
}

void TaskState::end_step() {
    Frame* const root = leaf_;
    Receiver& outcome = *root->receiver;
    ended_function_ = root->function;
    root->handle().destroy();
    if ((Driver::flags_ & flag_has_callable) != 0) [[unlikely]] {
        release_callable();
    }
    thread_state.driver = nullptr;  // what follows may destroy this task
    TaskNode::unlink();
    if (outcome.error == nullptr && (Driver::flags_ & flag_must_cancel) == 0) [[likely]] {
        finish_with_value();
        FutureState::release();  // the loop's reference
    } else {
        end_step_badly(outcome);
    }
}

void TaskState::end_step_badly(Receiver& outcome) {
    const StatePtr<TaskState> alive(this);
    FutureState::release();  // the loop's reference
    if (outcome.error == nullptr) {
        clear_must_cancel();
        clear_value();
        finish_cancelled(cancel_message_);
        return;
    }
    switch (classify(outcome.error)) {
    case ExceptionClass::cancelled:
        finish_cancelled(CancelMessage());
        break;
    case ExceptionClass::loop_break: {
        const std::exception_ptr loop_break = outcome.error;
        finish_with_error();
        std::rethrow_exception(loop_break);
    }
    case ExceptionClass::ordinary:
        finish_with_error();
        break;
    }
}

int TaskState::uncancel() noexcept {
    if (cancels_requested_ > 0) {
        --cancels_requested_;
        if (cancels_requested_ == 0) {
            clear_must_cancel();
        }
    }
    return static_cast<int>(cancels_requested_);
}

void TaskState::cancel_forcibly() {
    ++cancels_requested_;
    Driver::flags_ |= Driver::flag_must_cancel;
    stop_waiting();
}

void TaskState::stop_waiting() {
    if (waiting_ == nullptr || !Driver::scheduled()) {
        return;
    }
    if (wait_kind_ == WaitKind::gathering) {
        // It was waited for here, so what it ends with is no lost error.
        static_cast<FutureState*>(waiting_)->add_callback(new Forget);
    }
    Driver::unlink();
    waiting_ = nullptr;
    wake();
}

void TaskState::destroy_pending() noexcept {
    if (Driver::scheduled()) {
        Driver::unlink();
    }
    waiting_ = nullptr;
    const StatePtr<TaskState> alive(this);
    TaskNode::unlink();
    FutureState::release();
    Frame* const leaf = leaf_;
    Frame* root = leaf;
    while (root->caller != nullptr) {
        root = root->caller;
    }
    ended_function_ = root->function;
    Driver::flags_ |= Driver::flag_ended;
    destroy_chain(leaf);
    release_callable();
}

Context TaskState::context() {
    if (context_ == nullptr) {
        context_ = new ContextData(nullptr);
    }
    context_->retain();
    return ContextAccess::make(ContextPtr(context_));
}

std::vector<StackEntry> TaskState::stack() const {
    std::vector<StackEntry> entries;
    if (ended() || leaf_ == nullptr) {
        return entries;
    }
    for (const Frame* frame = leaf_; frame != nullptr; frame = frame->caller) {
        entries.push_back({function_name(frame->function), frame->at.file_name(),
                           static_cast<unsigned>(frame->at.line())});
    }
    return {entries.rbegin(), entries.rend()};
}

std::coroutine_handle<> TaskState::root_handle() const noexcept {
    if (ended() || leaf_ == nullptr) {
        return nullptr;
    }
    Frame* frame = leaf_;
    while (frame->caller != nullptr) {
        frame = frame->caller;
    }
    return frame->handle();
}

std::source_location TaskState::function() const noexcept {
    if (ended()) {
        return ended_function_;
    }
    const Frame* frame = leaf_;
    while (frame != nullptr && frame->caller != nullptr) {
        frame = frame->caller;
    }
    return frame == nullptr ? std::source_location() : frame->function;
}

}  // namespace detail

std::vector<StackEntry> AnyTask::get_stack(std::optional<std::size_t> limit) const {
    std::vector<StackEntry> entries = task().stack();
    if (limit && entries.size() > *limit) {
        entries.erase(entries.begin(),
                      entries.end() -
                          static_cast<std::vector<StackEntry>::difference_type>(*limit));
    }
    return entries;
}

void AnyTask::print_stack(std::ostream& out, std::optional<std::size_t> limit) const {
    const std::vector<StackEntry> entries = get_stack(limit);
    if (entries.empty()) {
        out << "No stack for " << repr(*this) << '\n';
        return;
    }
    out << "Stack for " << repr(*this) << " (most recent call last):\n";
    for (const StackEntry& entry : entries) {
        out << "  File \"" << entry.file << "\", line " << entry.line << ", in " << entry.function
            << '\n';
    }
}

AnyTask current_task() { return current_task(get_running_loop()); }

AnyTask current_task(EventLoop& loop) {
    Driver* const driver = detail::thread_state.driver;
    if (driver == nullptr || detail::thread_state.running_loop != &loop) {
        return {};
    }
    detail::TaskState* const task = detail::task_state_of(*driver);
    return task == nullptr ? AnyTask() : detail::HandleAccess::make<AnyTask>(task);
}

std::vector<AnyTask> all_tasks() { return all_tasks(get_running_loop()); }

std::vector<AnyTask> all_tasks(EventLoop& loop) {
    std::vector<AnyTask> tasks;
    detail::LoopAccess::tasks(loop).for_each([&tasks](detail::TaskState& task) {
        tasks.push_back(detail::HandleAccess::make<AnyTask>(&task));
    });
    return tasks;
}

}  // namespace asyncio::inline v0
