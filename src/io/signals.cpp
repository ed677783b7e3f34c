// Signal handlers. Follows add_signal_handler of CPython's asyncio/unix_events.py, and the SIGINT
// handler of its asyncio/runners.py.
#include "io/signals.hpp"

#include <asyncio/exceptions.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// What the kernel's handler reads: the loop of each signal, and how many SIGINTs are left until the
// default disposition is restored; 0 if none does that.
constinit std::array<std::atomic<SignalHandlers*>, NSIG> owners{};
constinit std::atomic<int> interrupts_left{0};
constexpr int interrupts_max = 2;
// Threads that are in the kernel's handler.
constinit std::atomic<int> handling{0};

static_assert(std::atomic<SignalHandlers*>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

void handle_signal(int number) {
    const int error = errno;
    if (number == SIGINT && interrupts_left.load() > 0 && interrupts_left.fetch_sub(1) == 1) {
        std::signal(number, SIG_DFL);
    }
    handling.fetch_add(1);
    if (SignalHandlers* const owner = owners[static_cast<std::size_t>(number)].load()) {
        owner->arrived(number);
    }
    handling.fetch_sub(1);
    errno = error;
}

bool is_main_thread() noexcept { return ::getpid() == ::gettid(); }

bool is_valid(int number) noexcept {
    sigset_t all;
    ::sigfillset(&all);  // without those that the C library keeps for itself
    return ::sigismember(&all, number) == 1;
}

void require_valid(int number) {
    if (!is_valid(number)) {
        throw ValueError("invalid signal number " + std::to_string(number));
    }
}

bool has_disposition(int number, void (*handler)(int)) noexcept {
    struct sigaction current{};
    return ::sigaction(number, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) == 0 &&
           current.sa_handler == handler;
}

// What the program has installed meanwhile stays.
void restore_default(int number) noexcept {
    if (has_disposition(number, &handle_signal)) {
        std::signal(number, SIG_DFL);
    }
}

// Afterwards no thread is in the handler of a signal that was given up, or taken by another loop.
void await_handlers() noexcept {
    while (handling.load() != 0) {
        std::this_thread::yield();
    }
}

}  // namespace

// ---- life

SignalHandlers& SignalHandlers::of(EventLoop& loop) {
    if (loop.signals_ == nullptr) {
        auto* const made = new SignalHandlers(loop);
        loop.signals_ = made;
        loop.composites_.push_back(*made);
    }
    return static_cast<SignalHandlers&>(*loop.signals_);
}

void SignalHandlers::detach() noexcept {
    for (int number = 1; number < NSIG; ++number) {
        remove(number);
    }
    await_handlers();
    loop_.signals_ = nullptr;
    delete this;
}

void SignalHandlers::abandon_all() noexcept {
    for (int number = 1; number < NSIG; ++number) {
        if (owners[static_cast<std::size_t>(number)].exchange(nullptr) != nullptr) {
            restore_default(number);
        }
    }
    interrupts_left.store(0);
    handling.store(0);  // the threads that were in the handler are the parent's
}

bool SignalHandlers::install(int number) noexcept {
    struct sigaction action{};
    action.sa_handler = &handle_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    std::atomic<SignalHandlers*>& owner = owners[static_cast<std::size_t>(number)];
    SignalHandlers* const previous = owner.exchange(this);
    if (::sigaction(number, &action, nullptr) != 0) {
        owner.store(previous);
        return false;
    }
    return true;
}

void SignalHandlers::give_up(int number) noexcept {
    std::atomic<SignalHandlers*>& owner = owners[static_cast<std::size_t>(number)];
    if (owner.load() == this) {
        restore_default(number);
        owner.store(nullptr);
    }
}

// ---- handlers

void SignalHandlers::add(EventLoop& loop, int number, HandleState* owned) {
    struct Release {
        void operator()(HandleState* handle) const noexcept { handle->release(); }
    };
    std::unique_ptr<HandleState, Release> handle(owned);
    require_valid(number);
    loop.check_usable();
    if (!is_main_thread()) {
        throw RuntimeError("signal handlers belong to a loop of the main thread: add them there");
    }
    SignalHandlers& signals = of(loop);
    if (!signals.install(number)) {
        throw RuntimeError("signal " + std::to_string(number) + " cannot be caught");
    }
    if (number == SIGINT) {
        interrupts_left.store(0);
    }
    signals.drop_handler(number);
    signals.handlers_[static_cast<std::size_t>(number)] = handle.release();
    ++signals.handler_count;
}

bool SignalHandlers::remove(EventLoop& loop, int number) {
    require_valid(number);
    return loop.signals_ != nullptr && of(loop).remove(number);
}

bool SignalHandlers::remove(int number) noexcept {
    if (handlers_[static_cast<std::size_t>(number)] == nullptr) {
        return false;
    }
    if (number == SIGINT && on_interrupt_) {
        install_interrupts();
    } else {
        give_up(number);
    }
    drop_handler(number);
    return true;
}

void SignalHandlers::drop_handler(int number) noexcept {
    HandleState* const handle = std::exchange(handlers_[static_cast<std::size_t>(number)], nullptr);
    if (handle != nullptr) {
        --handler_count;
        handle->release();
    }
}

// ---- delivery

void SignalHandlers::arrived(int number) noexcept {
    Arrivals& arrivals = arrivals_[static_cast<std::size_t>(number)];
    if (arrivals.count.fetch_add(1) == 0) {
        arrivals.first.store(arrivals_begun_.fetch_add(1));
    }
    loop_.signalled_.store(true);
    loop_.poller_->wake();
}

std::vector<int> SignalHandlers::arrived_in_order() const {
    std::vector<int> numbers;
    for (int number = 1; number < NSIG; ++number) {
        if (arrivals_[static_cast<std::size_t>(number)].count.load() > 0) {
            numbers.push_back(number);
        }
    }
    std::ranges::sort(numbers, {}, [this](int number) {
        return arrivals_[static_cast<std::size_t>(number)].first.load();
    });
    return numbers;
}

void SignalHandlers::run(Runnable& self, Turn turn) {
    if (turn == Turn::discard) {
        return;
    }
    auto& signals = static_cast<SignalHandlers&>(self);
    unsigned interrupts = 0;
    for (const int number : signals.arrived_in_order()) {
        const auto index = static_cast<std::size_t>(number);
        unsigned count = signals.arrivals_[index].count.exchange(0);
        const HandleState* const handler = signals.handlers_[index];
        if (handler == nullptr) {
            interrupts += number == SIGINT ? count : 0;
            continue;
        }
        for (; count > 0; --count) {
            signals.loop_.call_soon([&signals, number] { signals.call(number); },
                                    handler->created_at);
        }
    }
    // At once, as CPython's does: what it breaks finds the others' calls queued.
    for (; interrupts > 0 && signals.on_interrupt_; --interrupts) {
        signals.on_interrupt_();
    }
}

void SignalHandlers::call(int number) {
    HandleState* const handle = handlers_[static_cast<std::size_t>(number)];
    if (handle != nullptr) {  // else it was removed after the signal came
        handle->execute_repeatedly();
    }
}

// ---- Ctrl-C

bool may_handle(int number) noexcept {
    return is_main_thread() && has_disposition(number, SIG_DFL);
}

void SignalHandlers::install_interrupts() noexcept {
    interrupts_left.store(interrupts_max);
    install(SIGINT);
}

InterruptScope::InterruptScope(EventLoop& loop, std::function<void()> action) {
    if (loop.is_closed() || !may_handle(SIGINT)) {
        return;
    }
    signals_ = &SignalHandlers::of(loop);
    signals_->on_interrupt_ = std::move(action);
    signals_->install_interrupts();
}

bool InterruptScope::end() noexcept {
    SignalHandlers* const signals = std::exchange(signals_, nullptr);
    if (signals == nullptr) {
        return false;
    }
    signals->on_interrupt_ = nullptr;
    if (signals->handlers_[SIGINT] != nullptr) {
        return false;  // the program has added its own
    }
    signals->give_up(SIGINT);
    await_handlers();
    return signals->arrivals_[SIGINT].count.exchange(0) > 0;
}

}  // namespace detail

// ---- the loop's functions

void EventLoop::handle_signal(int number, detail::HandleState* owned) {
    detail::SignalHandlers::add(*this, number, owned);
}

bool EventLoop::remove_signal_handler(int number) {
    return detail::SignalHandlers::remove(*this, number);
}

}  // namespace asyncio::inline v0
