// ThreadFuture and ThreadPoolExecutor: what they promise without any loop.
#include "gate.hpp"
#include "loop_fixture.hpp"
#include "thread_states.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::ThreadFuture;
using asyncio::ThreadPoolExecutor;
using thread_states::Path;
using thread_states::threads_of;

// An executor that runs its jobs when a test says so.
class ManualExecutor final : public asyncio::Executor {
public:
    void shutdown(bool, bool) override { jobs.clear(); }
    std::vector<asyncio::Job> jobs;

protected:
    void execute(asyncio::Job job) override { jobs.push_back(std::move(job)); }
};

std::string kernel_name() {
    char name[16] = "";
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    return name;
}

TEST(ThreadFutures, the_result_of_a_call_can_be_had_by_every_thread) {
    ThreadPoolExecutor pool(2);
    const ThreadFuture<std::string> future = pool.submit(
        [](std::string text, int number) { return text + std::to_string(number); }, "number ", 7);
    std::thread([future] { EXPECT_EQ(future.result(), "number 7"); }).join();
    EXPECT_EQ(future.result(1h), "number 7");
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.running());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(future.exception(), nullptr);
}

TEST(ThreadFutures, the_exception_of_a_call_comes_out_of_result) {
    ThreadPoolExecutor pool(1);
    const ThreadFuture<int> future = pool.submit([]() -> int { throw std::out_of_range("far"); });
    EXPECT_THROW(future.result(), std::out_of_range);
    EXPECT_EQ(asyncio::describe_exception(future.exception()), "out_of_range: far");
}

TEST(ThreadFutures, a_result_that_is_moved_out_is_gone) {
    ThreadPoolExecutor pool(1);
    ThreadFuture<std::unique_ptr<int>> future =
        pool.submit([] { return std::make_unique<int>(5); });
    const ThreadFuture<std::unique_ptr<int>> other = future;
    EXPECT_EQ(*std::move(future).result(), 5);
    EXPECT_THROW(other.result(), asyncio::InvalidStateError);
}

TEST(ThreadFutures, the_job_owns_its_arguments_and_lets_go_of_them_before_it_is_done) {
    ThreadPoolExecutor pool(1);
    auto owned = std::make_shared<int>(3);
    const std::weak_ptr<int> seen = owned;
    const ThreadFuture<int> future =
        pool.submit([](const std::shared_ptr<int>& number) { return *number; }, std::move(owned));
    EXPECT_EQ(future.result(), 3);
    EXPECT_TRUE(seen.expired());
}

TEST(ThreadFutures, waiting_for_a_time_ends_with_a_timeout_error) {
    ManualExecutor executor;
    const ThreadFuture<int> future = executor.submit([] { return 1; });
    EXPECT_THROW(future.result(0ms), asyncio::TimeoutError);
    EXPECT_THROW(future.exception(1ms), asyncio::TimeoutError);
    std::move(executor.jobs.front()).run();
    EXPECT_EQ(future.result(0ms), 1);
}

TEST(ThreadFutures, a_call_that_has_not_begun_can_be_cancelled_and_lets_go_of_its_arguments) {
    ManualExecutor executor;
    bool ran = false;
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    const ThreadFuture<void> future =
        executor.submit([&ran](const std::shared_ptr<int>&) { ran = true; }, std::move(owned));
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(seen.expired());
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(executor.jobs.front().cancelled());
    std::move(executor.jobs.front()).run();
    EXPECT_FALSE(ran);
    EXPECT_THROW(future.result(), asyncio::CancelledError);
    EXPECT_THROW(future.exception(), asyncio::CancelledError);
}

TEST(ThreadFutures, a_call_that_runs_cannot_be_cancelled) {
    Gate gate;
    ThreadPoolExecutor pool(1);
    const ThreadFuture<void> future = pool.submit(std::ref(gate));
    gate.wait_until_entered();
    EXPECT_TRUE(future.running());
    EXPECT_FALSE(future.cancel());
    gate.open();
    future.result();
    EXPECT_FALSE(future.cancel());
}

TEST(ThreadFutures, a_callback_may_drop_the_handle_through_which_the_call_was_cancelled) {
    ManualExecutor executor;
    auto handle = std::make_unique<ThreadFuture<int>>(executor.submit([] { return 1; }));
    std::string notes;
    handle->add_done_callback([&] {
        executor.jobs.clear();
        handle.reset();
        notes += "a";
    });
    handle->add_done_callback([&] { notes += "b"; });
    EXPECT_TRUE(handle->cancel());
    EXPECT_EQ(notes, "ab");
}

TEST(ThreadFutures, a_handle_that_names_nothing_throws) {
    const ThreadFuture<int> nothing;
    EXPECT_FALSE(nothing);
    EXPECT_THROW(nothing.cancel(), asyncio::RuntimeError);
    EXPECT_THROW(static_cast<void>(nothing.cancelled()), asyncio::RuntimeError);
    EXPECT_THROW(static_cast<void>(nothing.running()), asyncio::RuntimeError);
    EXPECT_THROW(static_cast<void>(nothing.done()), asyncio::RuntimeError);
    EXPECT_THROW(nothing.result(), asyncio::RuntimeError);
    EXPECT_THROW(ThreadFuture<int>().result(0s), asyncio::RuntimeError);
    EXPECT_THROW(nothing.exception(), asyncio::RuntimeError);
    EXPECT_THROW(nothing.add_done_callback([] {}), asyncio::RuntimeError);
    asyncio::run([&]() -> asyncio::Coro<void> {
        EXPECT_THROW(static_cast<void>(asyncio::wrap_future(nothing)), asyncio::RuntimeError);
        co_return;
    });
}

TEST(ThreadFutures, a_job_that_is_dropped_is_cancelled) {
    ManualExecutor executor;
    const ThreadFuture<int> future = executor.submit([] { return 1; });
    executor.shutdown(true, false);
    EXPECT_TRUE(future.cancelled());
}

TEST(ThreadFutures, callbacks_run_in_the_thread_that_ends_the_future_in_order) {
    ManualExecutor executor;
    const ThreadFuture<int> future = executor.submit([] { return 4; });
    std::string notes;
    std::thread::id where;
    future.add_done_callback([&](ThreadFuture<int> done) {
        notes += std::to_string(done.result());
        where = std::this_thread::get_id();
    });
    future.add_done_callback([&] { notes += "b"; });
    std::thread thread([&] { std::move(executor.jobs.front()).run(); });
    const std::thread::id expected = thread.get_id();
    thread.join();
    EXPECT_EQ(where, expected);
    future.add_done_callback([&] { notes += "c"; });
    EXPECT_EQ(notes, "4bc");
}

TEST(ThreadFutures, what_a_callback_throws_is_logged) {
    LogCapture captured;
    ManualExecutor executor;
    const ThreadFuture<void> future = executor.submit([] {});
    bool second = false;
    future.add_done_callback([] { throw std::runtime_error("oops"); });
    future.add_done_callback([&second] { second = true; });
    std::move(executor.jobs.front()).run();
    EXPECT_TRUE(second);
    EXPECT_EQ(captured.take(),
              std::vector<std::string>{"exception in a callback of a ThreadFuture: runtime_error: "
                                       "oops"});
}

TEST(ThreadFutures, many_threads_wait_cancel_and_time_out_at_once) {
    for (int round = 0; round < 20; ++round) {
        ThreadPoolExecutor pool(2);
        std::vector<ThreadFuture<int>> futures;
        for (int i = 0; i < 20; ++i) {
            futures.push_back(pool.submit([i] { return i; }));
        }
        std::atomic<int> ended{0};
        const auto look = [&](auto action) {
            for (const ThreadFuture<int>& future : futures) {
                action(future);
            }
        };
        std::thread waiter([&] {
            look([&](const ThreadFuture<int>& future) {
                try {
                    future.result(1us);
                } catch (const asyncio::TimeoutError&) {
                } catch (const asyncio::CancelledError&) {
                }
                future.add_done_callback([&ended] { ++ended; });
            });
        });
        look([](const ThreadFuture<int>& future) { future.cancel(); });
        waiter.join();
        pool.shutdown();
        EXPECT_EQ(ended, 20);
    }
}

TEST(ThreadPools, jobs_run_in_order_and_each_once) {
    std::vector<int> ran;
    {
        ThreadPoolExecutor pool(1);
        for (int i = 0; i < 100; ++i) {
            pool.submit([&ran, i] { ran.push_back(i); });
        }
    }
    ASSERT_EQ(ran.size(), 100U);
    EXPECT_TRUE(std::ranges::is_sorted(ran));
}

TEST(ThreadPools, a_thread_is_made_only_if_none_is_idle) {
    ThreadPoolExecutor pool(
        asyncio::ThreadPoolOptions{.max_workers = 4, .thread_name_prefix = "few"});
    Gate first;
    Gate second;
    const ThreadFuture<void> a = pool.submit(std::ref(first));
    first.wait_until_entered();
    const ThreadFuture<void> b = pool.submit(std::ref(second));
    second.wait_until_entered();
    EXPECT_EQ(pool.submit(kernel_name).result(), "few_2");
    first.open();
    second.open();
    a.result();
    b.result();
    // A thread is idle a moment after the result of its call is there.
    const std::vector<Path> all = threads_of("self");
    std::vector<Path> few = all;
    std::erase_if(few, [](const Path& thread) {
        return !thread_states::contents(thread / "comm").starts_with("few_");
    });
    ASSERT_EQ(few.size(), 3U);
    thread_states::await_rest(few);
    pool.submit(kernel_name).result();
    EXPECT_EQ(threads_of("self"), all);  // the fourth that it may have is not made
}

TEST(ThreadPools, the_end_of_a_long_prefix_gives_way_to_the_number_of_the_thread) {
    ThreadPoolExecutor pool(
        asyncio::ThreadPoolOptions{.max_workers = 1, .thread_name_prefix = "a_very_long_prefix"});
    EXPECT_EQ(pool.submit(kernel_name).result(), "a_very_long_p_0");
}

TEST(ThreadPools, signals_are_blocked_in_the_threads_and_nowhere_else) {
    ThreadPoolExecutor pool(1);
    const auto blocks_interrupt = [] {
        sigset_t blocked;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        return ::sigismember(&blocked, SIGINT) == 1;
    };
    EXPECT_TRUE(pool.submit(blocks_interrupt).result());
    EXPECT_FALSE(blocks_interrupt());
}

TEST(ThreadPools, signals_of_a_threads_own_faults_reach_the_programs_handlers) {
    ThreadPoolExecutor pool(1);
    const auto blocked = [] {
        std::vector<int> numbers;
        sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
            if (::sigismember(&mask, number) == 1) {
                numbers.push_back(number);
            }
        }
        return numbers;
    };
    EXPECT_EQ(pool.submit(blocked).result(), std::vector<int>());
}

TEST(ThreadPools, a_cancelled_call_leaves_the_queue) {
    ThreadPoolExecutor pool(1);
    Gate gate;
    const ThreadFuture<void> running = pool.submit(std::ref(gate));
    gate.wait_until_entered();
    bool ran = false;
    const ThreadFuture<void> queued = pool.submit([&ran] { ran = true; });
    EXPECT_TRUE(queued.cancel());
    gate.open();
    pool.shutdown();
    EXPECT_FALSE(ran);
}

TEST(ThreadPools, shutdown_refuses_new_jobs_and_runs_the_old_ones) {
    ThreadPoolExecutor pool(1);
    std::atomic<int> ran{0};
    for (int i = 0; i < 10; ++i) {
        pool.submit([&ran] { ++ran; });
    }
    pool.shutdown();
    EXPECT_EQ(ran, 10);
    EXPECT_THROW(pool.submit([] {}), asyncio::RuntimeError);
    pool.shutdown();
}

TEST(ThreadPools, shutdown_may_cancel_what_has_not_begun) {
    ThreadPoolExecutor pool(1);
    Gate gate;
    const ThreadFuture<void> running = pool.submit(std::ref(gate));
    gate.wait_until_entered();
    const ThreadFuture<int> queued = pool.submit([] { return 1; });
    pool.shutdown(false, true);
    EXPECT_TRUE(queued.cancelled());
    gate.open();
    running.result();
}

TEST(ThreadPools, after_a_shutdown_that_does_not_wait_the_threads_end_by_themselves) {
    auto gate = std::make_shared<Gate>();
    ThreadFuture<void> running;
    ThreadFuture<int> queued;
    {
        ThreadPoolExecutor pool(1);
        running = pool.submit([gate] { (*gate)(); });
        queued = pool.submit([] { return 2; });
        gate->wait_until_entered();
        pool.shutdown(false);
    }
    EXPECT_TRUE(running.running());
    gate->open();
    EXPECT_EQ(queued.result(), 2);
}

TEST(ThreadPools, a_job_may_shut_its_own_pool_down) {
    ThreadPoolExecutor pool(2);
    pool.submit([&pool] { pool.shutdown(); }).result();
    EXPECT_THROW(pool.submit([] {}), asyncio::RuntimeError);
}

TEST(ThreadPools, each_thread_begins_with_the_initializer) {
    static thread_local int prepared = 0;
    ThreadPoolExecutor pool(
        asyncio::ThreadPoolOptions{.max_workers = 1, .initializer = [] { prepared = 9; }});
    EXPECT_EQ(pool.submit([] { return prepared; }).result(), 9);
}

TEST(ThreadPools, an_initializer_that_fails_breaks_the_pool) {
    LogCapture captured;
    ThreadPoolExecutor pool(asyncio::ThreadPoolOptions{
        .max_workers = 1, .initializer = [] { throw std::runtime_error("no licence"); }});
    EXPECT_THROW(pool.submit([] {}).result(), asyncio::BrokenThreadPool);
    EXPECT_THROW(pool.submit([] {}), asyncio::BrokenThreadPool);
    EXPECT_EQ(captured.take(), std::vector<std::string>{
                                   "exception in the initializer of a thread pool: runtime_error: "
                                   "no licence"});
}

TEST(ThreadPools, a_pool_without_workers_is_refused) {
    EXPECT_THROW(ThreadPoolExecutor(0), asyncio::ValueError);
}

TEST(ThreadPools, map_calls_for_each_element_and_keeps_the_order) {
    ThreadPoolExecutor pool(3);
    const std::vector<int> numbers{1, 2, 3, 4};
    std::vector<int> squares;
    for (const auto& call : pool.map([](int n) { return n * n; }, numbers)) {
        squares.push_back(call.result());
    }
    EXPECT_EQ(squares, (std::vector{1, 4, 9, 16}));
}

}  // namespace
