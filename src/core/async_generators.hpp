// The asynchronous generators that were begun on one loop.
#pragma once

#include <asyncio/async_generator.hpp>
#include <asyncio/task.hpp>

#include <memory>
#include <mutex>
#include <unordered_set>

namespace asyncio::inline v0 {
namespace detail {

// Generators share it with their loop, because they may be dropped by another thread, and after the
// loop has gone.
//
// Invariants:
//  1. `live_` holds the generators that have begun, have not ended, and are not claimed.
//  2. `closers_` holds the tasks that close dropped generators.
//  3. `loop_` is null from the moment the loop begins to close. It is written under the mutex.
//
// Thread safety: loop thread only, except `drop` and `ended`.
class AsyncGenerators {
public:
    static std::shared_ptr<AsyncGenerators> of(EventLoop& loop);
    explicit AsyncGenerators(EventLoop& loop) noexcept : loop_(&loop) {}

    // A generator begins. Returns what it shares with its handle.
    static std::shared_ptr<GeneratorLife> add(EventLoop& loop, GeneratorFrame& frame);
    // The handle has gone: has the loop close the generator.
    void drop(std::shared_ptr<GeneratorLife> life) noexcept;
    void ended(GeneratorFrame& frame) noexcept;
    // Closes all, and waits for the closers.
    static Coro<void> shut_down(std::shared_ptr<AsyncGenerators> self);
    void close() noexcept;

    bool empty() noexcept { return live_.empty() && closers_.empty(); }
    bool is_closer(const AnyFuture& task) const { return closers_.contains(task); }

private:
    struct Dropped;
    void start_closer(Dropped dropped);
    static Coro<void> close_dropped(Dropped dropped);
    Coro<void> close_one();
    std::shared_ptr<GeneratorLife> claim_one();
    void give_back(const std::shared_ptr<GeneratorLife>& life);

    // Recursive: without memory, what cannot be handed to the loop ends on the spot, and may own
    // others.
    std::recursive_mutex mutex_;
    EventLoop* loop_;
    IntrusiveList<GeneratorFrame> live_;
    std::unordered_set<AnyFuture> closers_;
    bool shut_down_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
