// ByteQueue: bytes that are put in at one end and taken out at the other, always in one piece.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace asyncio::inline v0 {
namespace ssl::detail {

// Invariants:
//  1. begin_ <= end_ <= capacity_, and an empty queue begins at 0.
//  2. An empty queue holds at most `kept` bytes of memory, so that idle connections stay small.
class ByteQueue {
public:
    static constexpr std::size_t kept = 32u << 10;

    bool empty() const noexcept { return begin_ == end_; }
    std::size_t size() const noexcept { return end_ - begin_; }
    std::span<const std::byte> data() const noexcept { return {bytes_.get() + begin_, size()}; }

    // Room behind the data, for at least `size` bytes. Cost: amortised constant for each byte.
    std::span<std::byte> room(std::size_t size) {
        if (capacity_ - end_ < size) {
            make_room(size);
        }
        return {bytes_.get() + end_, capacity_ - end_};
    }
    // Puts in what was written into the room.
    void commit(std::size_t size) noexcept { end_ += size; }

    void append(std::span<const std::byte> data) {
        std::ranges::copy(data, room(data.size()).begin());
        commit(data.size());
    }

    void consume(std::size_t size) noexcept {
        begin_ += size;
        if (empty()) {
            begin_ = end_ = 0;
            if (capacity_ > kept) {
                bytes_.reset();
                capacity_ = 0;
            }
        }
    }

private:
    void make_room(std::size_t room) {
        const std::size_t used = size();
        // Moving the data pays only if it frees as much as it moves.
        if (capacity_ - used >= room && begin_ >= used) {
            std::memmove(bytes_.get(), bytes_.get() + begin_, used);
        } else {
            const std::size_t capacity = std::max({2 * used, used + room, std::size_t{1024}});
            auto bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
            if (used != 0) {
                std::memcpy(bytes.get(), bytes_.get() + begin_, used);
            }
            bytes_ = std::move(bytes);
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = used;
    }

    std::unique_ptr<std::byte[]> bytes_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
