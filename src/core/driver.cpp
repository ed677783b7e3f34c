// Drivers: delivering errors into a suspended chain, and taking a chain down.
#include <asyncio/driver.hpp>
#include <asyncio/foreign_driver.hpp>
#include <asyncio/task.hpp>

namespace asyncio::inline v0 {

int CancelTarget::cancelling() const noexcept { return 0; }

int CancelTarget::uncancel() noexcept { return 0; }

std::exception_ptr& Driver::pending_error() noexcept {
    return (flags_ & flag_task) != 0 ? static_cast<detail::TaskState*>(this)->error()
                                     : static_cast<ForeignDriver*>(this)->pending_;
}

EventLoop& Driver::foreign_loop() const noexcept {
    return *static_cast<const ForeignDriver*>(this)->loop_;
}

CancelTarget& Driver::cancel_target() noexcept {
    if ((flags_ & flag_task) != 0) {
        return static_cast<detail::TaskState&>(*this);
    }
    return *static_cast<ForeignDriver*>(this)->target_;
}

void Driver::run_trampoline() noexcept {
    do {
        flags_ &= static_cast<std::uint8_t>(~flag_transfer);
        std::exchange(detail::thread_state.next, nullptr)->handle().resume();
    } while ((flags_ & flag_transfer) != 0);
}

void Driver::deliver(std::exception_ptr error) noexcept {
    pending_error() = std::move(error);
    flags_ |= flag_pending;
}

void Driver::park_with_error(detail::Frame& leaf, std::exception_ptr error) noexcept {
    park(leaf, nullptr, WaitKind::none);
    deliver(std::move(error));
    wake();
}

void Driver::throw_pending() {
    detail::thread_state.error_pending = false;
    flags_ &= static_cast<std::uint8_t>(~flag_pending);
    std::rethrow_exception(std::exchange(pending_error(), nullptr));
}

ForeignDriver::~ForeignDriver() {
    destroy();
    loop_->release();
}

void ForeignDriver::start(detail::Frame* root, detail::Receiver& receiver) {
    root->receiver = &receiver;
    leaf_ = root;
    if (context_ == nullptr) {
        context_ = detail::copy_current_context().leak();
    }
}

// During a step the driver's loop is the running one, whoever steps: the other runtime may do it
// between two iterations of ours.
struct ForeignDriver::StepScope {
    explicit StepScope(EventLoop& own) : loop(own) {
        thread.running_loop = &loop;
        if (!loop.running_) {
            loop.begin_epoch();
            loop.set_phase(detail::LoopPhase::running);
        }
    }
    StepScope(const StepScope&) = delete;
    StepScope& operator=(const StepScope&) = delete;
    ~StepScope() {
        thread.running_loop = outer_loop;
        thread.driver = outer_driver;
        if (!loop.running_) {
            loop.set_phase(detail::LoopPhase::idle);
        }
    }
    detail::ThreadState& thread = detail::thread_state;
    EventLoop& loop;
    EventLoop* const outer_loop = thread.running_loop;
    Driver* const outer_driver = thread.driver;
};

bool ForeignDriver::step() {
    ASYNCIO_ASSERT(leaf_ != nullptr);
    if (scheduled()) {
        unlink();
    }
    waiting_ = nullptr;
    const StepScope scope(*loop_);
    run_chain();
    if (!ended()) {
        return false;
    }
    std::exchange(leaf_, nullptr)->handle().destroy();
    return true;
}

void ForeignDriver::destroy() noexcept {
    if (scheduled()) {
        unlink();
    }
    waiting_ = nullptr;
    if (leaf_ != nullptr) {
        detail::destroy_chain(std::exchange(leaf_, nullptr));
    }
}

namespace detail {

void destroy_chain(Frame* leaf) noexcept {
    Frame* frame = leaf;
    while (frame != nullptr) {
        Frame* const caller = frame->caller;
        frame->handle().destroy();
        // The first thing the caller's destruction does is to destroy the awaiter of `frame`.
        thread_state.destroyed = caller != nullptr ? frame : nullptr;
        frame = caller;
    }
}

void destroy_suspended(Frame& frame) noexcept {
    // Shallow nests are destroyed where C++ destroys them, in order; what lies deeper waits, linked
    // through `caller`, which a coroutine that nobody awaits does not need.
    constexpr int depth_max = 64;
    static constinit thread_local int depth = 0;
    static constinit thread_local Frame* waiting = nullptr;
    if (depth == depth_max) {
        frame.caller = std::exchange(waiting, &frame);
        return;
    }
    ++depth;
    frame.handle().destroy();
    while (depth == 1 && waiting != nullptr) {
        std::exchange(waiting, waiting->caller)->handle().destroy();
    }
    --depth;
}

void destroy_awaited(Frame* child) noexcept {
    if (thread_state.destroyed == child) {
        thread_state.destroyed = nullptr;
        return;
    }
    child->handle().destroy();
}

}  // namespace detail
}  // namespace asyncio::inline v0
