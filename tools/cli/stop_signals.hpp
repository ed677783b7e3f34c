// The signals that ask a command to stop, as a descriptor of the loop.
#pragma once

#include <csignal>
#include <initializer_list>

namespace asyncio::cli {

// While it lives, and until `take`, the signals do nothing but make the descriptor readable. Those
// that were ignored before, as nohup does with SIGHUP, stay ignored.
//
// Made in the main thread before there are others, as they inherit what is blocked.
class StopSignals {
public:
    // Raises: std::system_error.
    StopSignals(std::initializer_list<int> signals);
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    ~StopSignals();

    int fileno() const noexcept { return fd_; }
    // The signal that came, or 0; further ones do what they did before.
    int take() noexcept;

private:
    int fd_ = -1;
    sigset_t before_{};
};

}  // namespace asyncio::cli
