// Bytes that wait until the kernel takes them.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// Small pieces are collected, so that one system call sends many of them; a large string that is
// given away is kept as it is.
//
// It has no bound of its own: a transport tells its protocol when to pause, and whoever goes on
// writing nevertheless is not made to lose anything.
//
// Invariants:
//  1. The pieces from `first_` on hold what waits, of the first one what follows `offset_`.
//  2. No piece that waits is empty; without one, `pieces_` is empty.
class WriteBuffer {
public:
    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }

    void append(std::string_view data);
    // Without its first `sent` bytes, of which there are none unless the buffer is empty.
    void append(std::string&& data, std::size_t sent);
    // Describes the first bytes that wait; returns how much of `pieces` was filled.
    std::size_t describe(std::span<iovec> pieces) const noexcept;
    void consume(std::size_t count) noexcept;
    void clear() noexcept;

private:
    std::vector<std::string> pieces_;
    std::size_t first_ = 0;
    std::size_t offset_ = 0;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace asyncio::inline v0
