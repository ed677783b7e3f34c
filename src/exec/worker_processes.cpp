// Workers in processes. The program has no loop meanwhile: it waits for signals.
//
// A worker is asked to end through an eventfd, and not by a signal: those of a terminal or a
// service manager reach it as well, and would count twice.
#include <asyncio/exception_group.hpp>
#include <asyncio/log.hpp>

#include "exec/process_copy.hpp"
#include "exec/process_worker.hpp"
#include "exec/shared_buffer.hpp"
#include "exec/workers.hpp"
#include "io/signals.hpp"
#include "io/system_call.hpp"
#include "io/thread.hpp"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>

namespace asyncio::inline v0 {
namespace detail {

namespace {

using std::chrono::steady_clock;

// From the start of a process to that of the one which replaces it, at least.
constexpr auto between_starts = std::chrono::seconds(1);

// What is added to the eventfd of a worker.
constexpr std::uint64_t request_cancel = 1;
constexpr std::uint64_t request_break = std::uint64_t{1} << 32;

void send_request(int fd, std::uint64_t request) noexcept {
    [[maybe_unused]] const ssize_t size = ::write(fd, &request, sizeof request);
}

/// What a worker leaves in the memory that it shares with the program.
struct OutcomeHeader {
    enum class Kind : std::uint32_t { none, returned, cancelled, interrupted, exited, failed };
    Kind kind;
    std::int32_t code;   // of a SystemExit
    std::uint64_t size;  // of all, with this
};

// `where`: goes into the cause of an error.
void write_outcome(SharedBuffer& outcome, const std::exception_ptr& error,
                   const std::string& where) {
    using Kind = OutcomeHeader::Kind;
    OutcomeHeader header{Kind::returned, 0, 0};
    SharedWriter writer(outcome);
    writer.write(&header, sizeof header);
    try {
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    } catch (const CancelledError&) {
        header.kind = Kind::cancelled;
    } catch (const SystemExit& exit) {
        header.kind = Kind::exited;
        header.code = exit.code();
    } catch (const LoopBreak&) {
        header.kind = Kind::interrupted;
    } catch (...) {
        header.kind = Kind::failed;
        write_error(writer, error, where);
    }
    header.size = writer.size();
    std::memcpy(outcome.data(), &header, sizeof header);
}

// What the worker threw, or null. Without a value: it has not come so far.
std::optional<std::exception_ptr> read_outcome(SharedBuffer& outcome) {
    using Kind = OutcomeHeader::Kind;
    OutcomeHeader header;
    std::memcpy(&header, outcome.data(), sizeof header);
    switch (header.kind) {
    case Kind::none:
        return std::nullopt;
    case Kind::returned:
        return std::exception_ptr();
    case Kind::cancelled:
        return std::make_exception_ptr(CancelledError());
    case Kind::interrupted:
        return std::make_exception_ptr(KeyboardInterrupt());
    case Kind::exited:
        return std::make_exception_ptr(SystemExit(header.code));
    case Kind::failed:
        break;
    }
    try {
        Reader reader(outcome.message(header.size));
        reader.read(sizeof header);
        return read_error(reader);
    } catch (...) {
        return std::current_exception();
    }
}

// ---- in a worker's process

constinit volatile std::sig_atomic_t own_requests = -1;

void request_own_end(int) {
    const int error = errno;
    send_request(own_requests, request_cancel);
    errno = error;
}

// Ctrl-C reaches all processes of the terminal. It is the program's, which will tell.
void leave_to_the_program(int) {}

// Until the very end, and not as handlers of the loop: those go with it.
void handle(int number, void (*handler)(int)) noexcept {
    if (may_handle(number)) {
        struct sigaction action{};
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART | SA_ONSTACK;
        ::sigemptyset(&action.sa_mask);
        ::sigaction(number, &action, nullptr);
    }
}

// `program`: a pidfd of the program, or -1.
std::exception_ptr run_worker(Worker& worker, int requests, int program, const sigset_t& mask) {
    own_requests = requests;
    handle(SIGTERM, &request_own_end);
    handle(SIGINT, &leave_to_the_program);
    worker.loop().add_reader(requests, [&worker, requests] {
        std::uint64_t sum = 0;
        [[maybe_unused]] const ssize_t size = ::read(requests, &sum, sizeof sum);
        if (sum >= request_break) {
            throw KeyboardInterrupt();
        }
        worker.cancel();
    });
    if (program >= 0) {
        // A worker that has changed its user gets no signal at the program's end.
        worker.loop().add_reader(program, [] { ::raise(SIGKILL); });
    }
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    return worker.run();
}

// ---- in the program

struct WorkerProcess {
    pid_t pid = 0;  // 0 if there is none
    steady_clock::time_point started;
    // If one is to be started: when.
    std::optional<steady_clock::time_point> due = steady_clock::time_point();
    UniqueFd requests;
    std::unique_ptr<SharedBuffer> outcome;
};

class WorkerProcesses {
public:
    WorkerProcesses(std::size_t n, const WorkerMain& main, const WorkersOptions& options)
        : main_(main), options_(options),
          program_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))), processes_(n) {
        ::sigemptyset(&taken_);
        ::sigaddset(&taken_, SIGCHLD);
        for (const int number : {SIGINT, SIGTERM}) {
            if (may_handle(number)) {
                ::sigaddset(&taken_, number);
            }
        }
        ::sigprocmask(SIG_BLOCK, &taken_, &mask_);
        ::sigaction(SIGCHLD, nullptr, &child_action_);
        std::signal(SIGCHLD, SIG_DFL);  // the kernel may have been told to forget children
    }
    WorkerProcesses(const WorkerProcesses&) = delete;
    WorkerProcesses& operator=(const WorkerProcesses&) = delete;
    ~WorkerProcesses() {
        kill_all();
        for (const WorkerProcess& process : processes_) {
            if (process.pid != 0) {
                uninterrupted([&] { return ::waitpid(process.pid, nullptr, 0); });
            }
        }
        ::sigaction(SIGCHLD, &child_action_, nullptr);
        ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }

    void run() {
        while (start_or_stop(), is_busy()) {
            take(next_signal());
            reap();
        }
        // One that has come since would end the program by its default action.
        constexpr timespec now{};
        for (int late = 0; (late = ::sigtimedwait(&taken_, nullptr, &now)) > 0;) {
            take(late);
        }
        ends_.finish();
    }

private:
    bool is_busy() const {
        return std::ranges::any_of(processes_, [](const WorkerProcess& process) {
            return process.pid != 0 || process.due;
        });
    }

    // ---- starting

    void start_or_stop() {
        for (std::size_t i = 0; i < processes_.size() && !ends_.stopping(); ++i) {
            if (processes_[i].due && *processes_[i].due <= steady_clock::now()) {
                start_or_fail(i);
            }
        }
        if (ends_.stopping() && !std::exchange(asked_, true)) {
            for (WorkerProcess& process : processes_) {
                process.due.reset();
            }
            request_all(request_cancel);
        }
    }

    // Where there is no room for a copy now, those that run go on, and there may be room later.
    void start_or_fail(std::size_t index) {
        WorkerProcess& process = processes_[index];
        const bool is_first = process.started == steady_clock::time_point();
        try {
            start(index);
        } catch (...) {
            if (is_first) {
                ends_.add(std::current_exception());
                return;
            }
            log(LogLevel::error,
                options_.name + "_" + std::to_string(index) +
                    " cannot be replaced now: " + describe_exception(std::current_exception()));
            process.due = process.started + between_starts;
        }
    }

    void start(std::size_t index) {
        WorkerProcess& process = processes_[index];
        process.due.reset();
        process.started = steady_clock::now();
        process.requests = UniqueFd(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
        process.outcome = std::make_unique<SharedBuffer>();
        const pid_t program = ::getpid();
        const pid_t pid = fork_program();
        if (pid == 0) {
            run_copy(program, index);
        }
        process.pid = pid;
    }

    [[noreturn]] void run_copy(pid_t program, std::size_t index) noexcept {
        become_copy(program, thread_name(options_.name, index).c_str());
        const WorkerProcess own = std::move(processes_[index]);
        processes_.clear();
        ::sigaction(SIGCHLD, &child_action_, nullptr);
        try {
            // The program's mapping is not here.
            SharedBuffer outcome(UniqueFd(check(::dup(own.outcome->fd()), "dup")));
            std::exception_ptr error;
            try {
                Worker worker(index, main_, options_);
                error = run_worker(worker, own.requests.get(), program_.get(), mask_);
            } catch (...) {
                error = std::current_exception();  // there is no loop
            }
            write_outcome(outcome, error, describe(index, ::getpid()));
        } catch (...) {
            end_copy(1);
        }
        end_copy(0);
    }

    // ---- signals

    // Returns 0 if none has come: it is time to start another process, or a signal was handled.
    int next_signal() const {
        std::optional<steady_clock::time_point> next;
        for (const WorkerProcess& process : processes_) {
            if (process.due && (!next || *process.due < *next)) {
                next = process.due;
            }
        }
        if (!next) {
            return std::max(0, ::sigwaitinfo(&taken_, nullptr));
        }
        const auto left = std::max(steady_clock::duration::zero(), *next - steady_clock::now());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec timeout{seconds.count(), (left - seconds).count()};
        return std::max(0, ::sigtimedwait(&taken_, nullptr, &timeout));
    }

    // As in a program with threads, but the third Ctrl-C ends the workers and not the program.
    void take(int signal) {
        if (signal == SIGINT || signal == SIGTERM) {
            ends_.ask(signal);
        }
        if (signal != SIGINT || ++interrupts_ == 1) {
            return;
        }
        if (interrupts_ == 2) {
            ends_.add(std::make_exception_ptr(KeyboardInterrupt()));
            request_all(request_break);
        } else {
            kill_all();
        }
    }

    void request_all(std::uint64_t request) const noexcept {
        for (const WorkerProcess& process : processes_) {
            if (process.pid != 0) {
                send_request(process.requests.get(), request);
            }
        }
    }

    void kill_all() const noexcept {
        for (const WorkerProcess& process : processes_) {
            if (process.pid != 0) {
                ::kill(process.pid, SIGKILL);
            }
        }
    }

    // ---- ends

    std::string describe(std::size_t index, pid_t pid) const {
        return options_.name + "_" + std::to_string(index) + ", process " + std::to_string(pid);
    }

    void reap() {
        for (std::size_t i = 0; i < processes_.size(); ++i) {
            int status = 0;
            const pid_t pid = processes_[i].pid;
            if (pid != 0 && ::waitpid(pid, &status, WNOHANG) == pid) {
                processes_[i].pid = 0;
                take_end(i, pid, status);
            }
        }
    }

    void take_end(std::size_t index, pid_t pid, int status) {
        WorkerProcess& process = processes_[index];
        const std::string name = describe(index, pid);
        std::optional<std::exception_ptr> error = read_outcome(*process.outcome);
        const bool has_crashed = !error;
        if (has_crashed) {
            error = std::make_exception_ptr(BrokenWorker(name + ", " + describe_status(status)));
        }
        const bool by_itself = has_crashed || is_exception<CancelledError>(*error);
        if (by_itself && options_.restart && !ends_.stopping()) {
            log(LogLevel::warning,
                name + ", " + (has_crashed ? describe_status(status) : "was asked to end") +
                    ", and is replaced");
            process.due = process.started + between_starts;
        } else {
            ends_.add(std::move(*error));
        }
    }

    const WorkerMain& main_;
    const WorkersOptions& options_;
    const UniqueFd program_;  // a pidfd, for the workers, or -1 where the kernel has none
    std::vector<WorkerProcess> processes_;
    WorkerEnds ends_;
    sigset_t taken_;                   // the signals that are waited for
    sigset_t mask_;                    // the program's
    struct sigaction child_action_{};  // the program's
    int interrupts_ = 0;
    bool asked_ = false;
};

}  // namespace

void run_worker_processes(std::size_t n, const WorkerMain& main, const WorkersOptions& options) {
    if (const int threads = count_threads(); threads > 1) {
        throw RuntimeError("run_workers copies the program, which must not have other threads, and "
                           "it has " +
                           std::to_string(threads) + ": call it before they are started");
    }
    WorkerProcesses(n, main, options).run();
}

}  // namespace detail
}  // namespace asyncio::inline v0
