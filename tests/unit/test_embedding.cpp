// The loop inside of another program's loop: its descriptor is polled from outside, and work of
// other runtimes stands in its ready queue.
#include <asyncio/asyncio.hpp>

#include "scripted_poller.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Runnable;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Embedding : public ::testing::Test {
protected:
    Embedding() : loop_(asyncio::new_event_loop()) {
        loop_->set_exception_handler([this](EventLoop&, const asyncio::ErrorContext& context) {
            reports_.push_back(context.message + ": " +
                               asyncio::describe_exception(context.exception));
        });
    }

    EventLoop& loop() { return *loop_; }

    // Whether the loop asks to be run within the time.
    bool wants_to_run(std::chrono::milliseconds limit) {
        loop().prepare_to_block();
        pollfd descriptor{loop().fileno(), POLLIN, 0};
        int count = 0;
        do {
            count = ::poll(&descriptor, 1, static_cast<int>(limit.count()));
        } while (count < 0 && errno == EINTR);
        return count == 1;
    }

    // The foreign loop: blocks in poll(2) only, and runs ours when that says so.
    template <class Condition>
    void run_until(Condition condition) {
        const auto deadline = Clock::now() + 10s;
        while (!condition() && Clock::now() < deadline) {
            ++polls_;
            if (wants_to_run(10s)) {
                loop().run_once(0s);
            }
        }
        EXPECT_TRUE(condition()) << "the foreign loop was not woken";
    }

    // Runs what is left over from waking the loop.
    void settle() {
        while (wants_to_run(0ms)) {
            loop().run_once(0s);
        }
    }

    std::vector<std::string> log_;
    std::vector<std::string> reports_;
    int polls_ = 0;

private:
    asyncio::EventLoopPtr loop_;
};

struct Pipe {
    Pipe() { EXPECT_EQ(::pipe(ends), 0); }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    void write() const { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
    void read() const {
        char c = 0;
        EXPECT_EQ(::read(ends[0], &c, 1), 1);
    }
    int ends[2];
};

// ---- a foreign poll

TEST_F(Embedding, a_loop_without_work_does_not_ask_to_be_run) {
    EXPECT_FALSE(wants_to_run(20ms));
    loop().run_once(0s);
    EXPECT_FALSE(wants_to_run(20ms));
}

TEST_F(Embedding, call_soon_between_polls_is_run_after_the_next) {
    loop().call_soon([this] {
        log_.push_back("first");
        loop().call_soon([this] { log_.push_back("second"); });
    });
    run_until([this] { return log_.size() == 2; });
    settle();
    EXPECT_FALSE(wants_to_run(20ms));
}

TEST_F(Embedding, timers_wake_the_foreign_poll_in_order_and_not_early) {
    loop().call_later(1h, [] {});
    EXPECT_FALSE(wants_to_run(0ms));  // so each of the others is earlier than what it waits for
    const auto begin = Clock::now();
    const auto note = [this, begin](std::string name, Clock::duration delay) {
        loop().call_later(delay, [this, begin, name, delay] {
            EXPECT_GE(Clock::now() - begin, delay);
            log_.push_back(name);
        });
    };
    note("late", 40ms);
    loop().prepare_to_block();
    note("early", 10ms);
    // Both may be due at once on a busy machine, and have their order then, too.
    run_until([this] { return log_.size() == 2; });
    EXPECT_EQ(log_, (std::vector<std::string>{"early", "late"}));
    EXPECT_LE(polls_, 10);  // it slept instead of asking again and again
    settle();
    EXPECT_FALSE(wants_to_run(20ms));
}

TEST_F(Embedding, a_cancelled_timer_does_not_wake_the_foreign_poll) {
    const asyncio::TimerHandle timer = loop().call_later(20ms, [] {});
    loop().prepare_to_block();
    timer.cancel();
    EXPECT_FALSE(wants_to_run(50ms));
}

TEST_F(Embedding, call_soon_threadsafe_wakes_the_foreign_poll) {
    std::atomic<bool> called{false};
    std::thread thread([this, &called] {
        std::this_thread::sleep_for(20ms);
        loop().call_soon_threadsafe([&called] { called = true; });
    });
    run_until([&called] { return called.load(); });
    thread.join();
    EXPECT_LE(polls_, 5);
    // A call that came between two polls is not lost either.
    called = false;
    std::thread([this, &called] {
        loop().call_soon_threadsafe([&called] { called = true; });
    }).join();
    run_until([&called] { return called.load(); });
}

TEST_F(Embedding, a_descriptor_that_becomes_ready_wakes_the_foreign_poll) {
    const Pipe pipe;
    loop().add_reader(pipe.ends[0], [this, &pipe] {
        pipe.read();
        log_.push_back("read");
    });
    EXPECT_FALSE(wants_to_run(20ms));
    std::thread thread([&pipe] {
        std::this_thread::sleep_for(20ms);
        pipe.write();
    });
    run_until([this] { return log_.size() == 1; });
    thread.join();
    EXPECT_FALSE(wants_to_run(20ms));
    EXPECT_TRUE(loop().remove_reader(pipe.ends[0]));
    pipe.write();
    EXPECT_FALSE(wants_to_run(20ms));
}

TEST_F(Embedding, tasks_run_to_their_end) {
    auto child = [](int value) -> Coro<int> {
        co_await asyncio::sleep(5ms);
        co_return value;
    };
    auto main = [&child](asyncio::Future<int> future) -> Coro<int> {
        auto [a, b] = co_await asyncio::gather(child(1), child(10));
        co_return a + b + co_await future;
    };
    auto future = loop().create_future<int>();
    auto task = loop().create_task(main(future));
    std::thread thread([this, &future] {
        std::this_thread::sleep_for(20ms);
        loop().call_soon_threadsafe([&future] { future.set_result(100); });
    });
    run_until([&task] { return task.done(); });
    thread.join();
    EXPECT_EQ(task.result(), 111);
    EXPECT_FALSE(loop().is_running());
    EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
}

TEST_F(Embedding, everything_at_once) {
    const Pipe pipe;
    int reads = 0;
    std::atomic<int> calls{0};
    int ticks = 0;
    loop().add_reader(pipe.ends[0], [&] {
        pipe.read();
        ++reads;
    });
    auto tick = [&]() -> Coro<void> {
        for (; ticks < 20; ++ticks) {
            co_await asyncio::sleep(1ms);
            loop().call_soon([&pipe] { pipe.write(); });
        }
    };
    auto task = loop().create_task(tick());
    std::thread thread([&] {
        for (int i = 0; i < 1000; ++i) {
            loop().call_soon_threadsafe([&calls] { ++calls; });
        }
    });
    run_until([&] { return task.done() && reads == 20 && calls == 1000; });
    thread.join();
    loop().remove_reader(pipe.ends[0]);
}

TEST_F(Embedding, a_closed_loop_has_no_descriptor) {
    EXPECT_GE(loop().fileno(), 0);
    loop().close();
    EXPECT_EQ(loop().fileno(), -1);
    EXPECT_THROW(loop().prepare_to_block(), asyncio::RuntimeError);
    EXPECT_THROW(loop().run_once(0s), asyncio::RuntimeError);
}

// ---- hooks

TEST_F(Embedding, block_hooks_are_called_around_polls_that_may_block) {
    // Time passes in the poller only, so that a timer that is due next is waited for.
    ManualClock clock;
    asyncio::LoopOptions options;
    options.clock = &clock;
    auto owned = std::make_unique<ScriptedPoller>(clock);
    ScriptedPoller& poller = *owned;
    options.poller = std::move(owned);
    const asyncio::EventLoopPtr scripted = asyncio::new_event_loop(std::move(options));
    const auto poll = [this, &clock](asyncio::Duration time) {
        return [this, &clock, time](auto&) {
            log_.push_back("poll");
            clock.time += time;
        };
    };
    scripted->set_block_hooks([this] { log_.push_back("before"); },
                              [this] { log_.push_back("after"); });
    scripted->run_once(0s);
    scripted->call_soon([] {});
    scripted->run_once(1s);
    EXPECT_TRUE(log_.empty());  // neither of them may wait
    poller.script = {poll(1ms)};
    scripted->run_once(1ms);
    EXPECT_EQ(log_, (std::vector<std::string>{"before", "poll", "after"}));
    log_.clear();
    scripted->call_later(50ms, [this, &scripted] {
        log_.push_back("timer");
        scripted->stop();
    });
    poller.script = {poll(50ms)};
    scripted->run_forever();
    EXPECT_EQ(log_, (std::vector<std::string>{"before", "poll", "after", "timer"}));
    log_.clear();
    scripted->set_block_hooks(nullptr, nullptr);
    scripted->run_once(1ms);
    EXPECT_TRUE(log_.empty());
}

// ---- runnables of others

class Work final : public Runnable {
public:
    Work(std::vector<std::string>& log, std::string name)
        : Runnable(&Work::run), log_(log), name_(std::move(name)) {}

    std::function<void()> action;

private:
    static void run(Runnable& self, Turn turn) {
        auto& work = static_cast<Work&>(self);
        work.log_.push_back(turn == Turn::run ? work.name_ : "discarded " + work.name_);
        if (turn == Turn::run && work.action) {
            work.action();
        }
    }

    std::vector<std::string>& log_;
    std::string name_;
};

TEST_F(Embedding, foreign_runnables_take_turns_with_tasks_and_callbacks) {
    Work first(log_, "work 1");
    Work second(log_, "work 2");
    auto main = [this]() -> Coro<void> {
        log_.push_back("task 1");
        co_await asyncio::sleep(0s);
        log_.push_back("task 2");
    };
    loop().call_soon([this] { log_.push_back("callback"); });
    loop().call_soon(first);
    auto task = loop().create_task(main());
    loop().call_soon(second);
    first.action = [this, &first] {
        first.action = nullptr;
        loop().call_soon(first);  // again, behind the task's second step
    };
    EXPECT_TRUE(first.scheduled());
    loop().run_once(0s);
    EXPECT_EQ(log_, (std::vector<std::string>{"callback", "work 1", "task 1", "work 2"}));
    log_.clear();
    EXPECT_TRUE(first.scheduled());
    EXPECT_FALSE(second.scheduled());
    loop().run_once(0s);
    EXPECT_EQ(log_, (std::vector<std::string>{"work 1", "task 2"}));
    EXPECT_TRUE(task.done());
}

TEST_F(Embedding, a_runnable_cannot_be_queued_twice) {
    Work work(log_, "work");
    loop().call_soon(work);
    EXPECT_THROW(loop().call_soon(work), asyncio::RuntimeError);
    loop().run_once(0s);
    EXPECT_EQ(log_.size(), 1U);
}

TEST_F(Embedding, a_runnable_may_be_destroyed_while_it_is_queued) {
    Work kept(log_, "kept");
    auto destroyed = std::make_unique<Work>(log_, "destroyed");
    auto later = std::make_unique<Work>(log_, "later");
    loop().call_soon(*destroyed);
    loop().call_soon(kept);
    loop().call_soon(*later);
    kept.action = [&later] { later.reset(); };  // out of the batch that runs
    destroyed.reset();
    loop().run_once(0s);
    EXPECT_EQ(log_, (std::vector<std::string>{"kept"}));
}

TEST_F(Embedding, an_exception_out_of_a_runnable_is_reported_and_the_others_run) {
    Work failing(log_, "failing");
    Work next(log_, "next");
    failing.action = [] { throw asyncio::ValueError("bad work"); };
    loop().call_soon(failing);
    loop().call_soon(next);
    loop().run_once(0s);
    EXPECT_EQ(log_, (std::vector<std::string>{"failing", "next"}));
    EXPECT_EQ(reports_, (std::vector<std::string>{
                            "Exception in callback of a foreign runnable: ValueError: bad work"}));
}

TEST_F(Embedding, a_loop_break_out_of_a_runnable_ends_the_run_and_keeps_the_rest) {
    Work breaking(log_, "breaking");
    Work next(log_, "next");
    breaking.action = [] { throw asyncio::KeyboardInterrupt(); };
    loop().call_soon(breaking);
    loop().call_soon(next);
    EXPECT_THROW(loop().run_once(0s), asyncio::KeyboardInterrupt);
    EXPECT_TRUE(next.scheduled());
    EXPECT_FALSE(loop().is_running());
    run_until([this] { return log_.size() == 2; });
    EXPECT_TRUE(reports_.empty());
}

TEST_F(Embedding, a_loop_that_closes_gives_runnables_back) {
    Work work(log_, "work");
    loop().call_soon(work);
    loop().close();
    EXPECT_EQ(log_, (std::vector<std::string>{"discarded work"}));
    EXPECT_FALSE(work.scheduled());
    EXPECT_THROW(loop().call_soon(work), asyncio::RuntimeError);
}

TEST_F(Embedding, runnables_are_in_no_context_and_in_no_task) {
    static asyncio::ContextVar<int> variable("embedding", 0);
    Work work(log_, "work");
    int seen = -1;
    work.action = [&seen] {
        seen = variable.get();
        EXPECT_FALSE(asyncio::current_task());
    };
    auto main = [this, &work]() -> Coro<void> {
        variable.set(5);
        loop().call_soon(work);
        co_return;
    };
    auto task = loop().create_task(main());
    loop().run_once(0s);
    loop().run_once(0s);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(seen, 0);
}

}  // namespace
