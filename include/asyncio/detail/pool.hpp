// Memory for coroutine frames, tasks and handles. Allocating a frame is the largest single cost of
// a coroutine, so freed blocks are kept in free lists, per thread and per size, within a bound.
// What the lists do not hold goes back to slabs, and empty slabs to the system.
#pragma once

#include <asyncio/detail/config.hpp>

#include <cstddef>
#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

inline constexpr std::size_t pool_granule = 8;
// Larger blocks are rare and cost more to fill than to allocate.
inline constexpr std::size_t pool_block_max = 1024;
inline constexpr std::size_t pool_class_count = pool_block_max / pool_granule + 1;

// The free lists of a thread; the slow paths in pool.cpp know the rest.
//
// Invariants:
//  1. A block belongs to the class of its size rounded up to the granule. Blocks whose size is a
//     multiple of 16 are aligned to 16.
//  2. At most `limit` blocks of a class are kept; under AddressSanitizer `limit` is 0, because a
//     block that is used again hides a use after free.
//  3. A block may be freed by another thread than the one that allocated it.
struct Pool {
    struct Class {
        void* free = nullptr;
        std::uint32_t count = 0;
        std::uint32_t limit = 0;
    };
    Class classes[pool_class_count];
};

// Whether memory may be used again without malloc: not under AddressSanitizer.
bool recycling_allowed() noexcept;

// Slow paths: no free block, the list is full, or this thread has no pool yet.
ASYNCIO_API void* pool_refill(std::size_t size_class);
ASYNCIO_API void pool_drain(void* block, std::size_t size_class) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
