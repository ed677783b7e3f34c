// Writing to a pipe that nobody reads is an error, not the end of the process.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace asyncio::inline v0 {
namespace detail {

// Keeps SIGPIPE from this thread while it lives. Sockets have MSG_NOSIGNAL for that; pipes have
// nothing. The disposition is the program's, and children would inherit another one.
class NoBrokenPipeSignal {
public:
    NoBrokenPipeSignal() noexcept {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    NoBrokenPipeSignal(const NoBrokenPipeSignal&) = delete;
    NoBrokenPipeSignal& operator=(const NoBrokenPipeSignal&) = delete;
    ~NoBrokenPipeSignal() {
        const int error = errno;
        if (error == EPIPE && !was_pending_) {
            const timespec at_once{};
            sigtimedwait(&pipe_, nullptr, &at_once);
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }

private:
    sigset_t pipe_;
    sigset_t before_;
    bool was_pending_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
