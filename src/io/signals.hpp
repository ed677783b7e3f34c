// Signals on their way from the kernel to a loop's callbacks: add_signal_handler, and Ctrl-C while
// a Runner runs.
#pragma once

#include "core/signal_receiver.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// The signals that one loop handles, from the first use until the loop closes.
//
// For each of them the kernel calls the same function, in any thread. It counts the signal and
// wakes the loop. The loop then runs this object, which queues the calls of the handlers: they run
// one iteration after the wake-up, as in CPython, whose loop reads its wake-up socket in a callback
// of its own.
//
// Invariants:
//  1. A signal belongs to the loop that began to handle it last. Whoever gives it up restores the
//     default disposition, unless it belongs to another loop meanwhile, or the program handles it.
//  2. When this goes, no thread is in `arrived`.
//
// Thread safety: main thread only, except `arrived`.
class SignalHandlers final : public SignalReceiver {
public:
    // Raises: ValueError, RuntimeError; then nothing has changed, and the handle is released.
    static void add(EventLoop& loop, int number, HandleState* owned);
    static bool remove(EventLoop& loop, int number);

    // In a child process, whose loops would share the wake-up descriptors of its parent's: restores
    // what the parent's loops handle. Async-signal-safe.
    static void abandon_all() noexcept;

    // Async-signal-safe.
    void arrived(int number) noexcept;

    void detach() noexcept override;

private:
    friend class InterruptScope;

    struct Arrivals {
        std::atomic<unsigned> count{0};
        std::atomic<std::uint64_t> first{0};  // its place among the arrivals of all signals
    };

    explicit SignalHandlers(EventLoop& loop) noexcept
        : SignalReceiver(&SignalHandlers::run), loop_(loop) {}
    ~SignalHandlers() = default;

    // Makes them if the loop has none yet.
    static SignalHandlers& of(EventLoop& loop);
    static void run(Runnable& self, Turn turn);
    std::vector<int> arrived_in_order() const;
    void call(int number);
    // False if the signal cannot be caught.
    bool install(int number) noexcept;
    void give_up(int number) noexcept;
    bool remove(int number) noexcept;
    void drop_handler(int number) noexcept;
    void install_interrupts() noexcept;

    EventLoop& loop_;
    std::array<HandleState*, NSIG> handlers_{};
    std::function<void()> on_interrupt_;

    std::array<Arrivals, NSIG> arrivals_;
    std::atomic<std::uint64_t> arrivals_begun_{0};
};

// Whether this is the main thread, and nobody handles or ignores the signal.
bool may_handle(int number) noexcept;

// From its construction to `end`, a SIGINT that has no handler calls `action` as soon as the loop
// runs. The second one restores the default disposition, so that a program which does not get back
// to its loop can be ended by the third. Does nothing outside of the main thread, or if somebody
// handles or ignores SIGINT already.
class InterruptScope {
public:
    InterruptScope(EventLoop& loop, std::function<void()> action);
    InterruptScope(const InterruptScope&) = delete;
    InterruptScope& operator=(const InterruptScope&) = delete;
    ~InterruptScope() { end(); }

    // True if there was a SIGINT that came too late for another iteration.
    bool end() noexcept;

private:
    SignalHandlers* signals_ = nullptr;
};

}  // namespace detail
}  // namespace asyncio::inline v0
