// Futures: completion, retrieval, done callbacks, and the report of an error nobody retrieved.
#include <asyncio/event_loop.hpp>
#include <asyncio/future.hpp>
#include <asyncio/log.hpp>
#include <asyncio/task.hpp>

#include "base/exception_type.hpp"

namespace asyncio::inline v0 {
namespace detail {

void throw_null_handle() {
    throw RuntimeError(
        "this Future or Task handle is empty (default constructed or moved from); create one with "
        "loop.create_future<T>() or create_task()");
}

void throw_null_exception() {
    throw TypeError("set_exception needs an exception, and got a null exception_ptr");
}

void throw_coro_reused() {
    throw RuntimeError(
        "cannot reuse already awaited coroutine: this object is empty, because it was awaited, "
        "moved from, closed, or never held a coroutine. A coroutine object runs once; call its "
        "function again, or await a Task, which may be awaited any number of times");
}

void FutureState::drop_callbacks() noexcept {
    // A callback may hold the last handle of a future with callbacks, and so on: those that are met
    // while some are being dropped wait for their turn instead of recursing.
    static constinit thread_local IntrusiveList<Runnable>* dropping = nullptr;
    if (dropping != nullptr) {
        dropping->splice_back(callbacks_);
        return;
    }
    IntrusiveList<Runnable> dropped;
    dropped.splice_back(callbacks_);
    dropping = &dropped;
    // Drivers that still wait here are only unlinked: nobody can complete this future any more.
    while (!dropped.empty()) {
        Runnable& node = dropped.pop_front();
        if (DoneCallback* callback = DoneCallback::from(node)) {
            delete callback;
        }
    }
    dropping = nullptr;
}

void FutureState::destroy_unretrieved() noexcept {
    refs_ = 1;  // alive while the handler looks at it, and longer if it keeps a handle
    report_never_retrieved();
    if (--refs_ == 0) {
        delete this;
    }
}

void FutureState::report_never_retrieved() noexcept {
    flags_ &= static_cast<std::uint8_t>(~flag_log_traceback);
    ErrorContext context;
    try {
        context.message = std::string(type_name()) + " exception was never retrieved";
        context.exception = error();
        context.future = HandleAccess::make<AnyFuture>(this);
        context.created_at = created_at_;
        loop_->call_exception_handler(context);
    } catch (...) {
        log(LogLevel::error, "an exception of a future was never retrieved");
    }
}

void FutureState::set_log_destroy_pending(bool log) noexcept {
    flags_ =
        static_cast<std::uint8_t>(log ? flags_ & ~flag_quiet_destroy : flags_ | flag_quiet_destroy);
}

bool FutureState::cancel(const CancelMessage& message) {
    mark_retrieved();
    if (done()) {
        return false;
    }
    finish_cancelled(message);
    return true;
}

void FutureState::finish(FutureStatus status) noexcept {
    ASYNCIO_ASSERT(!done());
    status_ = status;
    if ((flags_ & flag_has_callbacks) != 0) [[unlikely]] {
        if (loop_->closed_) {
            drop_callbacks();  // nobody would run them, or free them
            return;
        }
        callbacks_.for_each([this](Runnable& node) { DoneCallback::about_to_run(node, *this); });
    }
    loop_->ready_.splice_back(callbacks_);
}

void FutureState::finish_with_error() noexcept {
    flags_ |= flag_failed | flag_log_traceback;
    finish(FutureStatus::finished);
}

void FutureState::finish_cancelled(CancelMessage message) noexcept {
    cancel_message_ = std::move(message);
    finish(FutureStatus::cancelled);
}

std::exception_ptr FutureState::make_cancelled_error() {
    if (cancelled() && error() != nullptr) {
        // The error that ended a task reaches its first retriever only, as in CPython.
        return std::exchange(error(), nullptr);
    }
    return std::make_exception_ptr(CancelledError(cancel_message_));
}

std::exception_ptr FutureState::exception() {
    switch (status_) {
    case FutureStatus::pending:
        throw InvalidStateError("Exception is not set: " + repr() + " is not done yet");
    case FutureStatus::cancelled:
        std::rethrow_exception(make_cancelled_error());
    case FutureStatus::finished:
        break;
    }
    mark_retrieved();
    return failed() ? error() : nullptr;
}

void FutureState::throw_no_result() {
    switch (status_) {
    case FutureStatus::pending:
        throw InvalidStateError("Result is not ready: " + repr() +
                                " is not done yet; co_await it instead");
    case FutureStatus::cancelled:
        std::rethrow_exception(make_cancelled_error());
    case FutureStatus::finished:
        break;
    }
    if (!failed()) {
        std::rethrow_exception(moved_out_error());
    }
    mark_retrieved();
    std::rethrow_exception(error());
}

std::exception_ptr FutureState::moved_out_error() const {
    return std::make_exception_ptr(InvalidStateError(
        "the result of " + repr() + " was moved out already; await it as an lvalue to keep it"));
}

void FutureState::throw_invalid_state(const char* operation) const {
    if (kind_ == FutureKind::task) {
        throw RuntimeError(std::string("Task does not support ") + operation +
                           ": a task ends when its coroutine returns or throws");
    }
    throw InvalidStateError(std::string(operation) + ": invalid state: " + repr() +
                            " is done already");
}

void FutureState::throw_awaited_itself() const {
    throw RuntimeError("cannot await " + repr() + ": the task has awaited itself");
}

CallbackId FutureState::add_callback(DoneCallback* owned) {
    owned->id = CallbackId{++loop_->next_callback_id_};
    const CallbackId id = owned->id;
    if (done()) {
        if (loop_->closed_) {
            delete owned;
            LoopAccess::throw_closed();
        }
        DoneCallback::about_to_run(*owned, *this);
        loop_->ready_.push_back(*owned);
    } else {
        flags_ |= flag_has_callbacks;
        callbacks_.push_back(*owned);
    }
    return id;
}

template <class Matches>
std::size_t FutureState::remove_callbacks_if(Matches matches) {
    // Destroying a callable may run anything, so the list is changed before any is destroyed.
    IntrusiveList<Runnable> removed;
    std::size_t count = 0;
    callbacks_.for_each([&](Runnable& node) {
        DoneCallback* callback = DoneCallback::from(node);
        if (callback != nullptr && matches(*callback)) {
            node.unlink();
            removed.push_back(node);
            ++count;
        }
    });
    const StatePtr<FutureState> alive(this);
    while (!removed.empty()) {
        delete static_cast<DoneCallback*>(&removed.pop_front());
    }
    return count;
}

std::size_t FutureState::remove_callback(CallbackId id) noexcept {
    return remove_callbacks_if([id](DoneCallback& callback) { return callback.id == id; });
}

std::size_t FutureState::remove_callbacks(const void* function) noexcept {
    return remove_callbacks_if(
        [function](DoneCallback& callback) { return callback.function() == function; });
}

// ---- done callbacks

DoneCallback::DoneCallback() : Runnable(&DoneCallback::run) {}
DoneCallback::~DoneCallback() = default;

DoneCallback* DoneCallback::from(Runnable& node) noexcept {
    return node.runs(&DoneCallback::run) ? static_cast<DoneCallback*>(&node) : nullptr;
}

void DoneCallback::about_to_run(Runnable& node, FutureState& future) noexcept {
    if (DoneCallback* callback = from(node)) {
        callback->future = &future;
        future.retain();
    }
}

void DoneCallback::run(Runnable& self, Turn turn) {
    const std::unique_ptr<DoneCallback> callback(static_cast<DoneCallback*>(&self));
    const StatePtr<FutureState> future(callback->future);
    callback->future->release();
    if (turn == Turn::discard) {
        return;
    }
    EventLoop& loop = future->loop();
    const ContextScope scope(callback->context);
    try {
        callback->call(*future);
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        ErrorContext context;
        context.message = "Exception in callback of " + future->repr();
        context.exception = std::current_exception();
        loop.call_exception_handler(context);
    }
}

// ---- awaiting

void FutureAwaiterBase::suspend(Frame& frame) noexcept {
    suspended = true;
    Driver& driver = Driver::current();
    if (&driver.loop() != &state->loop()) [[unlikely]] {
        driver.park_with_error(
            frame,
            std::make_exception_ptr(RuntimeError(
                "cannot await " + state->repr() +
                ": it is attached to a different loop; complete it there and pass the result "
                "with call_soon_threadsafe")));
        return;
    }
    FutureState* const awaiting = task_state_of(driver);
    if (awaiting == state.get()) [[unlikely]] {
        state->awaited_itself_ = true;
        driver.park_with_error(frame, std::make_exception_ptr(RuntimeError(
                                          "Task cannot await on itself: " + state->repr())));
        return;
    }
    static constexpr WaitKind kinds[] = {WaitKind::future, WaitKind::task, WaitKind::gathering,
                                         WaitKind::future};
    driver.park(frame, state.get(), kinds[static_cast<std::size_t>(state->kind())]);
    state->add_waiter(driver);
}

void FutureAwaiterBase::throw_no_result() {
    if (suspended && state->cancelled() && state->error() == nullptr) {
        // Whatever cancelled it: here is where the awaiting task was interrupted.
        throw CancelledError(state->cancel_message(), Driver::current().waiting_at());
    }
    state->throw_no_result();
}

}  // namespace detail

std::size_t AnyFuture::remove_done_callback(void (*function)(AnyFuture)) const {
    return state().remove_callbacks(reinterpret_cast<const void*>(function));
}

}  // namespace asyncio::inline v0
