// The seam between the loop and the kernel: a poller waits for operations on file descriptors and
// hands the finished ones, as runnables, to the loop.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/runnable.hpp>

#include <optional>

namespace asyncio::inline v0 {

/// Which direction of a file descriptor is meant.
enum class IoDirection : std::uint8_t { read, write };

/// An operation in flight. It is scheduled when it completes, and stays registered afterwards if it
/// is `persistent`.
///
/// Invariant: between `start` and completion, or a `cancel` that returned true, the poller may
/// touch it, so it must stay alive.
class ASYNCIO_API IoOperation : public Runnable {
public:
    int fd() const noexcept { return fd_; }
    IoDirection direction() const noexcept { return direction_; }
    bool persistent() const noexcept { return persistent_; }
    /// Set by the poller when the operation completes: 0, or what the kernel returned.
    int result = 0;

protected:
    IoOperation(Run run, int fd, IoDirection direction, bool persistent) noexcept
        : Runnable(run), fd_(fd), direction_(direction), persistent_(persistent) {}
    ~IoOperation() = default;

private:
    int fd_;
    IoDirection direction_;
    bool persistent_;
};

/// Waits for I/O. One loop owns one poller.
///
/// Thread safety: `wake` may be called from any thread and by a signal handler, which allows no
/// locks and no memory; everything else on the loop's thread.
class ASYNCIO_API Poller {
public:
    using ReadyList = detail::IntrusiveList<Runnable>;

    Poller() = default;
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    virtual ~Poller();

    /// Waits for at most `timeout` (for ever without one) and appends what is finished to `ready`.
    /// For one descriptor, reading comes before writing. Returns early after `wake()`.
    virtual void poll(std::optional<Duration> timeout, ReadyList& ready) = 0;

    /// Makes a `poll` that runs, or the next one, return. Never fails: a full or closed channel
    /// means that the poll is due anyway.
    virtual void wake() noexcept = 0;

    /// Begins to watch. Raises: RuntimeError if that direction of the descriptor is being watched;
    /// std::system_error if the kernel refuses it (a regular file, a closed descriptor).
    virtual void start(IoOperation& operation) = 0;

    /// Returns true if the poller has let go of the operation; false if it will complete, with an
    /// error, later.
    virtual bool cancel(IoOperation& operation) noexcept = 0;

    /// The operation that watches this direction of the descriptor, or null.
    virtual IoOperation* watching(int fd, IoDirection direction) const noexcept = 0;
    /// Number of operations in flight.
    virtual std::size_t watched() const noexcept = 0;

    /// A descriptor that a foreign loop can poll: readable when something is finished, after
    /// `wake`, and once the time given to `arm` has passed.
    virtual int fileno() const noexcept = 0;
    virtual void arm(std::optional<Duration> timeout) = 0;
};

}  // namespace asyncio::inline v0
