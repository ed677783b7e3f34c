// The short name of a function, out of the signature a compiler puts into source_location.
#pragma once

#include <source_location>
#include <string>
#include <string_view>

namespace asyncio::inline v0 {
namespace detail {

// "Coro<int> app::fetch(std::string) [T = int]" becomes "app::fetch"; a lambda becomes
// "app::serve::<lambda>".
std::string function_name(std::string_view signature);
inline std::string function_name(const std::source_location& location) {
    return function_name(std::string_view(location.function_name()));
}

}  // namespace detail
}  // namespace asyncio::inline v0
