// Where bytes are received whose place is not known before.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace asyncio::inline v0 {
namespace detail {

// What one recv takes at most (CPython's max_size). A faster sender gets its next turn after the
// others had theirs.
inline constexpr std::size_t receive_max = std::size_t{256} * 1024;

// Shared by the connections of a thread: what is received is handed on before anybody else reads.
std::span<std::byte> receive_buffer();

// The same for those who hand on strings: what fills much of this one goes on in it, without a
// copy.
inline constexpr std::size_t receive_string_size = std::size_t{64} * 1024;
std::string& receive_string();
// For a string nobody needs any longer: its memory becomes one of the next receive strings. Malloc
// would return it to the system, and fetch it again page by page.
void reuse(std::string&& used) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
