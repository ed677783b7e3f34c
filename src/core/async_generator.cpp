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
        life->home->ended(*this);
    }
}

bool GeneratorFrame::leave() noexcept {
    if (handle().done()) {
        handle().destroy();
        return false;
    }
    state = State::suspended;
    closing = false;
    if (life->dropped && !life->claimed) {
        life->home->drop(life);  // the handle went while the generator ran
    }
    return true;
}

void GeneratorHandle::prepare(const char* operation) {
    GeneratorFrame& generator = *frame();
    if (generator.state == GeneratorFrame::State::running || (life_ != nullptr && life_->claimed)) {
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
        AsyncGenerators& home = *life_->home;
        home.drop(std::move(life_));
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

// A generator on its way from whoever dropped it to its end, which is here at the latest.
struct AsyncGenerators::Dropped {
    explicit Dropped(std::shared_ptr<GeneratorLife> given) noexcept : life(std::move(given)) {}
    Dropped(Dropped&& other) noexcept = default;
    Dropped& operator=(Dropped&&) = delete;
    ~Dropped() {
        if (life != nullptr && life->frame != nullptr) {
            destroy_suspended(*life->frame);
        }
    }
    void operator()() {
        AsyncGenerators& home = *life->home;
        home.start_closer(std::move(*this));
    }

    std::shared_ptr<GeneratorLife> life;
};

std::shared_ptr<AsyncGenerators> AsyncGenerators::of(EventLoop& loop) {
    if (loop.asyncgens_ == nullptr) {
        loop.asyncgens_ = std::make_shared<AsyncGenerators>(loop);
    }
    return loop.asyncgens_;
}

std::shared_ptr<GeneratorLife> AsyncGenerators::add(EventLoop& loop, GeneratorFrame& frame) {
    const std::shared_ptr<AsyncGenerators> home = of(loop);
    frame.life = std::make_shared<GeneratorLife>(GeneratorLife{.home = home, .frame = &frame});
    if (home->shut_down_) {
        log(LogLevel::warning, "asynchronous generator '" + function_name(frame.function) +
                                   "' was scheduled after loop.shutdown_asyncgens() call: nobody "
                                   "will close it");
    }
    home->live_.push_back(frame);
    return frame.life;
}

void AsyncGenerators::drop(std::shared_ptr<GeneratorLife> life) noexcept {
    const std::shared_ptr<AsyncGenerators> alive = life->home;
    Dropped dropped(nullptr);  // if it stays here it ends here, when the mutex is free again
    const std::lock_guard lock(mutex_);
    life->dropped = true;
    if (life->frame == nullptr || life->claimed ||
        life->frame->state == GeneratorFrame::State::running) {
        return;  // it has ended, or whoever lets it run will notice
    }
    life->claimed = true;
    dropped.life = std::move(life);
    if (loop_ == nullptr) {
        return;
    }
    try {
        loop_->call_soon_threadsafe(std::move(dropped));
    } catch (...) {
        log(LogLevel::error, "an asynchronous generator was destroyed without being closed: " +
                                 describe_exception(std::current_exception()));
    }
}

void AsyncGenerators::ended(GeneratorFrame& frame) noexcept {
    const std::lock_guard lock(mutex_);
    frame.life->frame = nullptr;
}

void AsyncGenerators::start_closer(Dropped dropped) {
    GeneratorFrame& frame = *dropped.life->frame;
    if (frame.linked()) {
        frame.unlink();
    }
    const std::shared_ptr<AsyncGenerators> self = frame.life->home;
    TaskOptions options;
    options.created_at = frame.function;
    options.eager_start = false;
    const Task<void> closer =
        loop_->create_task(std::move(options), close_dropped(std::move(dropped)));
    closers_.insert(closer);
    closer.add_done_callback([self](const AnyFuture& done) { self->closers_.erase(done); });
}

Coro<void> AsyncGenerators::close_dropped(Dropped dropped) {
    co_await GeneratorClose(*dropped.life->frame);
}

// Null unless it is the loop's task to close the generator.
std::shared_ptr<GeneratorLife> AsyncGenerators::claim_one() {
    const std::lock_guard lock(mutex_);
    if (live_.empty()) {
        return nullptr;
    }
    const std::shared_ptr<GeneratorLife> life = live_.pop_front().life;
    return std::exchange(life->claimed, true) ? nullptr : life;
}

Coro<void> AsyncGenerators::close_one() {
    const std::shared_ptr<GeneratorLife> life = claim_one();
    if (life == nullptr) {
        co_return;
    }
    const std::string name = function_name(life->frame->function);
    std::exception_ptr error;
    try {
        if (life->frame->state == GeneratorFrame::State::running) {
            throw_running("aclose()");
        }
        co_await GeneratorClose(*life->frame);
        co_return;
    } catch (const CancelledError&) {
        throw;
    } catch (const LoopBreak&) {
        throw;
    } catch (...) {
        error = std::current_exception();
    }
    give_back(life);
    ErrorContext context;
    context.message = "an error occurred during closing of asynchronous generator '" + name + "'";
    context.exception = error;
    loop_->call_exception_handler(context);
}

// One that could not be closed is its handle's again, if that is still there.
void AsyncGenerators::give_back(const std::shared_ptr<GeneratorLife>& life) {
    Dropped dropped(nullptr);
    const std::lock_guard lock(mutex_);
    life->claimed = false;
    if (life->dropped && life->frame != nullptr &&
        life->frame->state != GeneratorFrame::State::running) {
        dropped.life = life;
    }
}

Coro<void> AsyncGenerators::shut_down(std::shared_ptr<AsyncGenerators> self) {
    self->shut_down_ = true;
    std::vector<Coro<void>> closing;
    self->live_.for_each([&](GeneratorFrame&) { closing.push_back(self->close_one()); });
    co_await gather(return_exceptions, std::move(closing));
    do {
        co_await sleep(Duration::zero());  // those that clean-up has dropped get their closers
        std::vector<AnyFuture> closers(self->closers_.begin(), self->closers_.end());
        if (!closers.empty()) {
            co_await wait(std::move(closers));
        }
    } while (!self->closers_.empty());
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
