// staggered_race. Does what CPython's asyncio/staggered.py does, with a task for each attempt that
// is begun.
#include <asyncio/event_loop.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/staggered.hpp>
#include <asyncio/wait.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The attempts share it with the coroutine that waits for them, which may be destroyed earlier.
//
// Invariants:
//  1. `tasks_` holds the attempts that were begun, in order.
//  2. `next_` is set when the next attempt need not wait any longer: the latest has failed, or
//     somebody has won.
class Race : public std::enable_shared_from_this<Race> {
public:
    Race(RaceAttempt attempt, std::optional<Duration> delay)
        : attempt_(std::move(attempt)), delay_(delay) {}

    // Begins the attempts, as long as nobody has won.
    Coro<void> begin(std::size_t count) {
        for (std::size_t index = 0; index < count && !end_.winner; ++index) {
            next_.clear();
            end_.exceptions.emplace_back();
            tasks_.push_back(create_task(run(shared_from_this(), index)));
            co_await wait_to_begin_another();
        }
    }
    // All but the winner, who may be the one that calls.
    void cancel(const CancelMessage& message) {
        for (std::size_t index = 0; index < tasks_.size(); ++index) {
            if (index != end_.winner) {
                cancel_or_tear_out(HandleAccess::state(tasks_[index]), message);
            }
        }
    }
    bool ended() const {
        return std::all_of(tasks_.begin(), tasks_.end(),
                           [](const Task<void>& task) { return task.done(); });
    }
    Coro<void> wait_for_end() { co_await wait(tasks_); }
    RaceEnd take_end() {
        for (std::size_t index = 0; index < tasks_.size(); ++index) {
            if (tasks_[index].cancelled()) {  // before it began
                end_.exceptions[index] = std::make_exception_ptr(CancelledError());
            }
        }
        return std::move(end_);
    }

private:
    Coro<void> wait_to_begin_another() {
        if (!delay_) {
            co_await next_.wait();
            co_return;
        }
        try {
            co_await wait_for(next_.wait(), *delay_);
        } catch (const TimeoutError&) {  // NOLINT(bugprone-empty-catch)
            // The latest attempt takes its time: another one begins beside it.
        }
    }

    static Coro<void> run(std::shared_ptr<Race> race, std::size_t index) {
        RaceEnd& end = race->end_;
        try {
            co_await race->attempt_(index);
        } catch (const LoopBreak&) {
            throw;
        } catch (...) {
            end.exceptions[index] = std::current_exception();
            if (index + 1 == end.exceptions.size()) {
                race->next_.set();
            }
            co_return;
        }
        if (!end.winner) {
            end.winner = index;
            race->next_.set();
            race->cancel({});  // at once, so that none of the others succeeds in the meantime
        }
    }

    const RaceAttempt attempt_;
    const std::optional<Duration> delay_;
    std::vector<Task<void>> tasks_;
    RaceEnd end_;
    Event next_;
};

// Cancels the attempts if the coroutine that waits for them is destroyed.
class RaceScope {
public:
    RaceScope(Race& begun, EventLoop& of) noexcept : race_(begun), loop_(of) {}
    RaceScope(const RaceScope&) = delete;
    RaceScope& operator=(const RaceScope&) = delete;
    ~RaceScope() {
        if (!race_.ended() && !loop_.is_closed()) {
            race_.cancel({});
        }
    }

private:
    Race& race_;
    EventLoop& loop_;
};

}  // namespace

Coro<RaceEnd> staggered_race(std::size_t count, RaceAttempt attempt,
                             std::optional<Duration> delay) {
    if (delay && *delay < Duration::zero()) {
        throw ValueError("staggered_race() needs a delay of zero or more");
    }
    const auto shared = std::make_shared<Race>(std::move(attempt), delay);
    Race& race = *shared;
    const RaceScope scope(race, get_running_loop());
    std::exception_ptr interruption;
    try {
        co_await race.begin(count);
    } catch (const CancelledError& error) {
        interruption = std::current_exception();
        race.cancel(error.cancel_message());
    } catch (...) {
        interruption = std::current_exception();
        race.cancel({});
    }
    while (!race.ended()) {
        try {
            co_await race.wait_for_end();
        } catch (const CancelledError& error) {
            interruption = std::current_exception();
            race.cancel(error.cancel_message());
        }
    }
    if (interruption != nullptr) {
        std::rethrow_exception(interruption);
    }
    co_return race.take_end();
}

}  // namespace detail
}  // namespace asyncio::inline v0
