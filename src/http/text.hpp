// Text that somebody else chose, made fit for an error message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// With '?' for every control character, every mark that changes the direction of writing, and
/// every byte that is not UTF-8: a terminal that shows the text does nothing else.
std::string printable(std::string_view text);

/// At most `size_max` bytes of text and then "...", cut between two characters.
std::string shortened(std::string_view text, std::size_t size_max);

/// A URL, or what was meant to be one, without user name and password.
std::string without_credentials(std::string_view url);

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
