// The names of functions, out of the files they were loaded from.
#pragma once

#include <string>

namespace asyncio::inline v0 {
namespace detail {

/// The mangled name of the function that an address is in, or "file+0x1234" if its file has none.
///
/// Cost: reads the file's symbols; some milliseconds for those of a large program.
std::string symbol_at(const void* address);

}  // namespace detail
}  // namespace asyncio::inline v0
