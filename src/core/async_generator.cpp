// Asynchronous generators. What happens to those that do not run to their end follows the hooks in
// CPython's asyncio/base_events.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/exception_group.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/log.hpp>

#include "base/function_name.hpp"
#include "core/async_generators.hpp"

#include <string>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

namespace {

[[noreturn]] void throw_running(const char* operation) {
    throw RuntimeError(std::string(operation) +
                       ": asynchronous generator is already running: await one next() or aclose() "
                       "after the other");
}

}  // namespace

// ---- one generator

GeneratorFrame::~GeneratorFrame() {
    if (life != nullptr) {
        life->frame.store(nullptr, std::memory_order_release);  // the handle may free it now
    }
}

bool GeneratorFrame::leave() noexcept {
    if (handle().done()) {
        handle().destroy();
        return false;
    }
    state = State::suspended;
    if (dropped != nullptr) [[unlikely]] {
        GeneratorLife::drop(std::move(dropped));  // the handle went while the generator ran
    }
    return true;
}

GeneratorLife::~GeneratorLife() {
    if (GeneratorFrame* const left = frame.load(std::memory_order_acquire)) {
        left->life = nullptr;  // deep nests are destroyed later than this
        destroy_suspended(*left);
    }
}

void GeneratorLife::drop(std::unique_ptr<GeneratorLife> life) noexcept {
    if (life->frame.load(std::memory_order_acquire) == nullptr) {
        return;  // it has ended
    }
    try {
        life->context = copy_current_context();
    } catch (...) {  // NOLINT(bugprone-empty-catch)
        // Closing it matters more than the context variables, for which there is no memory.
    }
    const std::shared_ptr<AsyncGenerators> alive = life->home;
    GeneratorLife& scheduled = *life.release();
    if (!alive->schedule(scheduled)) {
        run(scheduled, Turn::discard);
    }
}

// Somebody dropped it. While another awaits the generator, it is left to that one.
void GeneratorLife::run(Runnable& self, Turn turn) {
    std::unique_ptr<GeneratorLife> life(&static_cast<GeneratorLife&>(self));
    GeneratorFrame* const frame = life->frame.load(std::memory_order_relaxed);
    if (frame == nullptr) {
        return;
    }
    if (frame->awaited()) {
        frame->dropped = std::move(life);
    } else if (turn == Turn::run) {
        AsyncGenerators& home = *life->home;
        home.start_closer(std::move(life));
    }
}

void GeneratorHandle::prepare(const char* operation) {
    GeneratorFrame& generator = *frame();
    if (generator.awaited()) {
        throw_running(operation);
    }
    if (life_ == nullptr) {
        life_ = AsyncGenerators::add(Driver::current().loop(), generator);
    }
}

void GeneratorHandle::discard() noexcept { destroy_suspended(*std::exchange(frame_, nullptr)); }

void GeneratorHandle::drop() noexcept {
    if (life_ == nullptr) {
        discard();
    } else {
        GeneratorLife::drop(std::move(life_));
    }
}

bool GeneratorClose::await_ready() const {
    if (handle_ == nullptr) {
        return false;
    }
    GeneratorFrame* const frame = handle_->frame();
    if (frame == nullptr) {
        return true;
    }
    if (frame->state == GeneratorFrame::State::created) {
        handle_->discard();
        return true;
    }
    handle_->prepare("aclose()");
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

const std::shared_ptr<AsyncGenerators>& AsyncGenerators::of(EventLoop& loop) {
    if (loop.asyncgens_ == nullptr) {
        loop.asyncgens_ = std::make_shared<AsyncGenerators>(loop);
    }
    return loop.asyncgens_;
}

std::unique_ptr<GeneratorLife> AsyncGenerators::add(EventLoop& loop, GeneratorFrame& frame) {
    AsyncGenerators& home = *of(loop);
    auto life = std::make_unique<GeneratorLife>(loop.asyncgens_, frame);
    if (home.shut_down_) {
        log(LogLevel::warning, "asynchronous generator '" + function_name(frame.function) +
                                   "' was scheduled after loop.shutdown_asyncgens() call: nobody "
                                   "will close it");
    }
    frame.life = life.get();
    home.live_.push_back(frame);
    return life;
}

bool AsyncGenerators::schedule(GeneratorLife& life) noexcept {
    const std::lock_guard lock(mutex_);  // which keeps the loop from closing
    return loop_ != nullptr && EventLoop::add_from_any_thread(loop_, *loop_->intake_, life);
}

void AsyncGenerators::start_closer(std::unique_ptr<GeneratorLife> life) {
    GeneratorFrame& frame = *life->frame;
    if (frame.linked()) {
        frame.unlink();
    }
    TaskOptions options;
    options.created_at = frame.function;
    options.eager_start = true;  // else GeneratorExit would be lost if the task is cancelled first
    const ContextScope scope(life->context);
    static_cast<void>(loop_->create_task(std::move(options), close_dropped(std::move(life))));
}

Coro<void> AsyncGenerators::close_dropped(std::unique_ptr<GeneratorLife> life) {
    co_await GeneratorClose(*life->frame);
}

Coro<void> AsyncGenerators::close_one() {
    if (live_.empty()) {
        co_return;  // it has ended meanwhile
    }
    GeneratorFrame& frame = live_.pop_front();
    const std::string name = function_name(frame.function);
    std::exception_ptr error;
    try {
        if (frame.awaited()) {
            throw_running("aclose()");
        }
        co_await GeneratorClose(frame);
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

Coro<void> AsyncGenerators::shut_down(EventLoop& loop) {
    const std::shared_ptr<AsyncGenerators> self = of(loop);
    self->shut_down_ = true;
    std::vector<Coro<void>> closing;
    self->live_.for_each([&](GeneratorFrame&) { closing.push_back(self->close_one()); });
    co_await gather(return_exceptions, std::move(closing));
}

void AsyncGenerators::close() noexcept {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    while (!live_.empty()) {
        live_.pop_front();
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
