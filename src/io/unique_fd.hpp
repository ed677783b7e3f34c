// Owns a file descriptor.
#pragma once

#include <asyncio/detail/config.hpp>

#include <unistd.h>

#include <utility>

namespace asyncio::inline v0 {
namespace detail {

class UniqueFd {
public:
    explicit UniqueFd(int fd = -1) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    // -1 if it owns nothing.
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
