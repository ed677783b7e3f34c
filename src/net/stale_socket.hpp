// Sockets that a program left behind in the file system.
#pragma once

#include <asyncio/address.hpp>

#include <sys/stat.h>
#include <unistd.h>

namespace asyncio::inline v0 {
namespace detail {

// Removes the socket at this path, if the address is one and there is a socket: whoever made it has
// ended without its tear-down.
inline void remove_stale_socket(const Address& address) noexcept {
    const std::string& path = address.path();
    struct stat status{};
    if (!path.empty() && path.front() != '\0' && ::stat(path.c_str(), &status) == 0 &&
        S_ISSOCK(status.st_mode)) {
        ::unlink(path.c_str());
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
