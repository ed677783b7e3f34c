// Asynchronous generators. What happens to those that do not run to their end follows the hooks in
// CPython's asyncio/base_events.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/exception_group.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/log.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/wait.hpp>

#include "base/function_name.hpp"
#include "core/async_generators.hpp"

#include <string>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// ---- one generator

GeneratorFrame::~GeneratorFrame() {
    if (owner != nullptr) {
        owner->frame_ = nullptr;
    }
}

void GeneratorFrame::prepare(const char* operation) {
    if (state == State::running) {
        throw RuntimeError(std::string(operation) +
                           ": asynchronous generator is already running: await one next() or "
                           "aclose() after the other");
    }
    if (home == nullptr) {
        auto generators = AsyncGenerators::of(Driver::current().loop());
        generators->add(*this);
        home = std::move(generators);
    }
}

bool GeneratorFrame::leave() noexcept {
    if (handle().done()) {
        handle().destroy();
        return false;
    }
    state = State::suspended;
    closing = false;
    if (owner == nullptr) {
        abandon();
    }
    return true;
}

void GeneratorFrame::abandon() noexcept {
    owner = nullptr;
    if (state == State::running) {
        return;  // its awaiter will notice
    }
    if (state == State::created || !home->drop(*this)) {
        destroy_suspended(*this);
    }
}

bool GeneratorClose::await_ready() const {
    GeneratorFrame* const frame = handle.frame_;
    if (frame == nullptr) {
        return true;
    }
    if (frame->state == GeneratorFrame::State::created) {
        destroy_suspended(*frame);
        return true;
    }
    frame->prepare("aclose()");
    return false;
}

void GeneratorClose::await_resume() {
    if (leave()) {
        throw RuntimeError(
            "async generator ignored GeneratorExit: it must end, not yield, once it is closed");
    }
    if (error != nullptr && !is_exception<GeneratorExit>(error)) {
        std::rethrow_exception(std::move(error));
    }
}

Coro<void> GeneratorClose::run(GeneratorHandle& handle) { co_await GeneratorClose(handle); }

// ---- those of a loop

// A generator on its way from whoever dropped it to the task that closes it.
struct AsyncGenerators::Dropped {
    Dropped(AsyncGenerators& home, GeneratorFrame& frame) noexcept : home(&home), frame(&frame) {}
    Dropped(Dropped&& other) noexcept
        : home(other.home), frame(std::exchange(other.frame, nullptr)) {}
    Dropped& operator=(Dropped&&) = delete;
    ~Dropped() {
        if (frame != nullptr) {
            destroy_suspended(*frame);
        }
    }
    void operator()() { home->start_closer(std::move(*this)); }

    AsyncGenerators* home;  // kept alive by the frame
    GeneratorFrame* frame;
};

std::shared_ptr<AsyncGenerators> AsyncGenerators::of(EventLoop& loop) {
    if (loop.asyncgens_ == nullptr) {
        loop.asyncgens_ = std::make_shared<AsyncGenerators>(loop);
    }
    return loop.asyncgens_;
}

void AsyncGenerators::add(GeneratorFrame& frame) {
    if (shut_down_) {
        log(LogLevel::warning, "asynchronous generator '" + function_name(frame.function) +
                                   "' was scheduled after loop.shutdown_asyncgens() call: nobody "
                                   "will close it");
    }
    live_.push_back(frame);
}

bool AsyncGenerators::drop(GeneratorFrame& frame) noexcept {
    const std::lock_guard lock(mutex_);
    if (loop_ == nullptr) {
        return false;
    }
    try {
        loop_->call_soon_threadsafe(Dropped(*this, frame));
    } catch (...) {
        log(LogLevel::error, "an asynchronous generator was destroyed without being closed: " +
                                 describe_exception(std::current_exception()));
    }
    return true;
}

void AsyncGenerators::start_closer(Dropped dropped) {
    if (dropped.frame->linked()) {
        dropped.frame->unlink();
    }
    const std::shared_ptr<AsyncGenerators> self = dropped.frame->home;
    TaskOptions options;
    options.created_at = dropped.frame->function;
    options.eager_start = false;
    const Task<void> closer =
        loop_->create_task(std::move(options), close_dropped(std::move(dropped)));
    closers_.insert(closer);
    closer.add_done_callback([self](const AnyFuture& done) { self->closers_.erase(done); });
}

Coro<void> AsyncGenerators::close_dropped(Dropped dropped) {
    GeneratorHandle generator(std::exchange(dropped.frame, nullptr));
    co_await GeneratorClose(generator);
}

Coro<void> AsyncGenerators::close_one() {
    if (live_.empty()) {
        co_return;
    }
    GeneratorFrame& frame = live_.pop_front();
    const std::string name = function_name(frame.function);
    std::exception_ptr error;
    try {
        frame.prepare("aclose()");
        co_await GeneratorClose(*frame.owner);
        co_return;
    } catch (const CancelledError&) {
        throw;
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        error = std::current_exception();
    }
    ErrorContext context;
    context.message = "an error occurred during closing of asynchronous generator '" + name + "'";
    context.exception = error;
    loop_->call_exception_handler(context);
}

Coro<void> AsyncGenerators::shut_down(std::shared_ptr<AsyncGenerators> self) {
    self->shut_down_ = true;
    do {
        std::vector<Coro<void>> closing;
        self->live_.for_each([&](GeneratorFrame&) { closing.push_back(self->close_one()); });
        co_await gather(return_exceptions, std::move(closing));
        std::vector<AnyFuture> closers(self->closers_.begin(), self->closers_.end());
        if (!closers.empty()) {
            co_await wait(std::move(closers));
        }
        co_await sleep(Duration::zero());  // those that clean-up has dropped get their closers
    } while (!self->empty());
}

void AsyncGenerators::close() noexcept {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    while (!live_.empty()) {
        live_.pop_front();
    }
    closers_.clear();
}

}  // namespace detail
}  // namespace asyncio::inline v0
