// Ctrl-C while a Runner runs its main task.
#pragma once

#include <asyncio/detail/config.hpp>

#include <functional>

namespace asyncio::inline v0 {
namespace detail {

// While alive, SIGINT calls `action` from the signal handler instead of ending the process, if this
// is the main thread and nobody else handles SIGINT; otherwise it does nothing. The second SIGINT
// restores the default disposition, so that a busy program can be ended by the third.
//
// Requires: `action` is async-signal-safe.
class InterruptScope {
public:
    explicit InterruptScope(std::function<void()> action);
    InterruptScope(const InterruptScope&) = delete;
    InterruptScope& operator=(const InterruptScope&) = delete;
    ~InterruptScope();

private:
    std::function<void()> action_;
    bool installed_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
