// Handles: one call, run once or cancelled. Follows CPython's asyncio/events.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/handle.hpp>

namespace asyncio::inline v0 {
namespace detail {

void HandleState::cancel() noexcept {
    if (armed()) [[likely]] {
        cancelled_ = true;
        loop.scheduled_.remove(*this);
        drop_once();
        release();  // the heap's reference
        return;
    }
    if (cancelled_ || finished_) {
        return;
    }
    cancelled_ = true;
    if (!running_) {
        drop_once();
    }
}

void HandleState::run(Runnable& self, Turn turn) {
    auto& handle = static_cast<HandleState&>(self);
    if (turn == Turn::run && !handle.cancelled_) {
        try {
            handle.execute();
        } catch (...) {
            handle.finished_ = true;
            handle.drop_once();
            handle.release();
            throw;
        }
    }
    handle.finished_ = true;
    handle.drop_once();
    handle.release();
}

void HandleState::execute() {
    const ContextScope scope(context);
    running_ = true;
    try {
        call();
    } catch (const LoopBreak&) {
        running_ = false;
        throw;
    } catch (...) {
        ErrorContext report;
        report.message = "Exception in callback " + describe();
        report.exception = std::current_exception();
        report.handle = Handle(this);
        report.created_at = created_at;
        loop.call_exception_handler(report);
    }
    running_ = false;
}

void HandleState::execute_repeatedly() {
    retain();
    struct Reference {
        HandleState& handle;
        ~Reference() { handle.release(); }
    } const reference{*this};
    execute();
}

std::string HandleState::describe() const {
    std::string text = armed() ? "<TimerHandle" : "<Handle";
    text += cancelled_ ? " cancelled" : "";
    if (created_at.line() != 0) {
        text += std::string(" created at ") + created_at.file_name() + ":" +
                std::to_string(created_at.line());
    }
    return text + ">";
}

void throw_empty_handle() {
    throw RuntimeError(
        "this Handle is empty (default constructed or moved from): take one from call_soon(), "
        "call_later() or call_at()");
}

// ---- calls from other threads

ThreadSafeState::~ThreadSafeState() = default;

void ThreadSafeState::run(Runnable& self, Turn turn) {
    auto& state = static_cast<ThreadSafeState&>(self);
    struct Reference {
        ThreadSafeState& state;
        ~Reference() {
            state.drop();
            state.release();
        }
    } const reference{state};
    if (turn == Turn::discard) {
        return;
    }
    if (state.refs_.load(std::memory_order_acquire) == 1) {
        // Without a handle there is nobody to cancel it, any more.
        if (state.phase_.load(std::memory_order_relaxed) == Phase::pending) {
            state.call_and_report();
        }
        return;
    }
    state.runner_ = this_thread();
    Phase expected = Phase::pending;
    if (!state.phase_.compare_exchange_strong(expected, Phase::running)) {
        return;
    }
    struct Running {
        ThreadSafeState& state;
        ~Running() {
            state.drop();
            state.phase_.store(Phase::finished);
            state.phase_.notify_all();
        }
    } const running{state};
    state.call_and_report();
}

void ThreadSafeState::call_and_report() {
    const ContextScope scope(context);
    try {
        call();
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        ErrorContext report;
        report.message = "Exception in callback from another thread";
        report.exception = std::current_exception();
        loop->call_exception_handler(report);
    }
}

void ThreadSafeState::cancel() noexcept {
    Phase expected = Phase::pending;
    if (!phase_.compare_exchange_strong(expected, Phase::cancelled)) {
        settled_phase();
    }
}

bool ThreadSafeState::cancelled() noexcept { return settled_phase() == Phase::cancelled; }

ThreadSafeState::Phase ThreadSafeState::settled_phase() noexcept {
    Phase phase = phase_.load();
    while (phase == Phase::running && runner_ != this_thread()) {
        phase_.wait(Phase::running);
        phase = phase_.load();
    }
    return phase;
}

}  // namespace detail

Context Handle::get_context() const {
    detail::ContextPtr& context = state().context;
    if (!context) {
        context = detail::ContextPtr(new detail::ContextData(nullptr));
    }
    return detail::ContextAccess::make(context);
}

std::string repr(const Handle& handle) {
    return handle.state_ == nullptr ? "<Handle>" : handle.state_->describe();
}

ThreadSafeHandle::ThreadSafeHandle(const ThreadSafeHandle& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) {
        state_->retain();
    }
}

ThreadSafeHandle::~ThreadSafeHandle() {
    if (state_ != nullptr) {
        state_->release();
    }
}

void ThreadSafeHandle::cancel() const noexcept {
    if (state_ != nullptr) {
        state_->cancel();
    }
}

bool ThreadSafeHandle::cancelled() const noexcept {
    return state_ != nullptr && state_->cancelled();
}

}  // namespace asyncio::inline v0
