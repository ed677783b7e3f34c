// Descriptors of which one is waited for, told apart by keys.
#pragma once

#include "io/system_call.hpp"
#include "io/unique_fd.hpp"

#include <sys/epoll.h>

#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

/// An epoll descriptor, itself readable while one that was added is.
class EpollSet {
public:
    EpollSet() : fd_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

    int fd() const noexcept { return fd_.get(); }
    void add(const UniqueFd& fd, std::uint32_t key) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = key;
        check(::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd.get(), &event), "epoll_ctl");
    }
    // Closing alone does not, if a fork of the program has a copy.
    void remove(const UniqueFd& fd) noexcept {
        ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
    }
    // How many events there are; without a timeout, at least one.
    template <std::size_t n>
    std::size_t wait(epoll_event (&events)[n], int timeout_ms = -1) noexcept {
        const int count = uninterrupted(
            [&] { return ::epoll_wait(fd_.get(), events, static_cast<int>(n), timeout_ms); });
        return count > 0 ? static_cast<std::size_t>(count) : 0;
    }

private:
    UniqueFd fd_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
