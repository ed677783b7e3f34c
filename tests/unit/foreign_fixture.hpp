// A runtime without tasks, as another language's, that steps coroutines of the library.
#pragma once

#include <asyncio/asyncio.hpp>
#include <asyncio/foreign_driver.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace foreign {

using asyncio::CancelledError;
using asyncio::CancelMessage;
using asyncio::CancelTarget;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Runnable;

// What a foreign runtime has in place of a task: it steps its coroutine when the loop says so, or
// when its owner does.
template <class T>
class Stepper final : public asyncio::ForeignDriver, public CancelTarget {
public:
    Stepper(EventLoop& loop, Coro<T> coro) : ForeignDriver(loop, &Stepper::run, *this) {
        start(std::move(coro), outcome);
    }
    ~Stepper() { destroy(); }

    void advance() {
        ++steps;
        if (std::exchange(must_cancel_, false)) {
            deliver(std::make_exception_ptr(CancelledError(message_)));
        }
        ended = step();
    }

    bool cancel(const CancelMessage& message) override {
        if (ended) {
            return false;
        }
        if (refuses) {
            throw asyncio::RuntimeError("what it waits for cannot be cancelled");
        }
        ++requests;
        if (waiting() == nullptr || !waiting()->cancel(message)) {
            must_cancel_ = true;
            message_ = message;
        }
        return true;
    }
    int cancelling() const noexcept override { return requests; }
    int uncancel() noexcept override {
        requests -= requests > 0 ? 1 : 0;
        must_cancel_ = must_cancel_ && requests > 0;
        return requests;
    }

    std::string error() const {
        return outcome.error == nullptr ? "" : asyncio::describe_exception(outcome.error);
    }

    asyncio::detail::Slot<T> outcome;
    bool ended = false;
    int steps = 0;
    int requests = 0;
    int discarded = 0;
    bool refuses = false;
    // Called in place of `advance` when the loop says that the coroutine can go on.
    std::function<void()> on_turn;

private:
    static void run(Runnable& self, Turn turn) {
        auto& stepper = static_cast<Stepper&>(self);
        if (turn == Turn::discard) {
            ++stepper.discarded;
        } else if (stepper.on_turn) {
            stepper.on_turn();
        } else {
            stepper.advance();
        }
    }

    bool must_cancel_ = false;
    CancelMessage message_;
};

class Fixture : public ::testing::Test {
protected:
    Fixture() {
        asyncio::LoopOptions options;
        options.clock = &clock_;
        loop_ = asyncio::new_event_loop(std::move(options));
        loop_->set_exception_handler([this](EventLoop&, const asyncio::ErrorContext& context) {
            reports_.push_back(context.message);
        });
    }

    template <class T>
    void run(Stepper<T>& stepper) {
        if (stepper.steps == 0 && !stepper.scheduled()) {
            loop().call_soon(stepper);
        }
        while (!stepper.ended) {
            loop().run_once();
        }
    }
    void turn(int iterations = 1) {
        for (int i = 0; i < iterations; ++i) {
            loop().run_once(asyncio::Duration::zero());
        }
    }

    EventLoop& loop() { return *loop_; }
    void end_loop() { loop_.reset(); }
    double seconds() const { return clock_.seconds(); }

    std::vector<std::string> log_;
    std::vector<std::string> reports_;

private:
    asyncio::testing::VirtualClock clock_;
    asyncio::EventLoopPtr loop_;
};

inline Coro<int> delayed(int value, std::chrono::seconds delay) {
    co_await asyncio::sleep(delay);
    co_return value;
}

inline Coro<int> doubled(int value) {
    co_return 2 * co_await delayed(value, std::chrono::seconds(1));
}

inline Coro<int> fail_later() {
    co_await asyncio::sleep(std::chrono::seconds(1));
    throw asyncio::ValueError("too late");
}

}  // namespace foreign
