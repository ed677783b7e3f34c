// A program that was started, and the loop's notice of its end: what subprocesses stand on.
#pragma once

#include <asyncio/event_loop.hpp>

#include "io/unique_fd.hpp"
#include "net/spawn.hpp"

#include <functional>
#include <optional>

namespace asyncio::inline v0 {
namespace detail {

// A process that belongs to us, from its start until we know how it ended.
//
// Invariants:
//  1. Nobody but `reap` waits for the process. So it stays, ended or not, until `returncode` is
//     known, and its number is nobody else's: `send_signal` cannot reach another process.
//  2. If the program waits for it nevertheless, the pidfd still names this process and no other.
//
// Thread safety: one thread.
class Child {
public:
    // Raises: as spawn; std::system_error if it runs out of descriptors. Then no process is left.
    explicit Child(const SpawnRequest& request);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    // A process that was not reaped is killed and waited for, which takes about a millisecond; one
    // that may not be killed is left to a thread that waits.
    ~Child();

    pid_t pid() const noexcept { return pid_; }
    // Readable once the process has ended. -1 where the kernel has none, or a sandbox refuses it.
    int pidfd() const noexcept { return pidfd_.get(); }

    // The exit code, or minus the number of the signal that ended it, once that was reaped.
    const std::optional<int>& returncode() const noexcept { return returncode_; }
    // Reaps the process if it has ended; returns whether it has. If somebody else has waited for
    // it, its return code is 255, and the log is told. Source: S303.
    bool reap();

    // Does nothing to a process that has ended and was not reaped. Raises: std::system_error: ESRCH
    // once it was reaped, EINVAL for the number of no signal. Source: S297.
    void send_signal(int number);

private:
    bool wait(int options);
    // Returns errno.
    int signal(int number) noexcept;

    pid_t pid_;
    UniqueFd pidfd_;
    std::optional<int> returncode_;
};

// Reaps a child when it ends, and calls back.
//
// The loop watches the child's pidfd. Where there is none, a thread waits, and tells through an
// event descriptor; it leaves the process to be reaped by the loop's thread.
//
// Invariants:
//  1. `on_exit(returncode)` is called once, as a callback of its own, in the iteration after the
//     one that reaped the child; never after the destructor, and not if the loop closes before.
//  2. Until the child is reaped, the loop has external work: a virtual clock stands still.
//
// Requires: the child outlives it. Thread safety: loop thread only. Source: S303.
class ExitWatch final : private CompositeNode {
public:
    ExitWatch(EventLoop& loop, Child& child, std::function<void(int)> on_exit);
    ExitWatch(const ExitWatch&) = delete;
    ExitWatch& operator=(const ExitWatch&) = delete;
    ~ExitWatch();

private:
    int fd() const noexcept { return child_.pidfd() >= 0 ? child_.pidfd() : thread_end_.get(); }
    void ended();
    void stop() noexcept;
    void detach() noexcept override { stop(); }

    EventLoop* loop_;  // null once it has stopped
    Child& child_;
    std::function<void(int)> on_exit_;
    UniqueFd thread_end_;  // of the waiting thread's pipe, without a pidfd
    Handle call_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
