// Closing what a copy of the program does not need.
#pragma once

#include <asyncio/detail/config.hpp>

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

inline void close_range(int first, unsigned last) {
    if (static_cast<unsigned>(first) > last ||
        ::syscall(SYS_close_range, static_cast<unsigned>(first), last, 0U) == 0) {
        return;
    }
    // An old kernel, or a sandbox that does not know the call.
    std::vector<int> open;
    if (DIR* const descriptors = ::opendir("/proc/self/fd")) {
        while (const dirent* const entry = ::readdir(descriptors)) {
            open.push_back(std::atoi(entry->d_name));
        }
        ::closedir(descriptors);
    }
    for (const int fd : open) {
        if (fd >= first && static_cast<unsigned>(fd) <= last) {
            ::close(fd);
        }
    }
}

/// Closes all descriptors but the standard ones and those in `kept`.
inline void close_descriptors_but(std::vector<int> kept) {
    std::ranges::sort(kept);
    int next = STDERR_FILENO + 1;
    for (const int fd : kept) {
        if (fd >= next) {
            close_range(next, static_cast<unsigned>(fd) - 1);
            next = fd + 1;
        }
    }
    close_range(next, ~0U);
}

}  // namespace detail
}  // namespace asyncio::inline v0
