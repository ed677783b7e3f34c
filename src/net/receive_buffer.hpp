// Where bytes are received whose place is not known before.
#pragma once

#include <cstddef>
#include <span>

namespace asyncio::inline v0 {
namespace detail {

// What one recv takes at most (CPython's max_size). A faster sender gets its next turn after the
// others had theirs.
inline constexpr std::size_t receive_max = std::size_t{256} * 1024;

// Shared by the connections of a thread: what is received is handed on before anybody else reads.
std::span<std::byte> receive_buffer();

}  // namespace detail
}  // namespace asyncio::inline v0
