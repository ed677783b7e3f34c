// Between executors and a loop: wrapped futures, the default executor. Follows
// CPython's asyncio/futures.py (_chain_future) and base_events.py.
#include <asyncio/executors.hpp>
#include <asyncio/log.hpp>
#include <asyncio/threads.hpp>
#include <asyncio/wait.hpp>

#include "io/thread.hpp"

#include <cstdio>
#include <thread>

namespace asyncio::inline v0 {

namespace detail {

// ---- futures of a loop that wait for a thread

// Called in any thread; the target is touched by the loop's alone, while it is open.
struct WrappedFuture::Arrival final : ThreadCallback, Pooled {
    explicit Arrival(WrappedFuture& target) noexcept : door(target.loop()), target(&target) {}
    void call(ThreadFutureState& source) noexcept override {
        door.call([waiting = target, done = StatePtr(&source)] { waiting->deliver(*done); });
        delete this;
    }
    LoopDoor door;
    WrappedFuture* target;
};

void WrappedFuture::begin(ThreadFutureState& source) {
    auto arrival = std::make_unique<Arrival>(*this);
    source_ = StatePtr(&source);
    retain();
    LoopAccess::composites(loop()).push_back(*this);
    loop().external_work_started();
    source.add_callback(std::move(arrival));
}

bool WrappedFuture::cancel(const CancelMessage& message) {
    if (!FutureState::cancel(message)) {
        return false;
    }
    loop().external_work_finished();
    if (const auto source = std::exchange(source_, {})) {
        abandon(*source);
    }
    return true;
}

void WrappedFuture::deliver(ThreadFutureState& source) {
    const StatePtr<FutureState> alive(this);
    detach();
    if (done()) {
        return;  // cancelled: nobody wants to know
    }
    loop().external_work_finished();
    source_ = {};
    if (source.status() == ThreadFutureState::Status::cancelled) {
        FutureState::cancel({});
        return;
    }
    try {
        take_value(source);
    } catch (...) {
        error() = std::current_exception();
        finish_with_error();
        return;
    }
    finish_with_value();
}

void WrappedFuture::detach() noexcept {
    CompositeNode::unlink();
    FutureState::release();
}

// ---- tasks that another thread waits for

void pass_cancellation(ThreadFutureState& future, EventLoop& loop, ThreadsafeTask task) {
    struct Cancellation final : ThreadCallback, Pooled {
        Cancellation(EventLoop& loop, ThreadsafeTask task) noexcept
            : door(loop), task(std::move(task)) {}
        void call(ThreadFutureState& ended) noexcept override {
            if (ended.status() == ThreadFutureState::Status::cancelled) {
                door.call([pending = std::move(task)] {
                    if (*pending != nullptr) {
                        (*pending)->cancel({});
                    }
                });
            }
            delete this;
        }
        LoopDoor door;
        ThreadsafeTask task;
    };
    future.add_callback(std::make_unique<Cancellation>(loop, std::move(task)));
}

// ---- the default executor

namespace {

class OwnedExecutor final : public DefaultExecutor {
public:
    OwnedExecutor() = default;
    OwnedExecutor(const OwnedExecutor&) = delete;
    OwnedExecutor& operator=(const OwnedExecutor&) = delete;
    // A loop that closes does not wait.
    ~OwnedExecutor() override {
        if (executor_ != nullptr) {
            leave_alone();
        }
    }

    static OwnedExecutor& of(std::unique_ptr<DefaultExecutor>& slot) {
        if (slot == nullptr) {
            slot = std::make_unique<OwnedExecutor>();
        }
        return static_cast<OwnedExecutor&>(*slot);
    }

    const std::shared_ptr<Executor>& get() const noexcept { return executor_; }
    // The loop goes on meanwhile, so a destructor that waits for calls is none of its business.
    void replace(std::shared_ptr<Executor> executor) noexcept {
        if (executor_.use_count() == 1) {
            leave_alone();
        }
        executor_ = std::move(executor);
    }

    bool shut_down = false;

private:
    void leave_alone() noexcept {
        try {
            executor_->shutdown(false);
        } catch (...) {
            log(LogLevel::error, "exception in the shutdown of a default executor: " +
                                     describe_exception(std::current_exception()));
        }
    }

    std::shared_ptr<Executor> executor_;
};

std::string seconds_text(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%g seconds", std::chrono::duration<double>(duration).count());
    return text;
}

}  // namespace

}  // namespace detail

Executor& EventLoop::default_executor() {
    auto& owned = detail::OwnedExecutor::of(default_executor_);
    if (owned.shut_down) {
        throw RuntimeError("Executor shutdown has been called: the loop's default executor takes "
                           "no calls any more");
    }
    if (owned.get() == nullptr) {
        owned.replace(std::make_shared<ThreadPoolExecutor>(
            ThreadPoolOptions{.thread_name_prefix = "asyncio"}));
    }
    return *owned.get();
}

void EventLoop::set_default_executor(std::shared_ptr<Executor> executor) {
    check_usable();
    if (executor == nullptr) {
        throw TypeError("set_default_executor needs an executor, and got null");
    }
    detail::OwnedExecutor::of(default_executor_).replace(std::move(executor));
}

Coro<void> EventLoop::shutdown_default_executor(std::optional<Duration> timeout) {
    auto& owned = detail::OwnedExecutor::of(default_executor_);
    owned.shut_down = true;
    const std::shared_ptr<Executor> executor = owned.get();
    if (executor == nullptr) {
        co_return;
    }
    auto joined = detail::ThreadFutureAccess::make_call([executor] { executor->shutdown(true); });
    std::thread joiner;
    try {
        joiner = detail::start_thread(
            "asyncio_join",
            [job = detail::ThreadFutureAccess::make_job(
                 detail::ThreadFutureAccess::state(joined))]() mutable { std::move(job).run(); });
    } catch (const std::system_error& error) {
        detail::log(LogLevel::warning,
                    std::string("the default executor's threads are not waited for: ") +
                        error.what());
        executor->shutdown(false);
        co_return;
    }
    struct Leave {
        std::thread& thread;
        ~Leave() {
            if (thread.joinable()) {
                thread.detach();
            }
        }
    } const leave{joiner};
    bool in_time = true;
    try {
        co_await detail::wait_for(wrap_future(joined), timeout);
    } catch (const TimeoutError&) {
        in_time = joined.done() && !joined.cancelled();  // then it is the executor's own
    }
    if (in_time) {
        joiner.join();
        joined.result();
        co_return;
    }
    detail::log(LogLevel::warning,
                "the default executor did not finish joining its threads within " +
                    detail::seconds_text(*timeout));
    executor->shutdown(false);
}

}  // namespace asyncio::inline v0
