// Calls in other threads as a loop sees them: run_in_executor, to_thread, wrap_future, and
// run_coroutine_threadsafe.
#include "gate.hpp"
#include "loop_fixture.hpp"

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::ThreadFuture;
using asyncio::ThreadPoolExecutor;

class Executors : public LoopFixture {
protected:
    // Runs until it is so. The loop blocks meanwhile, because what makes it so is external work.
    template <class Condition>
    void run_until(Condition condition) {
        while (!condition()) {
            loop->run_once();
        }
    }
};

TEST_F(Executors, S201_a_default_pool_is_made_and_the_result_arrives_in_the_loops_thread) {
    std::thread::id resumed_in;
    const auto where =
        loop->run_until_complete([](std::thread::id& resumed) -> Coro<std::thread::id> {
            const auto id = co_await asyncio::run_in_executor(
                nullptr, [] { return std::this_thread::get_id(); });
            resumed = std::this_thread::get_id();
            co_return id;
        }(resumed_in));
    EXPECT_NE(where, std::this_thread::get_id());
    EXPECT_EQ(resumed_in, std::this_thread::get_id());
}

TEST_F(Executors, S201_an_exception_comes_out_of_the_await) {
    auto failing = [](int n) -> int { throw std::out_of_range(std::to_string(n)); };
    auto future = loop->run_in_executor(nullptr, failing, 3);
    EXPECT_THROW(loop->run_until_complete(future), std::out_of_range);
}

TEST(Executor, map_copies_elements_and_not_what_refers_to_them) {
    class Later final : public asyncio::Executor {
    public:
        void run() {
            for (asyncio::Job& job : std::exchange(jobs_, {})) {
                std::move(job).run();
            }
        }
        void shutdown(bool, bool) override {}

    private:
        void execute(asyncio::Job job) override { jobs_.push_back(std::move(job)); }
        std::vector<asyncio::Job> jobs_;
    } later;
    std::vector bits{true, false, true};
    const auto calls = later.map([](bool bit) { return bit ? 1 : 0; }, bits);
    bits.flip();
    later.run();
    EXPECT_EQ(calls[0].result(), 1);
    EXPECT_EQ(calls[1].result(), 0);
    EXPECT_EQ(calls[2].result(), 1);
}

TEST_F(Executors, S201_an_executor_of_the_users_own_can_be_given) {
    class Inline final : public asyncio::Executor {
    public:
        void shutdown(bool, bool) override {}

    protected:
        void execute(asyncio::Job job) override { std::move(job).run(); }
    } executor;
    const auto future = loop->run_in_executor(&executor, [] { return std::make_unique<int>(8); });
    EXPECT_FALSE(future.done());
    iterate();
    ASSERT_TRUE(future.done());
    EXPECT_EQ(*future.result(), 8);
}

TEST_F(Executors, S201_virtual_time_does_not_jump_while_a_call_is_pending) {
    Gate gate;
    const auto future = loop->run_in_executor(nullptr, std::ref(gate));
    bool late = false;
    loop->call_later(1h, [&late] { late = true; });
    std::thread releaser([&gate] {
        gate.wait_until_entered();
        gate.open();
    });
    loop->run_until_complete(future);
    releaser.join();
    EXPECT_FALSE(late);
    iterate(2);
    loop->run_once();
    EXPECT_TRUE(late) << "and it jumps again afterwards";
}

TEST_F(Executors, S202_cancelling_drops_queued_work) {
    Gate gate;
    ThreadPoolExecutor pool(1);
    const auto running = loop->run_in_executor(&pool, std::ref(gate));
    gate.wait_until_entered();
    bool ran = false;
    const auto owned = std::make_shared<int>(0);
    const auto task = loop->create_task(
        [](ThreadPoolExecutor* executor, bool* flag, std::shared_ptr<int> kept) -> Coro<void> {
            co_await asyncio::run_in_executor(*executor,
                                              [flag, kept = std::move(kept)] { *flag = true; });
        },
        &pool, &ran, owned);
    iterate();
    task.cancel();
    iterate(2);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(owned.use_count(), 1) << "the queue has let go of the call";
    gate.open();
    loop->run_until_complete(running);
    pool.shutdown();
    EXPECT_FALSE(ran);
}

TEST_F(Executors, S202_a_running_call_goes_on_without_the_one_who_awaited_it) {
    Gate gate;
    ThreadPoolExecutor pool(1);
    std::atomic<bool> ended{false};
    const auto future = loop->run_in_executor(&pool, [&] {
        gate();
        ended = true;
        throw std::runtime_error("nobody wants to know");
    });
    gate.wait_until_entered();
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.cancelled());
    EXPECT_FALSE(ended);
    gate.open();
    pool.shutdown();
    EXPECT_TRUE(ended);
    iterate();
    EXPECT_TRUE(future.cancelled());
}

TEST_F(Executors, S202_the_outcome_of_a_call_that_ends_after_the_loop_has_gone_is_dropped) {
    Gate gate;
    ThreadPoolExecutor pool(1);
    auto owned = std::make_shared<int>(5);
    const std::weak_ptr<int> seen = owned;
    {
        const auto pending = loop->run_in_executor(&pool, [&gate, kept = std::move(owned)] {
            gate();
            return kept;
        });
        gate.wait_until_entered();
    }
    loop.reset();
    gate.open();
    pool.shutdown();
    EXPECT_TRUE(seen.expired());
}

TEST_F(Executors, S202_an_error_that_nobody_awaits_is_reported) {
    {
        ThreadPoolExecutor pool(1);
        loop->run_in_executor(&pool, [] { throw std::runtime_error("lost"); }).get_loop();
    }
    iterate();
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Future exception was never retrieved");
}

TEST_F(Executors, S203_shutdown_joins_without_blocking_the_loop) {
    Gate gate;
    auto running = loop->run_in_executor(nullptr, std::ref(gate));
    gate.wait_until_entered();
    bool turned = false;
    const auto shutdown = loop->create_task(loop->shutdown_default_executor());
    loop->call_soon([&] {
        turned = true;
        gate.open();
    });
    loop->run_until_complete(shutdown);
    EXPECT_TRUE(turned);
    EXPECT_TRUE(running.done());
    EXPECT_THROW(static_cast<void>(loop->run_in_executor(nullptr, [] {})), asyncio::RuntimeError);
}

TEST_F(Executors, S203_a_default_executor_that_was_never_used_shuts_down_at_once) {
    loop->run_until_complete(loop->shutdown_default_executor());
    EXPECT_THROW(static_cast<void>(loop->run_in_executor(nullptr, [] {})), asyncio::RuntimeError);
}

TEST_F(Executors, S203_after_the_timeout_it_warns_and_leaves_the_threads_alone) {
    const auto gate = std::make_shared<Gate>();
    const auto pool = std::make_shared<ThreadPoolExecutor>(1);
    loop->set_default_executor(pool);
    const auto running = loop->run_in_executor(nullptr, [gate] { (*gate)(); });
    gate->wait_until_entered();
    loop->run_until_complete(loop->shutdown_default_executor(0s));
    EXPECT_EQ(captured.take(), std::vector<std::string>{
                                   "the default executor did not finish joining its threads within "
                                   "0 seconds"});
    EXPECT_FALSE(running.done());
    loop.reset();  // does not wait either
    gate->open();
    pool->shutdown();
}

TEST_F(Executors, S203_set_default_executor_refuses_null) {
    EXPECT_THROW(loop->set_default_executor(nullptr), asyncio::TypeError);
}

TEST(ExecutorsOfRun, S207_run_waits_for_the_calls_of_the_default_executor) {
    std::atomic<bool> ended{false};
    Gate gate;
    asyncio::run([&]() -> Coro<void> {
        const auto future = asyncio::run_in_executor(nullptr, [&] {
            gate();
            ended = true;
        });
        gate.wait_until_entered();
        future.cancel();
        gate.open();
        co_return;
    });
    EXPECT_TRUE(ended);
}

TEST_F(Executors, S204_to_thread_forwards_arguments_and_exceptions_and_runs_once) {
    int ran = 0;
    const auto call = [&ran](std::unique_ptr<int> number, int other) {
        ++ran;
        return *number + other;
    };
    EXPECT_EQ(loop->run_until_complete(asyncio::to_thread(call, std::make_unique<int>(3), 4)), 7);
    EXPECT_EQ(ran, 1);
    EXPECT_THROW(
        loop->run_until_complete(asyncio::to_thread([] { throw std::out_of_range("too far"); })),
        std::out_of_range);
}

asyncio::ContextVar<int> level("level", 0);

TEST_F(Executors, S204_to_thread_copies_the_context) {
    loop->run_until_complete([]() -> Coro<void> {
        level.set(1);
        const int seen = co_await asyncio::to_thread([] {
            const int outside = level.get();
            level.set(2);
            return outside;
        });
        EXPECT_EQ(seen, 1);
        EXPECT_EQ(level.get(), 1);
        EXPECT_EQ(co_await asyncio::run_in_executor(nullptr, [] { return level.get(); }), 0)
            << "only to_thread takes the context along";
    }());
}

TEST_F(Executors, wrap_future_cancels_the_thread_future_and_the_other_way_round) {
    Gate gate;
    ThreadPoolExecutor pool(1);
    const ThreadFuture<void> running = pool.submit(std::ref(gate));
    gate.wait_until_entered();
    const ThreadFuture<int> first = pool.submit([] { return 1; });
    const ThreadFuture<int> second = pool.submit([] { return 2; });
    loop->run_until_complete([](ThreadFuture<int> a, ThreadFuture<int> b) -> Coro<void> {
        asyncio::wrap_future(a).cancel();
        EXPECT_TRUE(a.cancelled());
        const auto wrapped = asyncio::wrap_future(b);
        b.cancel();
        EXPECT_THROW(co_await wrapped, asyncio::CancelledError);
    }(first, second));
    gate.open();
}

// ---- run_coroutine_threadsafe

// Runs a loop while another thread works with it.
class CoroutinesForThreads : public Executors {
protected:
    template <class Work>
    void run_with(Work work) {
        loop->external_work_started();
        std::thread worker([&] {
            work();
            loop->call_soon_threadsafe([this] {
                loop->external_work_finished();
                finished = true;
            });
        });
        run_until([this] { return finished; });
        worker.join();
        iterate(3);
    }
    bool finished = false;
};

Coro<int> add(int a, int b) {
    co_await asyncio::sleep(0s);
    co_return a + b;
}

TEST_F(CoroutinesForThreads, S199_the_result_reaches_the_thread) {
    run_with([this] {
        EXPECT_EQ(asyncio::run_coroutine_threadsafe(add(1, 2), *loop).result(), 3);
        auto owned = asyncio::run_coroutine_threadsafe(
            [number = std::make_unique<int>(4)]() -> Coro<std::unique_ptr<int>> {
                co_await asyncio::sleep(0s);
                co_return std::make_unique<int>(*number);
            },
            *loop);
        EXPECT_EQ(*std::move(owned).result(), 4);
    });
}

TEST_F(CoroutinesForThreads, S199_the_exception_reaches_the_thread) {
    run_with([this] {
        const auto future = asyncio::run_coroutine_threadsafe(
            []() -> Coro<void> {
                co_await asyncio::sleep(0s);
                throw std::out_of_range("far");
            },
            *loop);
        EXPECT_THROW(future.result(), std::out_of_range);
    });
}

TEST_F(CoroutinesForThreads, S199_a_cancelled_task_cancels_the_future) {
    run_with([this] {
        const auto future = asyncio::run_coroutine_threadsafe(
            []() -> Coro<void> {
                asyncio::current_task().cancel();
                co_await asyncio::sleep(1h);
            },
            *loop);
        EXPECT_THROW(future.result(), asyncio::CancelledError);
    });
}

TEST_F(CoroutinesForThreads, S199_B35_cancelling_the_future_cancels_the_task) {
    bool cancelled = false;
    run_with([this, &cancelled] {
        std::latch begun{1};
        const auto future = asyncio::run_coroutine_threadsafe(
            [&]() -> Coro<void> {
                begun.count_down();
                try {
                    co_await loop->create_future<void>();
                } catch (const asyncio::CancelledError&) {
                    cancelled = true;
                    throw;
                }
            },
            *loop);
        begun.wait();
        EXPECT_TRUE(future.cancel());
        EXPECT_TRUE(future.cancelled());
    });
    EXPECT_TRUE(cancelled);
}

TEST_F(CoroutinesForThreads, S199_B35_cancelling_in_the_loops_thread_cancels_the_task) {
    const auto future = asyncio::run_coroutine_threadsafe(
        []() -> Coro<void> { co_await asyncio::sleep(1h); }, *loop);
    iterate(2);
    EXPECT_EQ(asyncio::all_tasks(*loop).size(), 1U);
    EXPECT_TRUE(future.cancel());
    iterate(3);
    EXPECT_EQ(asyncio::all_tasks(*loop).size(), 0U);
}

TEST_F(CoroutinesForThreads, S199_a_future_that_is_cancelled_early_never_starts_its_task) {
    bool ran = false;
    const auto future = asyncio::run_coroutine_threadsafe(
        [](bool& flag) -> Coro<void> {
            flag = true;
            co_return;
        }(ran),
        *loop);
    EXPECT_TRUE(future.cancel());
    iterate(3);
    EXPECT_FALSE(ran);
}

TEST_F(CoroutinesForThreads, S199_nobody_waits_for_a_loop_that_is_closed) {
    const auto unstarted = asyncio::run_coroutine_threadsafe(add(1, 2), *loop);
    loop->close();
    EXPECT_TRUE(unstarted.cancelled());
    EXPECT_THROW(asyncio::run_coroutine_threadsafe(add(1, 2), *loop), asyncio::RuntimeError);

    loop = make_loop();
    const auto pending = asyncio::run_coroutine_threadsafe(
        []() -> Coro<void> { co_await asyncio::sleep(1h); }, *loop);
    iterate(2);
    loop->close();
    EXPECT_EQ(take_reports().size(), 1U);  // with the last handle of the task
    EXPECT_TRUE(pending.cancelled());
}

TEST_F(CoroutinesForThreads, S200_a_task_that_cannot_be_made_fails_the_future_and_is_reported) {
    loop->set_task_factory(
        [](EventLoop&, asyncio::TaskOptions&) { throw std::runtime_error("no tasks today"); });
    const auto future = asyncio::run_coroutine_threadsafe(add(1, 2), *loop);
    iterate();
    EXPECT_THROW(future.result(0s), std::runtime_error);
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(asyncio::describe_exception(reports[0].exception), "runtime_error: no tasks today");
}

TEST(ThreadPools, two_of_its_threads_may_shut_a_pool_down_at_once) {
    asyncio::ThreadPoolExecutor pool(2);
    std::latch both(2);
    const auto end = [&] {
        both.arrive_and_wait();
        pool.shutdown();
    };
    const auto first = pool.submit(end);
    const auto second = pool.submit(end);
    first.result();
    second.result();
}

}  // namespace
