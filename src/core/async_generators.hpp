// The asynchronous generators that were begun on one loop.
#pragma once

#include <asyncio/async_generator.hpp>
#include <asyncio/task.hpp>

#include <memory>
#include <mutex>

namespace asyncio::inline v0 {
namespace detail {

// Generators share it with their loop, because they may be dropped by another thread, and after the
// loop has gone.
//
// Invariants:
//  1. `live_` holds the generators that have begun, have not ended, and that the loop has not begun
//     to close, also those that were dropped.
//  2. `loop_` is null from the moment the loop's tasks are destroyed. It is written under the
//  mutex.
//
// Thread safety: loop thread only, except `schedule`.
class AsyncGenerators {
public:
    explicit AsyncGenerators(EventLoop& loop) noexcept : loop_(&loop) {}

    // A generator begins.
    static std::unique_ptr<GeneratorLife> add(EventLoop& loop, GeneratorFrame& frame);
    // Has the loop close one that was dropped, and owns it from then on. False if it is too late.
    bool schedule(GeneratorLife& life) noexcept;
    void start_closer(std::unique_ptr<GeneratorLife> life);
    // Closes all.
    static Coro<void> shut_down(EventLoop& loop);
    void close() noexcept;

    bool empty() const noexcept { return live_.empty(); }

private:
    static const std::shared_ptr<AsyncGenerators>& of(EventLoop& loop);
    static Coro<void> close_dropped(std::unique_ptr<GeneratorLife> life);
    Coro<void> close_one();

    std::mutex mutex_;
    EventLoop* loop_;
    IntrusiveList<GeneratorFrame> live_;
    bool shut_down_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
