// Which call goes to which process, and what happens when one ends. Follows CPython's
// concurrent/futures/process.py in what users see.
#include "exec/process_pool.hpp"

#include <asyncio/log.hpp>

#include "base/processors.hpp"
#include "exec/process_copy.hpp"
#include "io/pipe.hpp"
#include "io/system_call.hpp"
#include "io/thread.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace asyncio::inline v0 {

namespace detail {

namespace {

// What epoll tells, beside the numbers of workers, which begin at 1.
constexpr std::uint32_t server_key = 0;
constexpr std::uint32_t end_key = ~0U;

std::size_t checked_workers(const ProcessPoolOptions& options) {
    if (options.max_workers == std::size_t{0}) {
        throw ValueError("max_workers must be greater than 0");
    }
    if (options.max_tasks_per_child == std::size_t{0}) {
        throw ValueError("max_tasks_per_child must be greater than 0");
    }
    return options.max_workers.value_or(usable_processors());
}

std::string process_name(int pid) { return "process " + std::to_string(pid) + " of a pool"; }

void add_to_epoll(const UniqueFd& epoll, int fd, std::uint32_t key) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = key;
    check(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void remove_from_epoll(const UniqueFd& epoll, const UniqueFd& fd) noexcept {
    ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

void set_nonblocking(const UniqueFd& fd) { check(::fcntl(fd.get(), F_SETFL, O_NONBLOCK), "fcntl"); }

std::exception_ptr broken_pool(const std::string& text) {
    return std::make_exception_ptr(BrokenProcessPool(text));
}

// How many callers of this thread end calls of pools: one whose callback waits for a pool's end
// must not wait for itself.
thread_local std::size_t finishing_here = 0;

}  // namespace

// ---- a loop that drains

// Owns itself, until the pool has ended or the loop closes.
struct ProcessPool::LoopWatch final : CompositeNode {
    LoopWatch(EventLoop& loop, std::shared_ptr<ProcessPool> watched)
        : loop(loop), pool(std::move(watched)) {
        loop.add_reader(pool->fd(), [this] { ready(); });
        LoopAccess::composites(loop).push_back(*this);
    }
    ~LoopWatch() { loop.remove_reader(pool->fd()); }

    void ready() {
        pool->drain();
        if (pool->has_ended()) {
            unlink();
            detach();
        }
    }
    void detach() noexcept override {
        {
            const std::lock_guard lock(pool->mutex_);
            std::erase(pool->loops_, &loop);
        }
        delete this;
    }

    EventLoop& loop;
    const std::shared_ptr<ProcessPool> pool;
};

// ---- making and watching

ProcessPool::ProcessPool(ProcessPoolOptions options)
    : options_(std::move(options)), workers_max_(checked_workers(options_)),
      epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      connection_(connect_to_server()),
      end_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    idle_.reserve(workers_max_);
    add_to_epoll(epoll_, connection_.get(), server_key);
    add_to_epoll(epoll_, end_.get(), end_key);
}

ProcessPool::~ProcessPool() = default;

void ProcessPool::watch(EventLoop& loop) {
    {
        const std::lock_guard lock(mutex_);
        if (ended_ || std::ranges::find(loops_, &loop) != loops_.end()) {
            return;
        }
        loops_.push_back(&loop);
    }
    try {
        new LoopWatch(loop, shared_from_this());
    } catch (...) {
        const std::lock_guard lock(mutex_);
        std::erase(loops_, &loop);
        throw;
    }
}

void ProcessPool::watch_by_thread() {
    const std::lock_guard lock(mutex_);
    if (has_thread_ || ended_) {
        return;
    }
    start_thread("ProcessPool", [self = shared_from_this()] { self->wait_ended(); }).detach();
    has_thread_ = true;
}

void ProcessPool::wait_ended() noexcept {
    while (!has_ended()) {
        epoll_event event{};
        uninterrupted([&] { return ::epoll_wait(epoll_.get(), &event, 1, -1); });
        drain();
    }
    Lock lock(mutex_);
    finished_.wait(lock, [this] { return finishing_ <= finishing_here; });
}

bool ProcessPool::has_ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
}

void ProcessPool::note_end() noexcept {
    if (!ended_ && shut_down_ && queue_.empty() && workers_.empty()) {
        ended_ = true;
        // A fork of the program may have copies: closing alone would do neither.
        remove_from_epoll(epoll_, connection_);
        ::shutdown(connection_.get(), SHUT_RDWR);
        connection_ = UniqueFd();
        ::eventfd_write(end_.get(), 1);
    }
}

// ---- calls

std::size_t ProcessPool::new_batch() noexcept {
    const std::lock_guard lock(mutex_);
    return ++batches_;
}

void ProcessPool::check_open() const {
    if (!broken_.empty()) {
        throw BrokenProcessPool("the pool is broken: " + broken_);
    }
    if (shut_down_) {
        throw RuntimeError("cannot schedule new futures after shutdown");
    }
}

void ProcessPool::add(std::span<RemoteCall* const> calls) {
    if (calls.empty()) {
        return;
    }
    Lock lock(mutex_);
    check_open();
    if (idle_.empty() && may_spawn()) {
        const std::string reason = spawn_worker();
        if (!reason.empty() && workers_.empty()) {
            throw BrokenProcessPool("no process can be started: " + reason);
        }
    }
    for (RemoteCall* const call : calls) {
        call->state().set_queue(std::shared_ptr<JobQueue>(shared_from_this(), call));
        call->state().retain();  // the queue's reference
        call->set_queued(true);
        queue_.push_back(*call);
    }
    advance(lock);
}

void ProcessPool::withdraw(RemoteCall& call) noexcept {
    {
        Lock lock(mutex_);
        if (!call.queued()) {
            return;  // a worker has it, and will see that it is cancelled
        }
        call.set_queued(false);
        call.unlink();
        if (queue_.empty() && shut_down_) {
            retire_idle();
            note_end();
        }
    }
    call.state().release();
}

void ProcessPool::take_batch(Worker& worker) noexcept {
    const RemoteCall::Group group = queue_.front().group();
    for (std::size_t i = 0; i < group.chunk && !queue_.empty(); ++i) {
        if (queue_.front().group().batch != group.batch) {
            break;
        }
        RemoteCall& call = queue_.pop_front();
        call.set_queued(false);
        worker.running.push_back(call);
    }
    worker.busy = true;
    worker.current = &worker.running.front();
}

std::size_t ProcessPool::write_calls(Worker& worker, Calls& ended) noexcept {
    std::uint64_t count = 0;
    SharedWriter writer(worker.inbox);
    const CallsHeader placeholder{&worker.running.front().function(), 0};
    writer.write(&placeholder, sizeof placeholder);
    worker.running.for_each([&](RemoteCall& call) {
        if (!call.state().begin()) {  // it was cancelled
            call.unlink();
            ended.push_back(call);  // `current` may be this one, so it lives until the lock is back
            return;
        }
        const std::size_t before = writer.size();
        try {
            writer.align(alignof(ArgumentsHeader));
            const std::size_t start = writer.size() + sizeof(ArgumentsHeader);
            ArgumentsHeader header{};
            writer.write(&header, sizeof header);
            call.write_arguments(writer);
            header.size = writer.size() - start;
            std::memcpy(worker.inbox.data() + start - sizeof header, &header, sizeof header);
            ++count;
        } catch (...) {
            worker.inbox.release(writer.size(), before);
            writer.rewind(before);
            call.state().receiver().error = std::current_exception();
            call.unlink();
            ended.push_back(call);
        }
    });
    const CallsHeader header{placeholder.function, count};
    std::memcpy(worker.inbox.data(), &header, sizeof header);
    return count == 0 ? 0 : writer.size();
}

void ProcessPool::read_results(Worker& worker, std::uint64_t size, Calls& ended) noexcept {
    try {
        Reader reader(worker.outbox.message(size));
        while (!worker.running.empty()) {
            RemoteCall& call = worker.running.front();
            Reply reply = read_reply(reader);
            try {
                if (reply.failed) {
                    call.state().receiver().error = read_error(reply.contents);
                } else {
                    call.read_result(reply.contents);
                }
            } catch (...) {
                call.state().receiver().error = std::current_exception();
            }
            call.unlink();
            ended.push_back(call);
        }
        worker.outbox.release(size);
    } catch (const std::exception& error) {
        worker.fault = error.what();
    }
}

void ProcessPool::finish(Lock& lock, Calls& ended) noexcept {
    if (ended.empty()) {
        lock.unlock();
        return;
    }
    ++finishing_;
    lock.unlock();
    ++finishing_here;
    while (!ended.empty()) {
        ThreadFutureState& state = ended.pop_front().state();
        if (!state.done()) {  // it was not cancelled
            state.finish();
        }
        state.release();
    }
    --finishing_here;
    lock.lock();
    --finishing_;
    finished_.notify_all();
    lock.unlock();
}

// ---- what to do next

void ProcessPool::advance(Lock& lock) noexcept {
    Calls ended;
    if (lost_server_) {
        break_down("the server of process pools has ended", SIGKILL, ended);
    }
    while (true) {
        if (const WorkerPtr worker = worker_with_news()) {
            if (worker->reply) {
                take_reply(*worker, lock, ended);
            } else {
                take_exit(worker, ended);
            }
        } else if (!start_next(lock, ended)) {
            break;
        }
    }
    note_end();
    finish(lock, ended);
}

ProcessPool::WorkerPtr ProcessPool::worker_with_news() noexcept {
    while (!news_.empty()) {
        const auto found = workers_.find(news_.back());
        news_.pop_back();
        if (found != workers_.end() && !found->second->in_use &&
            (found->second->reply || found->second->exit)) {
            return found->second;
        }
    }
    return nullptr;
}

// ---- what workers have sent

void ProcessPool::take_reply(Worker& worker, Lock& lock, Calls& ended) noexcept {
    const std::uint64_t size = *std::exchange(worker.reply, std::nullopt);
    worker.current = nullptr;
    if (worker.initialising) {
        take_initialised(worker, size, ended);
        return;
    }
    const std::size_t calls = worker.running.count();
    worker.in_use = true;
    lock.unlock();
    read_results(worker, size, ended);
    lock.lock();
    worker.in_use = false;
    note_news(worker);
    if (!worker.fault.empty()) {
        signal_worker(worker, SIGKILL);
        return;
    }
    worker.tasks += calls;
    make_idle(worker);
}

void ProcessPool::take_initialised(Worker& worker, std::uint64_t size, Calls& ended) noexcept {
    worker.initialising = false;
    try {
        Reader reader(worker.outbox.message(size));
        Reply reply = read_reply(reader);
        if (reply.failed) {
            std::rethrow_exception(read_error(reply.contents));
        }
    } catch (...) {
        break_down("the initializer of " + process_name(worker.pid) +
                       " has failed: " + describe_exception(std::current_exception()),
                   SIGKILL, ended);
        return;
    }
    make_idle(worker);
}

// The worker has nothing to do.
void ProcessPool::make_idle(Worker& worker) noexcept {
    worker.busy = false;
    starved_ = false;
    const bool is_worn =
        options_.max_tasks_per_child && worker.tasks >= *options_.max_tasks_per_child;
    if (is_worn || worker.killed || (shut_down_ && queue_.empty()) || !broken_.empty()) {
        retire(worker);
    } else {
        idle_.push_back(workers_.at(worker.id));
    }
}

bool ProcessPool::start_next(Lock& lock, Calls& ended) noexcept {
    if (queue_.empty()) {
        if (shut_down_) {
            retire_idle();
        }
        return false;
    }
    if (idle_.empty()) {
        if (may_spawn()) {
            const std::string reason = spawn_worker();
            if (!reason.empty() && workers_.empty()) {
                break_down("no process can be started: " + reason, SIGKILL, ended);
            }
        }
        return !idle_.empty();
    }
    const WorkerPtr worker = std::move(idle_.back());
    idle_.pop_back();
    take_batch(*worker);
    worker->in_use = true;
    lock.unlock();
    const std::size_t size = write_calls(*worker, ended);
    lock.lock();
    worker->in_use = false;
    note_news(*worker);
    if (size > 0) {
        worker->current = &worker->running.front();
        ring(*worker, size);
    } else {
        worker->current = nullptr;
        make_idle(*worker);
    }
    return true;
}

void ProcessPool::take_exit(const WorkerPtr& worker, Calls& ended) noexcept {
    std::erase(idle_, worker);
    workers_.erase(worker->id);
    hang_up(*worker);
    const bool was_expected = worker->killed || worker->retired;
    // It would not help to try again at once.
    starved_ = worker->exit->kind == ServerEvent::Kind::failed;
    std::string reason = describe_end(*worker);
    if (!worker->running.empty()) {
        reason += " while it ran " + std::string(worker->running.front().function().name);
    }
    while (!worker->running.empty()) {
        RemoteCall& call = worker->running.pop_front();
        call.state().receiver().error = broken_pool(reason);
        ended.push_back(call);
    }
    if (worker->initialising || (!was_expected && !options_.restart) ||
        (starved_ && workers_.empty())) {
        break_down(reason, SIGKILL, ended);
    }
}

std::string ProcessPool::describe_end(const Worker& worker) const {
    if (worker.exit->kind == ServerEvent::Kind::failed) {
        return "a process of a pool could not be started: " +
               std::generic_category().message(worker.exit->status);
    }
    std::string text = process_name(worker.pid);
    if (!worker.fault.empty()) {
        return text + " has sent what cannot be read (" + worker.fault + ")";
    }
    return text + (lost_server_ ? " has ended with the server of process pools"
                                : " " + describe_status(worker.exit->status));
}

// ---- workers

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
            worker->busy = worker->initialising = true;
            ring(*worker, write_initializer(*worker));
        }
        add_to_epoll(epoll_, worker->pipes.answers.get(), worker->id);
        const auto place = workers_.emplace(worker->id, worker).first;
        // The last thing that can fail: a process that was asked for comes, and has to be known.
        const ServerRequest request{.kind = ServerRequest::Kind::spawn, .worker = worker->id};
        if (!send_request(connection_.get(), request, fds, std::size(fds))) {
            const int error = errno;
            hang_up(*worker);
            workers_.erase(place);
            return std::generic_category().message(error);
        }
        if (!worker->busy) {
            idle_.push_back(worker);
        }
        return {};
    } catch (...) {
        return describe_exception(std::current_exception());
    }
}

std::size_t ProcessPool::write_initializer(Worker& worker) {
    SharedWriter writer(worker.inbox);
    const CallsHeader calls{&options_.initializer.function(), 1};
    writer.write(&calls, sizeof calls);
    writer.align(alignof(ArgumentsHeader));
    ArgumentsHeader header{};
    const std::size_t start = writer.size();
    writer.write(&header, sizeof header);
    options_.initializer.write_arguments(writer);
    header.size = writer.size() - start - sizeof header;
    std::memcpy(worker.inbox.data() + start, &header, sizeof header);
    return writer.size();
}

// Tells the process that a message is there.
void ProcessPool::ring(const Worker& worker, std::size_t size) noexcept {
    const Doorbell bell{size};
    if (::write(worker.pipes.bell.get(), &bell, sizeof bell) < 0) {
        signal_worker(worker, SIGKILL);  // the kernel has no memory
    }
}

void ProcessPool::hang_up(Worker& worker) noexcept {
    if (worker.pipes.bell.get() < 0) {
        return;
    }
    remove_from_epoll(epoll_, worker.pipes.answers);
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

void ProcessPool::break_down(const std::string& reason, int signal, Calls& ended) noexcept {
    if (!broken_.empty()) {
        return;
    }
    broken_ = reason;
    while (!queue_.empty()) {
        RemoteCall& call = queue_.pop_front();
        call.set_queued(false);
        if (call.state().begin()) {
            call.state().receiver().error = broken_pool("the pool is broken: " + reason);
            ended.push_back(call);
        } else {
            call.state().release();  // it was cancelled at this moment
        }
    }
    signal_all(signal);
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
    const std::lock_guard lock(mutex_);
    for (const auto& [id, worker] : workers_) {
        if (worker->current == &call) {
            worker->killed = true;
            signal_worker(*worker, SIGKILL);
        }
    }
}

void ProcessPool::end_workers(int signal) noexcept {
    Lock lock(mutex_);
    shut_down_ = true;
    Calls ended;
    if (broken_.empty()) {
        break_down("its processes were ended by the program", signal, ended);
    } else {
        signal_all(signal);  // some may have ignored an earlier one
    }
    note_end();
    finish(lock, ended);
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
    constexpr int events_max = 64;
    epoll_event events[events_max];
    Lock lock(mutex_);
    const int count = ::epoll_wait(epoll_.get(), events, events_max, 0);
    for (int i = 0; i < count; ++i) {
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
    if (size == sizeof bell && worker.busy && !worker.reply) {
        worker.reply = bell.size;
        note_news(worker);
    } else if (size >= 0 || !would_block(errno)) {
        // If it has ended, the server will tell how. Else it does what it should not.
        remove_from_epoll(epoll_, worker.pipes.answers);
        signal_worker(worker, SIGKILL);
    }
}

void ProcessPool::receive_events() noexcept {
    while (true) {
        ServerEvent event;
        const ssize_t size = uninterrupted(
            [&] { return ::recv(connection_.get(), &event, sizeof event, MSG_DONTWAIT); });
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
    remove_from_epoll(epoll_, connection_);
    for (const auto& [id, worker] : workers_) {
        if (!worker->exit) {
            receive_bell(id);  // its last words
            worker->exit = {ServerEvent::Kind::exited, id, worker->pid, SIGKILL};
            note_news(*worker);
        }
    }
    lost_server_ = true;
}

// ---- shutting down

void ProcessPool::shut_down(bool cancel_calls) noexcept {
    Lock lock(mutex_);
    shut_down_ = true;
    while (cancel_calls && !queue_.empty()) {
        RemoteCall& call = queue_.pop_front();
        call.set_queued(false);
        lock.unlock();
        call.state().cancel();
        call.state().release();
        lock.lock();
    }
    advance(lock);
}

bool ProcessPool::is_shut_down() {
    const std::lock_guard lock(mutex_);
    return shut_down_;
}

// ---- the templates' door

void RemoteCall::withdraw(ThreadFutureState&) noexcept { pool_->withdraw(*this); }

namespace {

// What a fork of the program did to a pool, would happen to the program's.
ProcessPool& own(ProcessPool& pool) {
    if (pool.is_forked()) {
        throw RuntimeError("the pool belongs to the process that made it, not to a fork of that");
    }
    return pool;
}

}  // namespace

std::size_t ProcessCalls::new_batch() noexcept { return pool_->new_batch(); }
void ProcessCalls::add(std::span<RemoteCall* const> calls) { own(*pool_).add(calls); }
void ProcessCalls::watch(EventLoop& loop) { own(*pool_).watch(loop); }
void ProcessCalls::watch_by_thread() { own(*pool_).watch_by_thread(); }
void ProcessCalls::kill(ProcessPool& pool, ThreadFutureState& call) noexcept {
    pool.kill(dynamic_cast<RemoteCall&>(call));
}

}  // namespace detail

// ---- the public door

ProcessPoolExecutor::ProcessPoolExecutor(ProcessPoolOptions options)
    : calls_(std::make_shared<detail::ProcessPool>(std::move(options))) {}

ProcessPoolExecutor::~ProcessPoolExecutor() {
    if (!calls_.pool().is_forked() && !calls_.pool().is_shut_down()) {
        shutdown();
    }
}

void ProcessPoolExecutor::shutdown(bool wait, bool cancel_futures) {
    detail::own(calls_.pool()).shut_down(cancel_futures);
    if (wait) {
        calls_.pool().wait_ended();
    } else {
        calls_.watch_by_thread();  // somebody must see the calls end
    }
}

void ProcessPoolExecutor::terminate_workers() {
    detail::own(calls_.pool()).end_workers(SIGTERM);
    calls_.watch_by_thread();  // as in shutdown
}

void ProcessPoolExecutor::kill_workers() {
    detail::own(calls_.pool()).end_workers(SIGKILL);
    calls_.watch_by_thread();
}

std::vector<int> ProcessPoolExecutor::processes() const { return calls_.pool().processes(); }

void ProcessPoolExecutor::check_chunk(std::size_t chunksize) {
    if (chunksize == 0) {
        throw ValueError("chunksize must be greater than 0");
    }
}

}  // namespace asyncio::inline v0
