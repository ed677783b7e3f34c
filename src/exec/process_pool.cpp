// Which call goes to which process, and what happens when one ends. Follows CPython's
// concurrent/futures/process.py in what users see.
#include "exec/process_pool.hpp"

#include <asyncio/log.hpp>

#include "base/processors.hpp"
#include "exec/process_copy.hpp"
#include "io/system_call.hpp"
#include "io/thread.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace asyncio::inline v0 {
namespace detail {

namespace {

std::size_t checked_workers(const ProcessPoolOptions& options) {
    if (options.max_workers == std::size_t{0}) {
        throw ValueError("max_workers must be greater than 0");
    }
    if (options.max_tasks_per_child == std::size_t{0}) {
        throw ValueError("max_tasks_per_child must be greater than 0");
    }
    return options.max_workers.value_or(usable_processors());
}

// A process may have answered before the server has told its number.
std::string process_name(int pid) {
    return (pid == 0 ? "a process" : "process " + std::to_string(pid)) + " of a pool";
}

std::exception_ptr broken_pool(const std::string& text) {
    return std::make_exception_ptr(BrokenProcessPool(text));
}

// How many callers of this thread end calls of pools. A callback that waits for a pool's end must
// wait for no callbacks: neither for itself, nor for one that waits as it does.
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
        if (!pool->is_forked()) {
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
      connection_(connect_to_server()),
      end_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    idle_.reserve(workers_max_);
    epoll_.add(connection_, server_key);
    epoll_.add(end_, end_key);
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
        epoll_event event[1];
        epoll_.wait(event);
        drain();
    }
    if (finishing_here == 0) {
        Lock lock(mutex_);
        finished_.wait(lock, [this] { return finishing_ == 0; });
    }
}

bool ProcessPool::has_ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
}

void ProcessPool::note_end() noexcept {
    if (!ended_ && shut_down_ && !has_work() && workers_.empty()) {
        ended_ = true;
        // A fork of the program may have copies.
        epoll_.remove(connection_);
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
    if (workers_.empty()) {
        if (const std::string reason = spawn_worker(); !reason.empty()) {
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
    if (is_forked()) {
        return;
    }
    {
        Lock lock(mutex_);
        if (!call.queued()) {
            return;  // a worker has it, and will see that it is cancelled
        }
        call.set_queued(false);
        call.unlink();
        if (shut_down_ && !has_work()) {
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
    worker.current = &worker.running.front();
}

// Bytes mean the same wherever they lie.
bool ProcessPool::take_stranded(Worker& worker, Calls& ended) noexcept {
    const WorkerPtr stranded = std::move(stranded_.back());
    stranded_.pop_back();
    std::exception_ptr error = broken_pool("nobody waits for it any more");
    if (!stranded->killed) {
        try {
            worker.inbox.reserve(stranded->message_size);
            std::memcpy(worker.inbox.data(), stranded->inbox.data(), stranded->message_size);
            worker.running.splice_back(stranded->running);
            worker.current = &worker.running.front();
            worker.message_size = stranded->message_size;
            ring(worker, worker.message_size);
            return true;
        } catch (...) {
            error = std::current_exception();
        }
    }
    fail_running(*stranded, error, ended);
    return false;
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
    const std::size_t calls = worker.running.count();
    std::string failure;
    std::string fault;
    worker.current = nullptr;
    worker.in_use = true;
    lock.unlock();
    if (worker.is_initialising) {
        failure = read_initialised(worker, size);
    } else {
        fault = read_results(worker, size, ended);
    }
    lock.lock();
    worker.in_use = false;
    worker.is_initialising = false;
    note_news(worker);
    if (!failure.empty()) {
        break_down("the initializer of " + process_name(worker.pid) + " has failed: " + failure,
                   SIGKILL, ended);
        retire(worker);  // if the pool was broken before, nobody has ended it
    } else if (!fault.empty()) {
        note_fault(worker, std::move(fault));
    } else if (worker.fault.empty()) {
        worker.tasks += calls;
        make_idle(worker);
    }
}

// The worker has nothing to do.
void ProcessPool::make_idle(Worker& worker) noexcept {
    ASYNCIO_ASSERT(!worker.is_asked && !worker.reply);
    starved_ = false;
    const bool is_worn =
        options_.max_tasks_per_child && worker.tasks >= *options_.max_tasks_per_child;
    if (is_worn || worker.killed || (shut_down_ && !has_work()) || !broken_.empty()) {
        retire(worker);
    } else {
        idle_.push_back(workers_.at(worker.id));
    }
}

bool ProcessPool::start_next(Lock& lock, Calls& ended) noexcept {
    if (!has_work()) {
        if (shut_down_) {
            retire_idle();
        }
        return false;
    }
    if (idle_.empty()) {
        if (may_spawn()) {
            const std::string reason = spawn_worker();
            if (!reason.empty() && workers_.empty()) {
                do_without_workers("no process can be started: " + reason, ended);
            }
        }
        return !idle_.empty();
    }
    const WorkerPtr worker = std::move(idle_.back());
    idle_.pop_back();
    if (!stranded_.empty()) {
        if (!take_stranded(*worker, ended)) {
            make_idle(*worker);
        }
        return true;
    }
    take_batch(*worker);
    worker->in_use = true;
    lock.unlock();
    const std::size_t size = write_calls(*worker, ended);
    lock.lock();
    worker->in_use = false;
    note_news(*worker);
    worker->current = size > 0 ? &worker->running.front() : nullptr;
    worker->message_size = size;
    if (size > 0) {
        ring(*worker, size);
    } else if (worker->fault.empty()) {
        make_idle(*worker);
    }
    return true;
}

void ProcessPool::take_exit(const WorkerPtr& worker, Calls& ended) noexcept {
    std::erase(idle_, worker);
    workers_.erase(worker->id);
    hang_up(*worker);
    // It would not help to try again at once.
    starved_ = worker->exit->kind == ServerEvent::Kind::failed;
    const bool others_may_help = starved_ && broken_.empty() && !workers_.empty();
    if (others_may_help) {
        if (!worker->running.empty()) {
            stranded_.push_back(worker);
        }
        return;
    }
    const std::string reason = describe_end(*worker);
    fail_running(*worker, broken_pool(reason), ended);
    const bool was_expected = worker->killed || worker->retired;
    if (starved_) {
        do_without_workers(reason, ended);
    } else if (worker->is_initialising || (!was_expected && !options_.restart)) {
        break_down(reason, SIGKILL, ended);
    }
}

void ProcessPool::fail_running(Worker& worker, const std::exception_ptr& error,
                               Calls& ended) noexcept {
    while (!worker.running.empty()) {
        RemoteCall& call = worker.running.pop_front();
        call.state().receiver().error = error;
        ended.push_back(call);
    }
}

std::string ProcessPool::describe_end(Worker& worker) const {
    if (worker.exit->kind == ServerEvent::Kind::failed) {
        return "a process of a pool could not be started: " +
               std::generic_category().message(worker.exit->status);
    }
    std::string text = process_name(worker.pid);
    if (!worker.fault.empty()) {
        text += " has sent what cannot be read (" + worker.fault + ")";
    } else if (lost_server_) {
        text += " has ended with the server of process pools";
    } else {
        text += " " + describe_status(worker.exit->status);
    }
    return worker.running.empty()
               ? text
               : text + " while it ran " + std::string(worker.running.front().function().name);
}

// ---- shutting down

void ProcessPool::break_down(const std::string& reason, int signal, Calls& ended) noexcept {
    if (!broken_.empty()) {
        return;
    }
    broken_ = reason;
    fail_waiting("the pool is broken: " + reason, ended);
    signal_all(signal);
}

void ProcessPool::fail_waiting(const std::string& reason, Calls& ended) noexcept {
    for (const WorkerPtr& worker : std::exchange(stranded_, {})) {
        fail_running(*worker, broken_pool(reason), ended);
    }
    while (!queue_.empty()) {
        RemoteCall& call = queue_.pop_front();
        call.set_queued(false);
        if (call.state().begin()) {
            call.state().receiver().error = broken_pool(reason);
        }
        ended.push_back(call);  // also if it was cancelled at this moment
    }
}

// There is none, and the system makes none. It may later.
void ProcessPool::do_without_workers(const std::string& reason, Calls& ended) noexcept {
    starved_ = false;
    if (options_.restart) {
        fail_waiting(reason, ended);
    } else {
        break_down(reason, SIGKILL, ended);
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
    retire_idle();  // they may ignore this one, too
    note_end();
    finish(lock, ended);
}

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

}  // namespace detail
}  // namespace asyncio::inline v0
