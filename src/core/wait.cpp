// wait, wait_for and as_completed. Follow CPython's asyncio/tasks.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/wait.hpp>

#include <unordered_set>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Removes done callbacks when the scope ends. Those of futures that were done already are on their
// way, so no callback may refer to what ends with the scope.
class CallbackScope {
public:
    CallbackScope() = default;
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;
    ~CallbackScope() {
        for (const auto& [future, id] : registered_) {
            future.remove_done_callback(id);
        }
    }
    template <class F>
    void add(const AnyFuture& future, F callback) {
        registered_.emplace_back(future, CallbackId{});
        registered_.back().second = future.add_done_callback(std::move(callback));
    }

private:
    std::vector<std::pair<AnyFuture, CallbackId>> registered_;
};

void complete(const Future<void>& waiter) {
    if (!waiter.done()) {
        waiter.set_result();
    }
}

}  // namespace

Coro<void> cancel_and_wait(AnyFuture future) {
    const Future<void> waiter = get_running_loop().create_future<void>();
    CallbackScope callbacks;
    callbacks.add(future, [waiter] { complete(waiter); });
    future.cancel();
    // Not for the future itself: a cancellation of this task must be told from the future's.
    co_await waiter;
}

void throw_timeout_of(const AnyFuture& cancelled) {
    TimeoutError error;
    try {
        static_cast<void>(cancelled.exception());
    } catch (const CancelledError&) {
        error.set_cause(std::current_exception());
    }
    throw error;
}

std::vector<std::size_t> without_duplicates(const std::vector<AnyFuture>& futures) {
    std::vector<std::size_t> indices;
    std::unordered_set<AnyFuture> known;
    for (std::size_t i = 0; i < futures.size(); ++i) {
        if (known.insert(futures[i]).second) {
            indices.push_back(i);
        }
    }
    return indices;
}

Coro<void> wait_until(const std::vector<AnyFuture>& futures, const std::vector<std::size_t>& listed,
                      WaitOptions options) {
    if (listed.empty()) {
        throw ValueError("wait() needs at least one task or future");
    }
    struct State {
        explicit State(Future<void> made) : waiter(std::move(made)) {}
        Future<void> waiter;
        TimerHandle timer;
        std::size_t left = 0;
    };
    EventLoop& loop = get_running_loop();
    const auto state = std::make_shared<State>(loop.create_future<void>());
    state->left = listed.size();
    struct TimerScope {
        TimerHandle& timer;
        ~TimerScope() { timer.cancel(); }
    } const timer_scope{state->timer};
    if (options.timeout) {
        state->timer = loop.call_later(*options.timeout, [&state] { complete(state->waiter); });
    }
    CallbackScope callbacks;
    for (const std::size_t index : listed) {
        callbacks.add(futures[index], [state, mode = options.return_when](const AnyFuture& done) {
            --state->left;
            const bool enough = state->left == 0 || mode == ReturnWhen::first_completed ||
                                (mode == ReturnWhen::first_exception && !done.cancelled() &&
                                 done.exception() != nullptr);
            if (enough) {
                state->timer.cancel();
                complete(state->waiter);
            }
        });
    }
    co_await state->waiter;
}

std::shared_ptr<Completions> Completions::of(const std::vector<AnyFuture>& futures,
                                             std::optional<Duration> timeout) {
    const auto completions = std::make_shared<Completions>();
    for (const std::size_t index : without_duplicates(futures)) {
        completions->todo_.push_back({futures[index], {}});
    }
    completions->left_ = completions->unreported_ = completions->todo_.size();
    // A callback of a future that is done already cannot be removed any more.
    for (std::size_t i = 0; i < completions->todo_.size(); ++i) {
        Todo& todo = completions->todo_[i];
        todo.callback = todo.future.add_done_callback([weak = std::weak_ptr(completions), i] {
            if (const auto alive = weak.lock()) {
                alive->on_done(i);
            }
        });
    }
    if (completions->unreported_ > 0 && timeout) {
        completions->timer_ = get_running_loop().call_later(
            *timeout, [raw = completions.get()] { raw->on_timeout(); });
    }
    return completions;
}

Completions::~Completions() {
    timer_.cancel();
    remove_callbacks();
}

void Completions::remove_callbacks() noexcept {
    for (const Todo& todo : todo_) {
        if (todo.future) {
            todo.future.remove_done_callback(todo.callback);
        }
    }
    todo_.clear();
}

void Completions::on_done(std::size_t index) {
    if (todo_.empty()) {
        return;  // the time-out was here first
    }
    reported_.put_nowait(std::exchange(todo_[index].future, AnyFuture()));
    if (--unreported_ == 0) {
        timer_.cancel();
    }
}

void Completions::on_timeout() {
    remove_callbacks();
    for (; unreported_ > 0; --unreported_) {
        reported_.put_nowait(AnyFuture());
    }
}

Coro<AnyFuture> Completions::next(std::shared_ptr<Completions> completions) {
    AnyFuture done = co_await completions->reported_.get();
    if (!done) {
        throw TimeoutError();
    }
    co_return done;
}

}  // namespace detail
}  // namespace asyncio::inline v0
