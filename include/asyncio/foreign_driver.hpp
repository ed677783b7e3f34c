// ForeignDriver: the base for runtimes that step the library's coroutines without a Task, such as
// the coroutine protocol of another language.
#pragma once

#include <asyncio/event_loop.hpp>

namespace asyncio::inline v0 {

/// Steps a coroutine on behalf of another runtime. The derived class says when:
///
///  * `Run` (the constructor's function) is called by the loop when what the coroutine waits for
///    is done; it calls `step()`, then or later;
///  * `step()` runs the coroutine to its next suspension and returns true at its end, when the
///    receiver holds the value or error;
///  * `deliver(error)` makes the next step throw at the suspended `co_await`. A step that does not
///    wait for the loop's call throws at once, as a generator's `throw` does, and leaves alone what
///    the coroutine waited for (`waiting()->cancel(message)` asks that to end first);
///  * `target` is what scopes inside the coroutine (timeouts, groups) interrupt.
///
/// Destroying it destroys a suspended coroutine, innermost frames first. It may outlive the loop's
/// owner, and is then never called again.
/// Thread safety: loop thread only.
class ASYNCIO_API ForeignDriver : public Driver {
public:
    /// Makes the next `step` throw `error` where the coroutine is suspended.
    using Driver::deliver;

    /// Destroys the coroutine where it stands, if there is one.
    void destroy() noexcept;

protected:
    ForeignDriver(EventLoop& loop, Run run, CancelTarget& target) noexcept
        : Driver(run, 0), loop_(&loop), target_(&target) {
        loop.retain();
    }
    ~ForeignDriver();

    /// Adopts a coroutine. Nothing runs before the first `step`.
    template <class T>
    void start(Coro<T> coro, detail::Slot<T>& receiver) {
        start(detail::CoroAccess::release(coro), receiver);
    }

    /// Requires: started, not ended, and not waiting unless an error was delivered.
    bool step();

private:
    friend class Driver;
    struct StepScope;
    void start(detail::Frame* root, detail::Receiver& receiver);

    EventLoop* loop_;
    CancelTarget* target_;
    std::exception_ptr pending_;
};

}  // namespace asyncio::inline v0
