// The SIGINT handler of a Runner.
#include "io/interrupt.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Read by the handler: what to call, and how often it came.
constinit std::atomic<const std::function<void()>*> current_action{nullptr};
constinit std::atomic<int> signal_count{0};

void handle_interrupt(int signal_number) {
    if (signal_count.fetch_add(1) + 1 >= 2) {
        std::signal(signal_number, SIG_DFL);
    }
    const auto* const action = current_action.load();
    if (action != nullptr) {
        (*action)();
    }
}

bool is_main_thread() noexcept { return ::getpid() == ::gettid(); }

bool has_default_disposition() noexcept {
    struct sigaction current{};
    return ::sigaction(SIGINT, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) == 0 &&
           current.sa_handler == SIG_DFL;
}

}  // namespace

InterruptScope::InterruptScope(std::function<void()> action) : action_(std::move(action)) {
    if (!is_main_thread() || !has_default_disposition()) {
        return;
    }
    signal_count.store(0);
    current_action.store(&action_);
    struct sigaction handler{};
    handler.sa_handler = &handle_interrupt;
    handler.sa_flags = SA_RESTART;
    sigemptyset(&handler.sa_mask);
    installed_ = ::sigaction(SIGINT, &handler, nullptr) == 0;
    if (!installed_) {
        current_action.store(nullptr);
    }
}

InterruptScope::~InterruptScope() {
    if (!installed_) {
        return;
    }
    struct sigaction current{};
    // Somebody may have replaced the handler meanwhile; theirs stays.
    if (::sigaction(SIGINT, nullptr, &current) == 0 && current.sa_handler == &handle_interrupt) {
        std::signal(SIGINT, SIG_DFL);
    }
    current_action.store(nullptr);
}

}  // namespace detail
}  // namespace asyncio::inline v0
