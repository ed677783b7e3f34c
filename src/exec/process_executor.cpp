// The doors of process pools: what programs call, and what templates do.
#include "exec/process_pool.hpp"

#include <signal.h>

namespace asyncio::inline v0 {

namespace detail {

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
    if (!wait) {
        calls_.watch_by_thread();  // somebody must see the calls end
    }
    detail::own(calls_.pool()).shut_down(cancel_futures);
    if (wait) {
        calls_.pool().wait_ended();
    }
}

void ProcessPoolExecutor::terminate_workers() {
    calls_.watch_by_thread();  // as in shutdown
    calls_.pool().end_workers(SIGTERM);
}

void ProcessPoolExecutor::kill_workers() {
    calls_.watch_by_thread();
    calls_.pool().end_workers(SIGKILL);
}

std::vector<int> ProcessPoolExecutor::processes() const {
    return detail::own(calls_.pool()).processes();
}

void ProcessPoolExecutor::check_chunk(std::size_t chunksize) {
    if (chunksize == 0) {
        throw ValueError("chunksize must be greater than 0");
    }
}

}  // namespace asyncio::inline v0
