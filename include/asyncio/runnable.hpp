// The unit of work of the ready queue. Everything that can be scheduled embeds one, so scheduling
// allocates nothing: handles, tasks, expired timers, finished I/O, and runnables of other runtimes.
#pragma once

#include <asyncio/detail/intrusive_list.hpp>

namespace asyncio::inline v0 {

/// One entry of an event loop's ready queue.
///
/// A class of another runtime derives from this, passes a function to the constructor, and is
/// scheduled, first in first out with tasks and callbacks, by `EventLoop::call_soon(runnable)`.
/// It must stay alive until it has run; destroying it while scheduled takes it out of the queue.
///
/// Thread safety: loop thread only. Cost: two links and a pointer; scheduling never fails.
class Runnable : public detail::ListNode {
public:
    /// Whether the loop wants the work done, or is closing and only gives the runnable back.
    enum class Turn : bool { run, discard };

    /// An exception escaping from `run` goes to the loop's exception handler, a `LoopBreak` out of
    /// `run_forever`.
    using Run = void (*)(Runnable& self, Turn turn);

    /// True while queued (or waiting in a future's list of callbacks).
    bool scheduled() const noexcept { return linked(); }
    /// True if `run` is the function it was constructed with.
    bool runs(Run run) const noexcept { return run_ == run; }

protected:
    explicit Runnable(Run run) noexcept : run_(run) {}
    ~Runnable() = default;

private:
    friend class EventLoop;
    Run run_;
};

}  // namespace asyncio::inline v0
