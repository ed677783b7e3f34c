// Both sides of the connection with the server, and the server's loop. It has one thread, and uses
// nothing that the program may have locked or left half-way when it was forked.
#include "exec/process_server.hpp"

#include <asyncio/process_pool.hpp>

#include "exec/process_copy.hpp"
#include "exec/process_worker.hpp"
#include "io/close_descriptors.hpp"
#include "io/system_call.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>

namespace asyncio::inline v0 {
namespace detail {

namespace {

constexpr std::size_t fds_max = 4;

using Descriptors = std::array<UniqueFd, fds_max>;

// Returns the size, 0 at the end, or -1 with errno. Of the descriptors there are as many as this
// process may have.
ssize_t receive_request(int connection, ServerRequest& request, Descriptors& fds) noexcept {
    iovec part{&request, sizeof request};
    int numbers[fds_max];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof numbers)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = uninterrupted(
        [&] { return ::recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
    const cmsghdr* const header = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::memcpy(numbers, CMSG_DATA(header), count * sizeof(int));
        std::transform(numbers, numbers + count, fds.begin(), [](int fd) { return UniqueFd(fd); });
    }
    return size;
}

// ---- the server's process

class Server {
public:
    // `program`: a pidfd of the program, or -1 where the kernel has none.
    Server(UniqueFd control, UniqueFd program) noexcept
        : control_(std::move(control)), program_(std::move(program)) {}

    // Ends with the program.
    [[noreturn]] void run() {
        sigset_t child;
        ::sigemptyset(&child);
        ::sigaddset(&child, SIGCHLD);
        children_ = UniqueFd(check(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
        while (true) {
            wait();
        }
    }

private:
    struct Pool {
        UniqueFd connection;
        std::deque<ServerEvent> unsent;
    };
    struct Worker {
        int connection;
        std::uint32_t id;
    };

    void wait() {
        std::vector<pollfd> polled{
            {control_.get(), POLLIN, 0}, {children_.get(), POLLIN, 0}, {program_.get(), POLLIN, 0}};
        for (const auto& [fd, pool] : pools_) {
            const int events = pool.unsent.empty() ? POLLIN : POLLIN | POLLOUT;
            polled.push_back({fd, static_cast<short>(events), 0});
        }
        uninterrupted([&] { return ::poll(polled.data(), polled.size(), -1); });
        if (polled[2].revents != 0) {
            end();
        }
        if (polled[1].revents != 0) {
            reap();
        }
        for (const pollfd& one : std::span(polled).subspan(3)) {
            if (one.revents != 0) {
                serve(one.fd);
            }
        }
        if (polled[0].revents != 0) {
            accept();
        }
    }

    void accept() {
        ServerRequest request;
        Descriptors fds;
        const ssize_t size = receive_request(control_.get(), request, fds);
        if (size == 0) {
            end();
        }
        if (const int connection = fds[0].get(); connection >= 0) {
            pools_[connection].connection = std::move(fds[0]);
        }
    }

    void serve(int connection) {
        while (true) {
            ServerRequest request;
            Descriptors fds;
            const ssize_t size = receive_request(connection, request, fds);
            if (size <= 0) {
                if (size == 0 || !would_block(errno)) {
                    kill_workers(connection);
                    pools_.erase(connection);
                    return;
                }
                break;
            }
            if (request.kind == ServerRequest::Kind::spawn) {
                spawn(connection, request.worker, fds);
            } else if (request.kind == ServerRequest::Kind::signal) {
                signal(connection, request.worker, request.signal);
            }
        }
        flush(pools_[connection]);
    }

    void spawn(int connection, std::uint32_t id, Descriptors& fds) {
        if (fds.back().get() < 0) {
            tell(connection, {ServerEvent::Kind::failed, id, 0, EMFILE});
            return;
        }
        const pid_t server = ::getpid();
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::signal(SIGINT, SIG_IGN);
            run_worker(server, std::move(fds[0]), std::move(fds[1]),
                       {std::move(fds[2]), std::move(fds[3])});
        }
        if (pid < 0) {
            tell(connection, {ServerEvent::Kind::failed, id, 0, errno});
            return;
        }
        workers_[pid] = {connection, id};
        tell(connection, {ServerEvent::Kind::started, id, pid, 0});
    }

    // A process that was not reaped keeps its number, so the signal reaches no other.
    void signal(int connection, std::uint32_t id, int number) {
        for (const auto& [pid, worker] : workers_) {
            if (worker.connection == connection && worker.id == id) {
                ::kill(pid, number);
            }
        }
    }

    void kill_workers(int connection) {
        for (auto& [pid, worker] : workers_) {
            if (worker.connection == connection) {
                ::kill(pid, SIGKILL);
                worker.connection = -1;  // the number may be given to another pool
            }
        }
    }

    void reap() {
        signalfd_siginfo info;
        while (::read(children_.get(), &info, sizeof info) > 0) {
        }
        int status = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            const auto found = workers_.find(pid);
            if (found != workers_.end()) {
                const Worker worker = found->second;
                workers_.erase(found);
                tell(worker.connection, {ServerEvent::Kind::exited, worker.id, pid, status});
            }
        }
    }

    // Never waits: the pool may be waiting for the server.
    void tell(int connection, const ServerEvent& event) {
        const auto found = pools_.find(connection);
        if (found != pools_.end()) {
            found->second.unsent.push_back(event);
            flush(found->second);
        }
    }

    static void flush(Pool& pool) {
        while (!pool.unsent.empty() &&
               ::send(pool.connection.get(), &pool.unsent.front(), sizeof(ServerEvent),
                      MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
            pool.unsent.pop_front();
        }
    }

    [[noreturn]] void end() {
        for (const auto& [pid, worker] : workers_) {
            ::kill(pid, SIGKILL);
        }
        ::_exit(0);
    }

    UniqueFd control_;
    UniqueFd program_;
    UniqueFd children_;
    std::unordered_map<int, Pool> pools_;  // by descriptor
    std::unordered_map<pid_t, Worker> workers_;
};

// A program may have closed its standard descriptors, and then their numbers are given to others:
// what a function prints would go to them.
void leave_standard_numbers(UniqueFd& fd) noexcept {
    if (fd.get() >= 0 && fd.get() <= STDERR_FILENO) {
        fd = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    }
}

// Standard input is empty. What `exec` would close is no standard file, though it has such a
// number.
void fill_standard_numbers() noexcept {
    UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    leave_standard_numbers(nothing);
    if (nothing.get() < 0) {
        return;  // the program's root folder has no such file
    }
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        const int flags = ::fcntl(number, F_GETFD);
        if (number == STDIN_FILENO || flags < 0 || (flags & FD_CLOEXEC) != 0) {
            ::dup2(nothing.get(), number);
        }
    }
}

[[noreturn]] void run_server(UniqueFd control, UniqueFd program) noexcept {
    ::prctl(PR_SET_NAME, "asyncio-server");
    // What asks to end is blocked: the program may have more to do before it ends, and this process
    // ends with it. If it were ignored, so would be what a pool sends to a process that has just
    // been forked.
    sigset_t blocked;
    ::sigemptyset(&blocked);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) {
        ::sigaddset(&blocked, number);
    }
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
    for (int number = 1; number < NSIG; ++number) {
        ::signal(number, SIG_DFL);
    }
    leave_standard_numbers(control);
    leave_standard_numbers(program);
    fill_standard_numbers();
    close_descriptors_but({control.get(), program.get()});
    try {
        Server(std::move(control), std::move(program)).run();
    } catch (...) {
        ::_exit(1);
    }
}

// ---- the program's side

struct Client {
    std::mutex mutex;
    UniqueFd control;
    pid_t pid = 0;
};

Client& client() {
    static auto* const owned = new Client;  // copies of the program leave it alone
    return *owned;
}

// What a fork of the program inherits is not its own.
void forget_server() noexcept {
    new (&client().mutex) std::mutex;
    client().control = UniqueFd();
    client().pid = 0;
}

std::pair<UniqueFd, UniqueFd> packets() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Requires: the mutex is held, and a server that was there before has ended, or is about to.
void start(Client& owned) {
    if (const int threads = count_threads(); threads > 1) {
        const std::string count = std::to_string(threads);
        throw RuntimeError(
            owned.control.get() >= 0
                ? "the server of process pools has ended, and no other can be started because the "
                  "program has " +
                      count + " threads now"
                : "the server of process pools must be started before the program has other "
                  "threads, and it has " +
                      count +
                      " now: call asyncio::start_process_server() first in main, or make the first "
                      "ProcessPoolExecutor earlier");
    }
    if (owned.pid != 0) {
        uninterrupted([&] { return ::waitpid(owned.pid, nullptr, 0); });
    }
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, &forget_server);
    auto [ours, theirs] = packets();
    UniqueFd program(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    const pid_t pid = fork_program();
    if (pid == 0) {
        run_server(std::move(theirs), std::move(program));
    }
    owned.control = std::move(ours);
    owned.pid = pid;
}

bool has_ended(Client& owned) noexcept {
    if (owned.pid == 0 || ::waitpid(owned.pid, nullptr, WNOHANG) == 0) {
        return owned.pid == 0;
    }
    owned.pid = 0;
    return true;
}

}  // namespace

bool send_request(int connection, const ServerRequest& request, const int* fds,
                  std::size_t fd_count) noexcept {
    iovec part{const_cast<ServerRequest*>(&request), sizeof request};
    alignas(cmsghdr) char control[CMSG_SPACE(fds_max * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        std::memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    return uninterrupted([&] { return ::sendmsg(connection, &message, MSG_NOSIGNAL); }) >= 0;
}

UniqueFd connect_to_server() {
    Client& owned = client();
    const std::lock_guard lock(owned.mutex);
    auto [ours, theirs] = packets();
    const auto connect = [&owned, fd = theirs.get()] {
        return send_request(owned.control.get(), {.kind = ServerRequest::Kind::connect}, &fd, 1);
    };
    bool connected = !has_ended(owned) && connect();
    if (!connected && (owned.pid == 0 || errno == EPIPE)) {
        start(owned);
        connected = connect();
    }
    if (!connected) {
        throw_errno("cannot reach the server of process pools");
    }
    return std::move(ours);
}

}  // namespace detail

void start_process_server() { detail::connect_to_server(); }

}  // namespace asyncio::inline v0
