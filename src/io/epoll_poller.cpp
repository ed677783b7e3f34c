// epoll.
#include "io/epoll_poller.hpp"

#include <asyncio/exceptions.hpp>

#include "io/system_call.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <string>
#include <system_error>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Events fetched by one system call; more come with the next poll, which then does not block.
constexpr int events_max = 256;

constexpr std::uint32_t read_events = EPOLLIN | EPOLLRDHUP;
constexpr std::uint32_t write_events = EPOLLOUT;
// A broken connection makes both directions ready: the operation then fails with the reason.
constexpr std::uint32_t failure_events = EPOLLERR | EPOLLHUP;

std::size_t index_of(IoDirection direction) noexcept {
    return direction == IoDirection::read ? 0 : 1;
}

std::timespec to_timespec(Duration duration) noexcept {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    return {static_cast<std::time_t>(seconds.count()),
            static_cast<long>((duration - seconds).count())};
}

}  // namespace

EpollPoller::EpollPoller()
    : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(check(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      timer_(
          check(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")) {
    for (const int fd : {wake_.get(), timer_.get()}) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
}

void EpollPoller::poll(std::optional<Duration> timeout, ReadyList& ready) {
    std::array<epoll_event, events_max> events;
    std::timespec limit{};
    if (timeout) {
        limit = to_timespec(*timeout);
    }
    int count = ::epoll_pwait2(epoll_.get(), events.data(), events_max, timeout ? &limit : nullptr,
                               nullptr);
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
        // Before Linux 5.11, or where a container forbids what it does not know: milliseconds,
        // rounded up so that no timer is early.
        const auto rounded =
            timeout ? std::chrono::ceil<std::chrono::milliseconds>(*timeout).count() : -1;
        constexpr decltype(rounded) longest = std::numeric_limits<int>::max();
        count = ::epoll_wait(epoll_.get(), events.data(), events_max,
                             static_cast<int>(std::min(rounded, longest)));
    }
    if (count < 0) {
        if (errno == EINTR) {
            return;
        }
        throw_errno("epoll_wait");
    }
    for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        const std::uint32_t happened = events[static_cast<std::size_t>(i)].events;
        if (fd == wake_.get() || fd == timer_.get()) {
            drain(fd);
            continue;
        }
        Slot& slot = slots_[static_cast<std::size_t>(fd)];
        if ((happened & (read_events | failure_events)) != 0) {
            complete(slot, IoDirection::read, ready);
        }
        if ((happened & (write_events | failure_events)) != 0) {
            complete(slot, IoDirection::write, ready);
        }
        const std::uint32_t unwanted = slot.registered;
        if (slot.operations[0] == nullptr && slot.operations[1] == nullptr && unwanted != 0) {
            update(fd, slot);
        }
    }
}

void EpollPoller::complete(Slot& slot, IoDirection direction, ReadyList& ready) noexcept {
    IoOperation*& operation = slot.operations[index_of(direction)];
    if (operation == nullptr || operation->scheduled()) {
        return;
    }
    operation->result = 0;
    ready.push_back(*operation);
    if (!operation->persistent()) {
        operation = nullptr;
        --watched_;
    }
}

void EpollPoller::drain(int fd) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto ignored = ::read(fd, &count, sizeof count);
}

void EpollPoller::wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(wake_.get(), &one, sizeof one);
}

int EpollPoller::update(int fd, Slot& slot) noexcept {
    const std::uint32_t wanted = (slot.operations[0] != nullptr ? read_events : 0) |
                                 (slot.operations[1] != nullptr ? write_events : 0);
    epoll_event event{.events = wanted, .data = {.fd = fd}};
    int outcome = 0;
    if (wanted == 0) {
        // The descriptor may be closed already; then the kernel has forgotten it.
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &event);
    } else {
        // A number that was closed and opened again behind our back is unknown to the kernel,
        // or known although we think it is not: the other operation is then the right one.
        const bool known = slot.registered != 0;
        outcome = ::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
        if (outcome != 0 && errno == (known ? ENOENT : EEXIST)) {
            outcome = ::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
        }
    }
    if (outcome != 0) {
        return errno;
    }
    slot.registered = wanted;
    return 0;
}

void EpollPoller::start(IoOperation& operation) {
    const int fd = operation.fd();
    if (fd < 0) {
        throw ValueError("Invalid file descriptor: " + std::to_string(fd));
    }
    if (static_cast<std::size_t>(fd) >= slots_.size()) {
        slots_.resize(static_cast<std::size_t>(fd) + 1);
    }
    Slot& slot = slots_[static_cast<std::size_t>(fd)];
    IoOperation*& place = slot.operations[index_of(operation.direction())];
    if (place != nullptr) {
        throw RuntimeError("file descriptor " + std::to_string(fd) + " is being " +
                           (operation.direction() == IoDirection::read ? "read" : "written") +
                           " by another operation; wait for it, or cancel it first");
    }
    place = &operation;
    if (const int error = update(fd, slot); error != 0) {
        place = nullptr;
        throw std::system_error(error, std::generic_category(),
                                "cannot wait for file descriptor " + std::to_string(fd));
    }
    ++watched_;
}

bool EpollPoller::cancel(IoOperation& operation) noexcept {
    Slot& slot = slots_[static_cast<std::size_t>(operation.fd())];
    IoOperation*& place = slot.operations[index_of(operation.direction())];
    if (place == &operation) {
        place = nullptr;
        --watched_;
        update(operation.fd(), slot);
    }
    if (operation.scheduled()) {
        operation.unlink();
    }
    return true;
}

IoOperation* EpollPoller::watching(int fd, IoDirection direction) const noexcept {
    if (fd < 0 || static_cast<std::size_t>(fd) >= slots_.size()) {
        return nullptr;
    }
    return slots_[static_cast<std::size_t>(fd)].operations[index_of(direction)];
}

void EpollPoller::arm(std::optional<Duration> timeout) {
    if (timeout == Duration::zero()) {
        wake();
        return;
    }
    if (!timeout && !timer_armed_) {
        return;
    }
    itimerspec setting{};
    if (timeout) {
        setting.it_value = to_timespec(*timeout);
    }
    timer_armed_ = timeout.has_value();
    check(::timerfd_settime(timer_.get(), 0, &setting, nullptr), "timerfd_settime");
}

}  // namespace detail
}  // namespace asyncio::inline v0
