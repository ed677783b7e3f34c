// One fetch, as seen by whatever may end it from outside: its deadline, and the closing of its
// client. Between these two and the coroutine stands the step that the coroutine waits for.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/waiter.hpp>

#include <exception>
#include <string>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

class Step;

/// Invariants:
///  1. `step_` is the step whose driver is suspended, or null.
///  2. Once `error_` is set, every step ends with it.
class Exchange : public asyncio::detail::ListNode {
public:
    Exchange(EventLoop& loop, std::string url) : loop_(&loop), url_(std::move(url)) {}

    /// Ends the present step, and all later ones, with this error.
    void abort(std::exception_ptr error) noexcept;
    /// As above, with a TimeoutError that tells what took too long.
    void time_out(Duration after) noexcept;

    bool aborted() const noexcept { return error_ != nullptr; }
    EventLoop& loop() const noexcept { return *loop_; }
    /// The URL that is being fetched, for the texts of errors.
    const std::string& url() const noexcept { return url_; }
    void set_url(std::string url) { url_ = std::move(url); }

private:
    friend class Step;
    EventLoop* loop_;
    std::string url_;
    Step* step_ = nullptr;
    std::exception_ptr error_;
};

/// Ends an exchange once it has run for so long between `start` and `stop`. Zero or less: no limit.
class Limit {
public:
    Limit(Exchange& exchange, Duration after) : exchange_(exchange), after_(after), left_(after) {}
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;
    ~Limit() { timer_.cancel(); }

    /// Requires: not running.
    void start();
    /// What has run so far stays counted.
    void stop();

private:
    Exchange& exchange_;
    const Duration after_;
    Duration left_;
    TimePoint started_{};
    TimerHandle timer_;
};

/// Base of the awaiters of a fetch. A derived class joins whatever it waits for in
/// `await_suspend`, after `begin`; its destructor calls `leave` unless the step is done.
class Step : public Waiter {
public:
    bool cancel(const CancelMessage& message) override;

    /// "looking up the name": what takes so long.
    virtual const char* doing() const noexcept = 0;

protected:
    explicit Step(Exchange& exchange) noexcept : exchange_(&exchange) {}
    ~Step() = default;

    /// Gives up what is waited for: neither calls `finish` afterwards nor is touched by it.
    virtual void leave() noexcept = 0;

    template <class P>
    void begin(std::coroutine_handle<P> handle, WaitKind kind) noexcept {
        exchange_->step_ = this;
        suspend(handle, kind);
    }
    /// Requires: not done.
    void finish() noexcept;
    /// Throws if the step was cancelled or aborted. Called first when the coroutine resumes.
    void resumed();

    Exchange& exchange() const noexcept { return *exchange_; }

private:
    friend class Exchange;
    Exchange* exchange_;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
