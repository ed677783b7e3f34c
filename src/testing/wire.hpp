// One direction of a connection in memory.
#pragma once

#include <asyncio/event_loop.hpp>
#include <asyncio/testing/faults.hpp>

#include "net/stream_protocol.hpp"
#include "testing/chance.hpp"

#include <sys/uio.h>

#include <deque>
#include <functional>
#include <memory>
#include <span>

namespace asyncio::inline v0 {
namespace detail {

// What one end has sent and the other has not received, with what goes wrong on the way. Its
// functions are what a kernel has for the two ends.
//
// Invariants:
//  1. `packets_` are the sizes of what is in `bytes_`, in order, and when each of them arrives, no
//     one before the last. `bytes_` never has more than the capacity.
//  2. While a side watches and knows of a time at which it is ready, `next` is scheduled for that.
class Wire : public std::enable_shared_from_this<Wire> {
public:
    enum class End : std::uint8_t { open, eof, reset };

    // Raises: ValueError for a capacity of 0.
    Wire(EventLoop& loop, const testing::Faults& faults);

    // The sender. Returns the number of bytes taken, or -1 and errno, as `send` does.
    ssize_t send(std::span<const iovec> pieces);
    // Nothing follows what was sent.
    void finish(End end);

    // The receiver. Returns the number of bytes, 0 at the end, or -1 and errno, as `recv` does.
    ssize_t receive(std::span<std::byte> room);
    // It is gone. Returns whether the sender's connection is thereby reset: because it had not
    // received everything, or it was reset before.
    bool abandon();

    // The receiver, or the sender, wants `act()` called in a later iteration whenever it could
    // receive, or send, until `unwatch`.
    void watch(IoDirection direction, std::function<void()> act);
    void unwatch(IoDirection direction) noexcept;

private:
    struct Packet {
        std::size_t size;
        TimePoint arrival;
    };
    struct Side {
        std::function<void()> act;  // none: nobody watches
        Handle next;
    };

    Side& side(IoDirection direction) noexcept {
        return direction == IoDirection::read ? receiver_ : sender_;
    }
    // When the side could do something; `never` if that is not known.
    TimePoint ready_at(IoDirection direction) const;
    void schedule(IoDirection direction);
    void call(IoDirection direction);

    void take(std::string_view data);
    void cut();
    // How many bytes at once, with that limit.
    std::size_t piece(std::size_t limit);
    TimePoint arrival(std::size_t size);

    static constexpr TimePoint never = TimePoint::max();

    // Constant after construction.
    EventLoop& loop_;
    const testing::Faults faults_;

    Chance chance_;
    ReadBuffer bytes_;
    std::deque<Packet> packets_;
    TimePoint free_at_;   // the last byte has left
    std::size_t to_cut_;  // bytes until the cut; the largest number without one
    bool was_cut_ = false;
    End end_ = End::open;       // what comes after the packets
    TimePoint end_at_ = never;  // and when
    int broken_ = 0;            // what the sender gets, as errno; 0: nothing
    TimePoint broken_at_ = never;
    Side receiver_;
    Side sender_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
