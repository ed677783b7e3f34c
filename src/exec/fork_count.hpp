// What belongs to this process, and what it has from the one that it was forked from.
#pragma once

#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

/// How many forks lie between the first process that has called this and this one: what was made
/// when there were fewer is another process's, with locks that nobody may be there to release.
///
/// Thread safety: any thread. Cost: no system call.
std::uint32_t fork_count() noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
