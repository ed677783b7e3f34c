// The poller of Linux: epoll, an eventfd to wake it, and a timerfd for foreign loops.
#pragma once

#include <asyncio/poller.hpp>

#include "io/unique_fd.hpp"

#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// Level triggered, one registration per descriptor with the union of what is wanted.
//
// Invariants:
//  1. slots_[fd] holds the operations in flight for that descriptor.
//  2. slots_[fd].registered is the event mask the kernel was told; 0 if it knows nothing.
class EpollPoller final : public Poller {
public:
    EpollPoller();
    ~EpollPoller() override = default;

    void poll(std::optional<Duration> timeout, ReadyList& ready) override;
    void wake() noexcept override;
    void start(IoOperation& operation) override;
    bool cancel(IoOperation& operation) noexcept override;
    IoOperation* watching(int fd, IoDirection direction) const noexcept override;
    std::size_t watched() const noexcept override { return watched_; }
    int fileno() const noexcept override { return epoll_.get(); }
    void arm(std::optional<Duration> timeout) override;

private:
    struct Slot {
        IoOperation* operations[2] = {nullptr, nullptr};
        std::uint32_t registered = 0;
    };

    void complete(Slot& slot, IoDirection direction, ReadyList& ready) noexcept;
    // Tells the kernel what the slot's operations need; returns errno.
    int update(int fd, Slot& slot) noexcept;
    void drain(int fd) noexcept;

    UniqueFd epoll_;
    UniqueFd wake_;
    UniqueFd timer_;
    std::vector<Slot> slots_;
    std::size_t watched_ = 0;
    bool timer_armed_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
