// Signals as a descriptor.
#include "stop_signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace asyncio::cli {

namespace {

bool is_ignored(int signal_number) noexcept {
    struct sigaction current{};
    return ::sigaction(signal_number, nullptr, &current) == 0 &&
           (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_IGN;
}

}  // namespace

StopSignals::StopSignals(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal_number : signals) {
        if (!is_ignored(signal_number)) {
            sigaddset(&set, signal_number);
        }
    }
    fd_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd_ < 0) {
        throw std::system_error(errno, std::generic_category(), "signalfd");
    }
    pthread_sigmask(SIG_BLOCK, &set, &before_);
}

StopSignals::~StopSignals() {
    take();
    ::close(fd_);
}

int StopSignals::take() noexcept {
    signalfd_siginfo info{};
    const bool came = ::read(fd_, &info, sizeof info) == sizeof info;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    return came ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace asyncio::cli
