// Bytes on their way, their delays and their cuts.
#include "testing/wire.hpp"

#include <asyncio/exceptions.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace asyncio::inline v0 {
namespace detail {

namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
// The largest piece of a slow wire, and of chance where nothing else limits it.
constexpr std::size_t slow_piece_max = 1024;
constexpr std::size_t chance_piece_max = 4096;

}  // namespace

Wire::Wire(EventLoop& loop, const testing::Faults& faults)
    : loop_(loop), faults_(faults), chance_(faults.seed.value_or(0)), free_at_(loop.time()),
      to_cut_(faults.cut_after.value_or(unlimited)) {
    if (faults_.capacity == 0) {
        throw ValueError("a connection without capacity carries nothing: capacity must be >= 1");
    }
    if (to_cut_ == 0) {
        cut();
    }
}

// ---- the sender

ssize_t Wire::send(std::span<const iovec> pieces) {
    if (broken_at_ <= loop_.time()) {
        errno = broken_;
        return -1;
    }
    std::size_t room = std::min(faults_.capacity - bytes_.size(), piece(faults_.write_max));
    if (room == 0) {
        errno = EAGAIN;
        return -1;
    }
    std::size_t sent = 0;
    for (const iovec& each : pieces) {
        const std::size_t size = std::min(each.iov_len, room);
        take({static_cast<const char*>(each.iov_base), size});
        room -= size;
        sent += size;
    }
    schedule(IoDirection::read);
    return static_cast<ssize_t>(sent);
}

void Wire::take(std::string_view data) {
    while (!data.empty()) {
        const std::size_t limit = faults_.bytes_per_second > 0 ? slow_piece_max : unlimited;
        const std::size_t size =
            std::min({data.size(), piece(faults_.read_max), limit, was_cut_ ? unlimited : to_cut_});
        if (end_ == End::open) {
            bytes_.append(data.substr(0, size));
            packets_.push_back({size, was_cut_ ? never : arrival(size)});
        }
        data.remove_prefix(size);
        to_cut_ -= was_cut_ ? 0 : size;
        if (to_cut_ == 0 && !was_cut_) {
            cut();
        }
    }
}

void Wire::cut() {
    was_cut_ = true;
    switch (faults_.cut) {
    case testing::Cut::reset:
        finish(End::reset);
        broken_ = ECONNRESET;
        broken_at_ = loop_.time();
        break;
    case testing::Cut::eof:
        finish(End::eof);
        break;
    case testing::Cut::silence:
        break;
    }
}

void Wire::finish(End end) {
    const bool is_silent = was_cut_ && faults_.cut == testing::Cut::silence;
    if (end_ != End::open || is_silent) {
        return;
    }
    end_ = end;
    end_at_ = arrival(0);
    schedule(IoDirection::read);
}

// ---- the receiver

ssize_t Wire::receive(std::span<std::byte> room) {
    const bool in_pieces = faults_.read_max > 0 || faults_.seed.has_value();
    const TimePoint now = loop_.time();
    std::size_t received = 0;
    while (!packets_.empty() && packets_.front().arrival <= now && received < room.size()) {
        Packet& packet = packets_.front();
        const std::size_t size = std::min(packet.size, room.size() - received);
        std::memcpy(room.data() + received, bytes_.view().data(), size);
        bytes_.drop(size);
        received += size;
        packet.size -= size;
        if (packet.size == 0) {
            packets_.pop_front();
        }
        if (in_pieces) {
            break;
        }
    }
    if (received > 0) {
        schedule(IoDirection::write);
        return static_cast<ssize_t>(received);
    }
    if (!packets_.empty() || end_at_ > now) {
        errno = EAGAIN;
        return -1;
    }
    errno = ECONNRESET;
    return end_ == End::eof ? 0 : -1;
}

bool Wire::abandon() {
    const bool has_unread = !packets_.empty() && packets_.front().arrival != never;
    const bool resets = has_unread || end_ == End::reset;
    if (broken_ == 0) {
        broken_ = resets ? ECONNRESET : EPIPE;
        broken_at_ = arrival(0);
        schedule(IoDirection::write);
    }
    return resets;
}

// ---- when

void Wire::watch(IoDirection direction, std::function<void()> act) {
    side(direction).act = std::move(act);
    schedule(direction);
}

void Wire::unwatch(IoDirection direction) noexcept {
    Side& idle = side(direction);
    std::exchange(idle.next, {}).cancel();
    idle.act = nullptr;
}

TimePoint Wire::ready_at(IoDirection direction) const {
    if (direction == IoDirection::read) {
        return packets_.empty() ? end_at_ : packets_.front().arrival;
    }
    return bytes_.size() < faults_.capacity ? TimePoint::min() : broken_at_;
}

void Wire::schedule(IoDirection direction) {
    Side& waiting = side(direction);
    const TimePoint when = ready_at(direction);
    if (!waiting.act || waiting.next || when == never || loop_.is_closed()) {
        return;
    }
    const auto callback = [self = shared_from_this(), direction] { self->call(direction); };
    if (when <= loop_.time()) {
        waiting.next = loop_.call_soon(callback);
    } else {
        waiting.next = loop_.call_at(when, callback);
    }
}

void Wire::call(IoDirection direction) {
    // It may stop watching.
    const std::function<void()> act = side(direction).act;
    side(direction).next = {};
    act();
    schedule(direction);
}

// ---- how much, and how long

std::size_t Wire::piece(std::size_t limit) {
    if (faults_.seed) {
        return 1 + chance_.below(limit > 0 ? limit : chance_piece_max);
    }
    return limit > 0 ? limit : unlimited;
}

TimePoint Wire::arrival(std::size_t size) {
    free_at_ = std::max(free_at_, loop_.time());
    if (faults_.bytes_per_second > 0) {
        free_at_ += Duration(std::chrono::seconds(1)) * static_cast<std::int64_t>(size) /
                    static_cast<std::int64_t>(faults_.bytes_per_second);
    }
    return detail::later(free_at_, faults_.latency);
}

}  // namespace detail
}  // namespace asyncio::inline v0
