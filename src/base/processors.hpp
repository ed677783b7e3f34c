// The processors of this machine that the program may use.
#pragma once

#include <cstddef>

namespace asyncio::inline v0 {
namespace detail {

/// How many this thread may use, and those that it starts. Defined in src/io: the kernel knows.
std::size_t usable_processors() noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
