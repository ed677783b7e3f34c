// Coroutines of the library under a driver that is no Task: errors that are thrown into them, and
// the ways in which they are cancelled.
#include <asyncio/asyncio.hpp>
#include <asyncio/foreign_driver.hpp>

#include "foreign_fixture.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using asyncio::CancelledError;
using asyncio::CancelTarget;
using asyncio::Coro;
using asyncio::Driver;
using foreign::delayed;
using foreign::doubled;
using foreign::fail_later;
using foreign::Stepper;
using namespace std::chrono_literals;

class ForeignCancellation : public foreign::Fixture {};

// ---- errors

TEST_F(ForeignCancellation, an_error_delivered_before_the_first_step_keeps_the_body_from_running) {
    auto main = [this]() -> Coro<void> {
        log_.push_back("entered");
        co_return;
    };
    Stepper<void> stepper(loop(), main());
    stepper.deliver(std::make_exception_ptr(asyncio::RuntimeError("not today")));
    run(stepper);
    EXPECT_EQ(stepper.error(), "RuntimeError: not today");
    EXPECT_TRUE(log_.empty());
}

TEST_F(ForeignCancellation, an_error_delivered_after_the_wait_is_thrown_there_once) {
    auto main = []() -> Coro<std::string> {
        std::string text;
        try {
            co_await doubled(1);
        } catch (const asyncio::ValueError& error) {
            text = error.what();
        }
        co_await asyncio::sleep(1s);
        co_return text;
    };
    Stepper<std::string> stepper(loop(), main());
    stepper.on_turn = [&stepper] {
        stepper.deliver(std::make_exception_ptr(asyncio::ValueError("given")));
        stepper.on_turn = nullptr;
        stepper.advance();
    };
    stepper.advance();
    while (!stepper.ended) {
        loop().run_once();
    }
    EXPECT_EQ(stepper.outcome.value, "given");
    EXPECT_EQ(seconds(), 2.0);
}

TEST_F(ForeignCancellation, an_error_may_be_thrown_into_a_wait_at_once) {
    auto main = [this](asyncio::Future<int> future) -> Coro<void> {
        for (int i = 0; i < 3; ++i) {
            try {
                if (i == 0) {
                    co_await asyncio::sleep(9s);
                } else {
                    co_await future;
                }
            } catch (const asyncio::ValueError& error) {
                log_.push_back(error.what());
            }
        }
        co_await asyncio::sleep(1s);
    };
    auto future = loop().create_future<int>();
    Stepper<void> stepper(loop(), main(future));
    stepper.advance();
    for (const char* text : {"into a sleep", "into a future", "while queued"}) {
        if (log_.size() == 2) {
            future.set_result(1);
            EXPECT_TRUE(stepper.scheduled());
        }
        stepper.deliver(std::make_exception_ptr(asyncio::ValueError(text)));
        stepper.advance();
        EXPECT_EQ(log_.back(), text);
        EXPECT_EQ(future.done(), log_.size() == 3);  // others may go on waiting for it
    }
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(stepper.steps, 5);
    EXPECT_EQ(seconds(), 1.0);
}

TEST_F(ForeignCancellation, an_error_thrown_into_a_get_at_once_wakes_nobody) {
    asyncio::Queue<int> queue;
    const auto first = loop().create_task([&]() -> Coro<int> { co_return co_await queue.get(); });
    loop().run_once(asyncio::Duration::zero());
    Stepper<int> second(loop(), [](asyncio::Queue<int>& from) -> Coro<int> {
        try {
            co_await from.get();
        } catch (const asyncio::ValueError&) {
        }
        co_await asyncio::sleep(10s);
        co_return 1;
    }(queue));
    loop().call_soon(second);
    loop().run_once(asyncio::Duration::zero());
    queue.put_nowait(1);
    second.deliver(std::make_exception_ptr(asyncio::ValueError("no")));
    second.advance();
    EXPECT_FALSE(second.scheduled());
    EXPECT_EQ(loop().run_until_complete(first), 1);
    const auto begin = loop().time();
    while (!second.ended) {
        loop().run_once();
    }
    EXPECT_EQ(loop().time() - begin, 10s);
}

TEST_F(ForeignCancellation, awaiting_a_future_of_another_loop_throws) {
    const auto other = asyncio::new_event_loop();
    auto main = [](asyncio::Future<int> future) -> Coro<int> { co_return co_await future; };
    Stepper<int> stepper(loop(), main(other->create_future<int>()));
    run(stepper);
    EXPECT_NE(stepper.error().find("attached to a different loop"), std::string::npos);
}

// ---- cancellation

TEST_F(ForeignCancellation, a_cancelled_sleep_leaves_no_timer) {
    Stepper<int> stepper(loop(), doubled(1));
    stepper.advance();
    EXPECT_EQ(stepper.wait_kind(), asyncio::WaitKind::sleep);
    EXPECT_TRUE(stepper.cancel("enough"));
    run(stepper);
    EXPECT_EQ(stepper.error(), "CancelledError: enough");
    EXPECT_EQ(seconds(), 0.0);
    EXPECT_THROW(loop().run_once(), asyncio::DeadlockError);
    EXPECT_FALSE(stepper.cancel({}));
}

TEST_F(ForeignCancellation, cancelling_reaches_what_they_wait_for) {
    auto wait = [](asyncio::Future<int> future) -> Coro<int> { co_return co_await future; };
    auto future = loop().create_future<int>();
    Stepper<int> on_future(loop(), wait(future));
    auto collect = []() -> Coro<void> { co_await asyncio::gather(delayed(1, 1s), delayed(2, 1s)); };
    Stepper<void> on_gather(loop(), collect());
    auto protect = [](asyncio::Task<int> task) -> Coro<void> { co_await asyncio::shield(task); };
    auto protected_task = loop().create_task(delayed(3, 1s));
    Stepper<void> on_shield(loop(), protect(protected_task));
    loop().call_soon(on_future);
    loop().call_soon(on_gather);
    loop().call_soon(on_shield);
    turn(2);
    EXPECT_EQ(asyncio::all_tasks(loop()).size(), 3U);
    EXPECT_TRUE(on_future.cancel({}) && on_gather.cancel({}) && on_shield.cancel({}));
    turn(5);
    EXPECT_TRUE(future.cancelled());
    EXPECT_EQ(on_future.error(), "CancelledError");
    EXPECT_EQ(on_gather.error(), "CancelledError");
    EXPECT_EQ(on_shield.error(), "CancelledError");
    EXPECT_EQ(asyncio::all_tasks(loop()).size(), 1U);
    EXPECT_EQ(loop().run_until_complete(protected_task), 3);
}

// A scope as the library's own are: it interrupts the coroutine through its cancel target, and
// takes the request back.
class Deadline {
public:
    explicit Deadline(std::chrono::seconds delay)
        : target_(Driver::current().cancel_target()),
          timer_(asyncio::get_running_loop().call_later(delay, [this] {
              expired_ = true;
              target_.cancel({});
          })) {}
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline() { timer_.cancel(); }

    // Whether a CancelledError that leaves the scope is this one's.
    bool caused_it() { return expired_ && target_.uncancel() == 0; }

private:
    CancelTarget& target_;
    bool expired_ = false;
    asyncio::TimerHandle timer_;
};

TEST_F(ForeignCancellation, scopes_interrupt_them_through_the_cancel_target) {
    auto main = [this]() -> Coro<void> {
        for (const auto limit : {1s, 9s}) {
            Deadline deadline(limit);
            try {
                co_await delayed(1, 5s);
                log_.push_back("in time");
            } catch (const CancelledError&) {
                log_.push_back(deadline.caused_it() ? "timeout" : "cancelled");
            }
        }
    };
    Stepper<void> stepper(loop(), main());
    run(stepper);
    EXPECT_EQ(log_, (std::vector<std::string>{"timeout", "in time"}));
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(stepper.requests, 0);
    EXPECT_EQ(seconds(), 6.0);
}

TEST_F(ForeignCancellation, a_deadline_that_they_refuse_takes_no_later_cancellation_for_its_own) {
    auto main = [this]() -> Coro<void> {
        asyncio::Timeout scope(1s);
        try {
            co_await asyncio::timeout(scope, [] { return asyncio::sleep(5s); });
        } catch (const CancelledError&) {
            log_.push_back(scope.expired() ? "expired" : "cancelled");
        }
    };
    Stepper<void> stepper(loop(), main());
    stepper.refuses = true;
    loop().call_later(2s, [&stepper] {
        stepper.refuses = false;
        stepper.cancel({});
    });
    run(stepper);
    EXPECT_EQ(log_, std::vector<std::string>{"cancelled"});
    EXPECT_EQ(stepper.requests, 1);
    EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(ForeignCancellation, run_task_groups) {
    auto main = [this]() -> Coro<void> {
        co_await asyncio::task_group([this](asyncio::TaskGroup& group) -> Coro<void> {
            group.create_task(delayed(1, 1s));
            group.create_task(delayed(2, 3s));
            log_.push_back("body ends");
            co_return;
        });
        log_.push_back("group ends");
    };
    Stepper<void> stepper(loop(), main());
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(log_, (std::vector<std::string>{"body ends", "group ends"}));
    EXPECT_EQ(seconds(), 3.0);
}

TEST_F(ForeignCancellation, a_child_that_fails_interrupts_the_body_of_the_group) {
    auto main = [this]() -> Coro<void> {
        try {
            co_await asyncio::task_group([this](asyncio::TaskGroup& group) -> Coro<void> {
                group.create_task(fail_later());
                group.create_task(delayed(2, 9s));
                try {
                    co_await asyncio::sleep(5s);
                } catch (const CancelledError&) {
                    log_.push_back("body cancelled");
                    throw;
                }
            });
        } catch (const asyncio::ExceptionGroup& group) {
            log_.push_back(std::to_string(group.exceptions().size()) + " error");
        }
        co_await asyncio::sleep(1s);
    };
    Stepper<void> stepper(loop(), main());
    run(stepper);
    EXPECT_EQ(stepper.error(), "");
    EXPECT_EQ(log_, (std::vector<std::string>{"body cancelled", "1 error"}));
    EXPECT_EQ(stepper.requests, 0);
    EXPECT_EQ(seconds(), 2.0);
}

TEST_F(ForeignCancellation, cancelling_one_cancels_its_task_group) {
    auto main = []() -> Coro<void> {
        co_await asyncio::task_group([](asyncio::TaskGroup& group) -> Coro<void> {
            group.create_task(delayed(1, 1s));
            co_return;
        });
    };
    Stepper<void> stepper(loop(), main());
    stepper.advance();
    turn();
    EXPECT_TRUE(stepper.cancel({}));
    run(stepper);
    EXPECT_EQ(stepper.error(), "CancelledError");
    EXPECT_TRUE(asyncio::all_tasks(loop()).empty());
    EXPECT_EQ(seconds(), 0.0);
}

TEST_F(ForeignCancellation, a_driver_that_waits_for_a_socket_may_outlive_its_loop) {
    auto [ours, theirs] = asyncio::socketpair();
    auto receive = [](int fd) -> Coro<std::string> {
        co_return co_await asyncio::sock_recv(fd, 1);
    };
    auto stepper = std::make_unique<Stepper<std::string>>(loop(), receive(ours.fileno()));
    loop().call_soon(*stepper);
    turn();
    EXPECT_EQ(stepper->steps, 1);
    EXPECT_FALSE(stepper->ended);
    end_loop();
    stepper.reset();
}

}  // namespace
