// The calls and the processes of a ProcessPoolExecutor.
#pragma once

#include <asyncio/process_pool.hpp>

#include "exec/epoll_set.hpp"
#include "exec/fork_count.hpp"
#include "exec/process_server.hpp"
#include "exec/process_worker.hpp"
#include "exec/shared_buffer.hpp"

#include <condition_variable>
#include <map>
#include <mutex>

namespace asyncio::inline v0 {
namespace detail {

/// The executor, the loops that wait for its calls, and its thread share it. None of them is
/// needed: whoever calls `drain` takes what the processes have sent, and gives them the next calls.
///
/// Invariants:
///  1. A call is in `queue_`, pending or about to be withdrawn, or in the `running` list of one
///     worker; the list owns a reference of its state. `queued()` of a call tells which.
///  2. A worker is idle (in `idle_`), busy, retired (its pipes are closed, and its process about to
///     end), or at fault. It leaves `workers_` when the server tells that its process has ended.
///     One that was sent SIGKILL gets no calls any more. It gets calls before its process is there;
///     if that cannot be made, the worker is in `stranded_` until another takes them.
///  3. Who has set `in_use` of a worker, under the mutex, has its memory and its `running` list to
///     himself without the mutex; what happens to the worker meanwhile waits in `reply`, `exit`.
///  4. A worker answers once for each bell that it is rung (`is_asked`), and anything else is a
///     fault: the answer to one call is never taken for that to another.
///  5. No code of users runs under the mutex, neither callbacks nor their types' functions; but
///     what writes the arguments of the initializer does.
///
/// Thread safety: any thread.
class ProcessPool final : public std::enable_shared_from_this<ProcessPool> {
public:
    explicit ProcessPool(ProcessPoolOptions options);
    ProcessPool(const ProcessPool&) = delete;
    ProcessPool& operator=(const ProcessPool&) = delete;
    ~ProcessPool();

    std::size_t new_batch() noexcept;
    void add(std::span<RemoteCall* const> calls);
    void withdraw(RemoteCall& call) noexcept;
    // Ends the process that runs the call, if one does.
    void kill(const RemoteCall& call) noexcept;

    // The loop will drain. Requires: the loop's thread.
    void watch(EventLoop& loop);
    // A thread of the pool's will.
    void watch_by_thread();
    // Readable when there is something to drain, and for ever once the pool has ended.
    int fd() const noexcept { return epoll_.fd(); }
    void drain() noexcept;

    // Whether this process is a fork of that which made the pool.
    bool is_forked() const noexcept { return forks_ != fork_count(); }

    void shut_down(bool cancel_calls) noexcept;
    bool is_shut_down();
    // No process is left, and none will be made.
    bool has_ended();
    // Drains until then. Requires: shut_down.
    void wait_ended() noexcept;
    void end_workers(int signal) noexcept;
    std::vector<int> processes();

private:
    using Lock = std::unique_lock<std::mutex>;
    using Calls = IntrusiveList<RemoteCall>;

    struct Pipes {
        UniqueFd bell;
        UniqueFd bell_end;  // the process's, lest a bell for one that has ended be a SIGPIPE
        UniqueFd answers;
    };
    struct Worker {
        explicit Worker(std::uint32_t id) : id(id) {}
        const std::uint32_t id;
        int pid = 0;  // 0 until the server has told
        Pipes pipes;
        SharedBuffer inbox;
        SharedBuffer outbox;
        Calls running;
        std::size_t tasks = 0;
        RemoteCall* current = nullptr;  // the first that runs, until its results come
        std::size_t message_size = 0;   // in the inbox
        bool is_initialising = false;
        bool is_asked = false;
        bool in_use = false;
        bool retired = false;
        bool killed = false;  // for a call that nobody waits for
        std::string fault;    // why what it has sent cannot be read
        std::optional<std::uint64_t> reply;
        std::optional<ServerEvent> exit;
    };
    using WorkerPtr = std::shared_ptr<Worker>;

    struct LoopWatch;

    // What the epoll set tells, beside the numbers of workers, which begin at 1.
    static constexpr std::uint32_t server_key = 0;
    static constexpr std::uint32_t end_key = ~0U;

    // The lock is held by these, and released while calls are written and read.
    void advance(Lock& lock) noexcept;
    WorkerPtr worker_with_news() noexcept;
    bool start_next(Lock& lock, Calls& ended) noexcept;
    void take_reply(Worker& worker, Lock& lock, Calls& ended) noexcept;
    void make_idle(Worker& worker) noexcept;
    void take_exit(const WorkerPtr& worker, Calls& ended) noexcept;
    std::string describe_end(Worker& worker) const;
    void note_news(Worker& worker) noexcept;
    bool may_spawn() const noexcept;
    bool has_work() const noexcept { return !queue_.empty() || !stranded_.empty(); }
    // Returns why there is no worker, or nothing.
    std::string spawn_worker() noexcept;
    std::size_t write_initializer(Worker& worker);
    void ring(Worker& worker, std::size_t size) noexcept;
    void hang_up(Worker& worker) noexcept;
    void retire(Worker& worker) noexcept;
    void retire_idle() noexcept;
    void break_down(const std::string& reason, int signal, Calls& ended) noexcept;
    void fail_waiting(const std::string& reason, Calls& ended) noexcept;
    static void fail_running(Worker& worker, const std::exception_ptr& error,
                             Calls& ended) noexcept;
    void do_without_workers(const std::string& reason, Calls& ended) noexcept;
    void note_end() noexcept;
    void signal_worker(const Worker& worker, int number) noexcept;
    void signal_all(int number) noexcept;
    void receive_bell(std::uint32_t id) noexcept;
    void note_fault(Worker& worker, std::string fault) noexcept;
    void receive_events() noexcept;
    void lose_server() noexcept;
    void check_open() const;
    void take_batch(Worker& worker) noexcept;
    bool take_stranded(Worker& worker, Calls& ended) noexcept;

    // Requires: in_use. The size of what was written, 0 if there is nothing to do.
    static std::size_t write_calls(Worker& worker, Calls& ended) noexcept;
    // Why it cannot be read, or nothing.
    static std::string read_results(Worker& worker, std::uint64_t size, Calls& ended) noexcept;
    // Why the initializer has failed, or nothing.
    static std::string read_initialised(Worker& worker, std::uint64_t size) noexcept;
    // Releases the lock.
    void finish(Lock& lock, Calls& ended) noexcept;

    const ProcessPoolOptions options_;
    const std::size_t workers_max_;

    std::mutex mutex_;
    // Guarded by mutex_.
    EpollSet epoll_;
    UniqueFd connection_;
    UniqueFd end_;  // an event descriptor, set once the pool has ended
    Calls queue_;
    std::map<std::uint32_t, WorkerPtr> workers_;
    std::vector<WorkerPtr> idle_;
    std::vector<std::uint32_t> news_;  // of workers with a reply or an exit, perhaps
    std::vector<EventLoop*> loops_;
    std::vector<WorkerPtr> stranded_;
    std::size_t batches_ = 0;
    std::uint32_t spawned_ = 0;
    const std::uint32_t forks_ = fork_count();
    std::size_t finishing_ = 0;  // threads that end calls at this moment
    std::condition_variable finished_;
    bool starved_ = false;  // the server could make no process: wait for one to be idle, or to end
    bool has_thread_ = false;
    bool shut_down_ = false;
    bool ended_ = false;
    bool lost_server_ = false;
    std::string broken_;  // why, if it is
};

}  // namespace detail
}  // namespace asyncio::inline v0
