// Just enough of HTTP/1.1 for the demonstration site: reading the head of a request, strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asyncio::cli {

// More than any client sends that means well.
inline constexpr std::size_t request_line_max = std::size_t{8} * 1024;
inline constexpr std::size_t request_head_max = std::size_t{32} * 1024;
inline constexpr int request_fields_max = 100;
inline constexpr std::uint64_t request_body_max = std::uint64_t{1024} * 1024;

// A request that gets an error for an answer, and the connection closed.
class BadRequest : public std::runtime_error {
public:
    BadRequest(int status, const std::string& why) : std::runtime_error(why), status_(status) {}
    int status() const noexcept { return status_; }

private:
    int status_;
};

struct RequestHead {
    std::string method;
    // Without scheme, host and query.
    std::string path;
    // The n of HTTP/1.n.
    int minor_version = 1;
    std::uint64_t body_size = 0;
    bool keep_alive = true;
};

// Where the head at the beginning of `received` ends, past the empty line, or npos if there is more
// to come. Raises: BadRequest if it has become too long.
std::size_t find_head_end(std::string_view received);

// Reads a complete head. Raises: BadRequest.
RequestHead parse_head(std::string_view head);

}  // namespace asyncio::cli
