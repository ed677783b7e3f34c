// The processes of a pool: how they begin, are told what to do, and end; what comes from them.
#include "exec/process_pool.hpp"
#include "io/pipe.hpp"
#include "io/system_call.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

namespace asyncio::inline v0 {
namespace detail {

namespace {

void set_nonblocking(const UniqueFd& fd) { check(::fcntl(fd.get(), F_SETFL, O_NONBLOCK), "fcntl"); }

}  // namespace

// ---- beginning and ending

bool ProcessPool::may_spawn() const noexcept { return workers_.size() < workers_max_ && !starved_; }

std::string ProcessPool::spawn_worker() noexcept {
    try {
        const auto worker = std::make_shared<Worker>(++spawned_);
        PipeEnds bell = make_pipe();
        PipeEnds answers = make_pipe();
        set_nonblocking(bell.writer);
        set_nonblocking(answers.reader);
        worker->pipes = {std::move(bell.writer), std::move(bell.reader), std::move(answers.reader)};
        const int fds[] = {worker->pipes.bell_end.get(), answers.writer.get(), worker->inbox.fd(),
                           worker->outbox.fd()};
        if (options_.initializer) {
            worker->is_initialising = true;
            ring(*worker, write_initializer(*worker));
        }
        epoll_.add(worker->pipes.answers, worker->id);
        const auto place = workers_.emplace(worker->id, worker).first;
        // The last thing that can fail: a process that was asked for comes, and has to be known.
        const ServerRequest request{.kind = ServerRequest::Kind::spawn, .worker = worker->id};
        if (!send_request(connection_.get(), request, fds, std::size(fds))) {
            const int error = errno;
            hang_up(*worker);
            workers_.erase(place);
            return std::generic_category().message(error);
        }
        if (!worker->is_initialising) {
            idle_.push_back(worker);
        }
        return {};
    } catch (...) {
        return describe_exception(std::current_exception());
    }
}

// Tells the process that a message is there.
void ProcessPool::ring(Worker& worker, std::size_t size) noexcept {
    const Doorbell bell{size};
    worker.is_asked = true;
    if (::write(worker.pipes.bell.get(), &bell, sizeof bell) < 0) {
        signal_worker(worker, SIGKILL);  // the kernel has no memory
    }
}

void ProcessPool::hang_up(Worker& worker) noexcept {
    if (worker.pipes.bell.get() < 0) {
        return;
    }
    epoll_.remove(worker.pipes.answers);
    ring(worker, last_bell.size);
    worker.pipes = Pipes();
}

// Its process ends when it notices, which is at once if it is idle.
void ProcessPool::retire(Worker& worker) noexcept {
    worker.retired = true;
    hang_up(worker);
}

void ProcessPool::retire_idle() noexcept {
    for (const WorkerPtr& worker : idle_) {
        retire(*worker);
    }
    idle_.clear();
}

void ProcessPool::signal_all(int number) noexcept {
    for (const auto& [id, worker] : workers_) {
        signal_worker(*worker, number);
    }
}

void ProcessPool::signal_worker(const Worker& worker, int number) noexcept {
    send_request(connection_.get(),
                 {.kind = ServerRequest::Kind::signal, .worker = worker.id, .signal = number});
}

void ProcessPool::kill(const RemoteCall& call) noexcept {
    if (is_forked()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [id, worker] : workers_) {
        if (worker->current == &call) {
            worker->killed = true;
            signal_worker(*worker, SIGKILL);
        }
    }
    for (const WorkerPtr& worker : stranded_) {
        worker->killed |= worker->current == &call;
    }
}

std::vector<int> ProcessPool::processes() {
    const std::lock_guard lock(mutex_);
    std::vector<int> numbers;
    for (const auto& [id, worker] : workers_) {
        if (worker->pid != 0) {
            numbers.push_back(worker->pid);
        }
    }
    return numbers;
}

// ---- what comes

void ProcessPool::note_news(Worker& worker) noexcept {
    if (worker.reply || worker.exit) {
        news_.push_back(worker.id);
    }
}

void ProcessPool::drain() noexcept {
    constexpr std::size_t events_max = 64;
    epoll_event events[events_max];
    Lock lock(mutex_);
    const std::size_t count = epoll_.wait(events, 0);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t key = events[i].data.u32;
        if (key == server_key) {
            receive_events();
        } else if (key != end_key) {
            receive_bell(key);
        }
    }
    advance(lock);
}

void ProcessPool::receive_bell(std::uint32_t id) noexcept {
    const auto found = workers_.find(id);
    if (found == workers_.end() || found->second->pipes.answers.get() < 0) {
        return;
    }
    Worker& worker = *found->second;
    Doorbell bell{};
    const ssize_t size = uninterrupted([&] {
        // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): it does not wait
        return ::read(worker.pipes.answers.get(), &bell, sizeof bell);
    });
    if (size == sizeof bell && std::exchange(worker.is_asked, false)) {
        worker.reply = bell.size;
        note_news(worker);
    } else if (size > 0) {
        note_fault(worker, "it has answered, and nothing was asked");
    } else if (size == 0 || !would_block(errno)) {
        epoll_.remove(worker.pipes.answers);  // the server will tell how it has ended
    }
}

// The worker gets no calls any more, and the one that it has fails when its process has ended.
void ProcessPool::note_fault(Worker& worker, std::string fault) noexcept {
    worker.fault = std::move(fault);
    std::erase_if(idle_, [&](const WorkerPtr& idle) { return idle.get() == &worker; });
    epoll_.remove(worker.pipes.answers);
    signal_worker(worker, SIGKILL);
}

void ProcessPool::receive_events() noexcept {
    while (true) {
        ServerEvent event;
        const ssize_t size = uninterrupted([&] {
            // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): it does not wait
            return ::recv(connection_.get(), &event, sizeof event, MSG_DONTWAIT);
        });
        if (size != sizeof event) {
            if (size == 0 || (size < 0 && !would_block(errno))) {
                lose_server();
            }
            return;
        }
        const auto found = workers_.find(event.worker);
        if (found == workers_.end()) {
            continue;
        }
        Worker& worker = *found->second;
        if (event.kind == ServerEvent::Kind::started) {
            worker.pid = event.pid;
            continue;
        }
        receive_bell(event.worker);  // its last words
        worker.exit = event;
        note_news(worker);
    }
}

// Its processes have been ended with it.
void ProcessPool::lose_server() noexcept {
    epoll_.remove(connection_);
    for (const auto& [id, worker] : workers_) {
        if (!worker->exit) {
            receive_bell(id);  // its last words
            worker->exit = {ServerEvent::Kind::exited, id, worker->pid, SIGKILL};
            note_news(*worker);
        }
    }
    lost_server_ = true;
}

}  // namespace detail
}  // namespace asyncio::inline v0
