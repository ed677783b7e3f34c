// Absolute http and https URLs, taken apart by libcurl's own parser: what is checked here and what
// libcurl then connects to are thus the same.
#pragma once

#include <string>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

struct Url {
    /// Raises: Error of kind bad_url.
    static Url parse(const std::string& text);
    /// The target of a redirect from here. Raises: Error of kind redirect.
    Url resolve(const std::string& location) const;

    bool is_address() const noexcept { return lookup_name.empty(); }
    bool same_origin(const Url& other) const noexcept { return origin == other.origin; }

    /// Normalised, with user name and password, without a fragment.
    std::string href;
    /// The same without user name and password, for people and logs.
    std::string shown;
    /// "https://example.org:443".
    std::string origin;
    /// The name whose address is needed, in ASCII and lower case; empty for an address.
    std::string lookup_name;
    std::string port;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
