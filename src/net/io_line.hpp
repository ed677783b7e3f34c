// Tasks that wait for what a peer does.
#pragma once

#include <asyncio/locks.hpp>

namespace asyncio::inline v0 {
namespace detail {

// Those who wait until `wake_all`. Who is cancelled has left.
class IoLine {
public:
    class [[nodiscard]] Wait final : public LineWaiter {
    public:
        explicit Wait(IoLine& line) noexcept : line_(line) {}
        template <std::derived_from<Frame> P>
        void await_suspend(std::coroutine_handle<P> handle) noexcept {
            line_.waiters_.push_back(*this);
            suspend(handle, WaitKind::io);
        }
        static void await_resume() { resumed(); }

    private:
        void on_cancel() noexcept override { leave_line(); }
        IoLine& line_;
    };

    Wait wait() noexcept { return Wait(*this); }
    bool empty() const noexcept { return waiters_.empty(); }
    void wake_all() noexcept {
        while (!waiters_.empty()) {
            waiters_.pop_front().set_result();
        }
    }

private:
    IntrusiveList<LineWaiter> waiters_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
