// What every file that calls the kernel needs.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace asyncio::inline v0 {
namespace detail {

[[noreturn]] inline void throw_errno(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// Returns what is no error: a descriptor, for instance.
inline int check(int result, const char* what) {
    if (result < 0) {
        throw_errno(what);
    }
    return result;
}

// Calls again when a signal came between.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) {
        result = call();
    }
    return result;
}

// Whether the call would have had to wait.
constexpr bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace detail
}  // namespace asyncio::inline v0
