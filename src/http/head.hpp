// The head of an answer, read line by line as libcurl delivers it.
#pragma once

#include <asyncio/http.hpp>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// Reads status lines and header fields into a Response. Interim answers (status 1xx) come before
/// the real one and are dropped, trailers come after the body and are ignored; both count against
/// the limits.
class Head {
public:
    Head(std::string url, std::size_t fields_max, std::size_t size_max);

    /// Takes one line. Raises: Error of kind too_large.
    void take_line(std::string_view line);

    bool complete() const noexcept { return complete_; }
    /// Whether an answer is a redirect that names its target.
    static bool is_redirect(const Response& response) noexcept;
    /// The size of the body as the header announces it, before decompression; 0 if it does not.
    static std::uint64_t announced_size(const Response& response) noexcept;

    Response response;

private:
    void take_status(std::string_view line);
    void take_field(std::string_view line);
    [[noreturn]] void throw_too_large(const std::string& what) const;

    // Constant after construction.
    const std::size_t fields_max_;
    const std::size_t size_max_;

    std::size_t fields_ = 0;
    std::size_t size_ = 0;
    // Neither is set before a status line; at most one is.
    bool in_fields_ = false;
    bool complete_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
