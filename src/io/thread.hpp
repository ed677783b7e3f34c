// Threads as the library starts them: named, and without signals that are meant for the program.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

/// Blocks signals of this thread for a scope; threads that are started in it inherit that. Those
/// that a thread raises by a fault of its own stay: else the program's handler would never hear of
/// it. So does SIGPROF, by which profilers look at whatever thread is running.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t blocked;
        ::sigfillset(&blocked);
        for (const int number :
             {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF}) {
            ::sigdelset(&blocked, number);
        }
        ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

/// Shortened to what the kernel takes, by the end of `prefix`.
inline std::string thread_name(std::string prefix, std::size_t number) {
    constexpr std::size_t size_max = 15;
    const std::string suffix = "_" + std::to_string(number);
    if (prefix.size() + suffix.size() > size_max) {
        prefix.resize(size_max - suffix.size());
    }
    return prefix + suffix;
}

/// Raises: std::system_error, which tells that it is about a thread.
template <class F>
std::thread start_thread(const std::string& name, F function) {
    const SignalsBlocked blocked;
    try {
        return std::thread([name, function = std::move(function)]() mutable {
            ::pthread_setname_np(::pthread_self(), name.c_str());
            function();
        });
    } catch (const std::system_error& error) {
        throw std::system_error(error.code(), "cannot start a thread");
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
