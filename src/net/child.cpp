// Children: their signals, their end, and who notices it. Follows PidfdChildWatcher and
// ThreadedChildWatcher of CPython's asyncio/unix_events.py.
#include "net/child.hpp"

#include <asyncio/log.hpp>
#include <asyncio/task.hpp>

#include "io/pipe.hpp"
#include "io/thread.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// What CPython reports, too.
constexpr int unknown_returncode = 255;

int wait_for(idtype_t type, id_t id, siginfo_t& info, int options) noexcept {
    return uninterrupted([&] { return ::waitid(type, id, &info, WEXITED | options); });
}

// Returns a descriptor that is readable once the process has ended, for which a thread waits. The
// process is left to be reaped by others, and may be reaped before.
UniqueFd wait_in_thread(pid_t pid) {
    auto [reader, writer] = make_pipe();
    start_thread("asyncio_wait", [pid, end = std::move(writer)] {
        siginfo_t info{};
        wait_for(P_PID, static_cast<id_t>(pid), info, WNOWAIT);
    }).detach();
    return std::move(reader);
}

}  // namespace

// ---- Child

Child::Child(const SpawnRequest& request)
    : pid_(spawn(request)), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))) {}

Child::~Child() {
    if (returncode_) {
        return;
    }
    if (signal(SIGKILL) == 0) {
        wait(0);
        return;
    }
    // It runs as another user, who ends it in his own time.
    try {
        start_thread("asyncio_wait", [pid = pid_] {
            siginfo_t info{};
            wait_for(P_PID, static_cast<id_t>(pid), info, 0);
        }).detach();
    } catch (const std::system_error&) {
        log(LogLevel::warning, "child process " + std::to_string(pid_) +
                                   " cannot be killed, and there is no thread to wait for it");
    }
}

bool Child::reap() { return returncode_.has_value() || wait(WNOHANG); }

bool Child::wait(int options) {
    const bool has_pidfd = pidfd_.get() >= 0;
    siginfo_t info{};
    if (wait_for(has_pidfd ? P_PIDFD : P_PID, static_cast<id_t>(has_pidfd ? pidfd_.get() : pid_),
                 info, options) != 0) {
        log(LogLevel::warning, "the exit status of child process " + std::to_string(pid_) +
                                   " was read by others: its return code is taken to be " +
                                   std::to_string(unknown_returncode));
        returncode_ = unknown_returncode;
    } else if (info.si_pid != 0) {
        returncode_ = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    }
    return returncode_.has_value();
}

void Child::send_signal(int number) {
    if (const int error = returncode_ ? ESRCH : signal(number); error != 0) {
        throw std::system_error(error, std::generic_category(),
                                "cannot send signal " + std::to_string(number) +
                                    " to child process " + std::to_string(pid_));
    }
}

int Child::signal(int number) noexcept {
    if (pidfd_.get() >= 0) {
        if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0) {
            return 0;
        }
        if (errno != ENOSYS && errno != EPERM) {
            return errno;
        }
    }
    // A sandbox may know only this.
    return ::kill(pid_, number) == 0 ? 0 : errno;
}

// ---- ExitWatch

ExitWatch::ExitWatch(EventLoop& loop, Child& child, std::function<void(int)> on_exit)
    : loop_(&loop), child_(child), on_exit_(std::move(on_exit)) {
    if (child.pidfd() < 0) {
        thread_end_ = wait_in_thread(child.pid());
    }
    loop.add_reader(fd(), [this] { ended(); });
    loop.external_work_started();
    LoopAccess::composites(loop).push_back(*this);
}

ExitWatch::~ExitWatch() {
    call_.cancel();
    stop();
}

void ExitWatch::ended() {
    if (!child_.reap()) {
        return;
    }
    call_ = loop_->call_soon([on_exit = std::move(on_exit_), returncode = *child_.returncode()] {
        on_exit(returncode);
    });
    stop();
}

void ExitWatch::stop() noexcept {
    if (EventLoop* const loop = std::exchange(loop_, nullptr)) {
        unlink();
        loop->remove_reader(fd());
        loop->external_work_finished();
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
