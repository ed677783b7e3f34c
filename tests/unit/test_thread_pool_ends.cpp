// How a ThreadPoolExecutor ends, and what it does where there are no threads.
#include <asyncio/executors.hpp>

#include "gate.hpp"
#include "no_threads.hpp"
#include "sanitizers.hpp"
#include "thread_states.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

namespace {

using asyncio::ThreadFuture;
using asyncio::ThreadPoolExecutor;

// A call that shuts its own pool down, and ends when the thread that made this waits.
class LongGoodbye {
public:
    void operator()(ThreadPoolExecutor& pool) {
        pool.shutdown();
        shut_down_.count_down();
        while (!given_up && !thread_states::is_asleep(waiting_)) {
            std::this_thread::yield();
        }
        ended = true;
    }
    void wait_until_shut_down() { shut_down_.wait(); }

    std::atomic<bool> ended{false};
    std::atomic<bool> given_up{false};

private:
    const thread_states::Path waiting_ = "/proc/self/task/" + std::to_string(::gettid());
    std::latch shut_down_{1};
};

TEST(ThreadPoolEnds, shutdown_waits_for_a_call_that_has_shut_the_pool_down) {
    ThreadPoolExecutor pool(2);
    LongGoodbye call;
    const ThreadFuture<void> running = pool.submit(std::ref(call), std::ref(pool));
    call.wait_until_shut_down();
    pool.shutdown();
    EXPECT_TRUE(call.ended);
    call.given_up = true;
    running.result();
}

TEST(ThreadPoolEnds, the_destructor_waits_for_a_call_that_has_shut_the_pool_down) {
    LongGoodbye call;
    ThreadFuture<void> running;
    {
        ThreadPoolExecutor pool(2);
        running = pool.submit(std::ref(call), std::ref(pool));
        call.wait_until_shut_down();
    }
    EXPECT_TRUE(call.ended);
    call.given_up = true;
    running.result();
}

TEST(ThreadPoolEnds, one_may_end_in_a_call_of_its_own) {
    auto pool = std::make_shared<ThreadPoolExecutor>(1);
    Gate gate;
    const ThreadFuture<void> last = pool->submit([&gate, &pool] {
        gate();
        pool.reset();
    });
    gate.wait_until_entered();
    const ThreadFuture<int> queued = pool->submit([] { return 3; });
    gate.open();
    last.result();
    EXPECT_EQ(queued.result(), 3);
}

// What a child finds that was forked beside a pool whose only thread was busy; a number for its
// exit status.
int check_forked_child(std::unique_ptr<ThreadPoolExecutor> pool, const ThreadFuture<int>& queued) {
    try {
        pool->submit([] {});
        return 1;
    } catch (const asyncio::RuntimeError&) {
    }
    if (!queued.cancel()) {
        return 2;
    }
    pool->shutdown(true, true);
    pool.reset();
    return ThreadPoolExecutor(1).submit([] { return 0; }).result();
}

TEST(ThreadPoolEnds, a_forked_child_has_none_of_the_threads_and_makes_pools_of_its_own) {
    if (built_with_tsan) {
        GTEST_SKIP() << "ThreadSanitizer makes no threads in a child";
    }
    auto pool = std::make_unique<ThreadPoolExecutor>(1);
    Gate gate;
    const ThreadFuture<void> running = pool->submit(std::ref(gate));
    gate.wait_until_entered();
    const ThreadFuture<int> queued = pool->submit([] { return 4; });
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(check_forked_child(std::move(pool), queued));
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    gate.open();
    EXPECT_EQ(queued.result(), 4);
}

TEST(ThreadPoolEnds, without_any_thread_a_call_is_refused_and_the_error_tells_why) {
    ThreadPoolExecutor pool(2);
    {
        const NoThreads none;
        try {
            pool.submit([] {});
            ADD_FAILURE() << "it was taken";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::resource_unavailable_try_again);
            EXPECT_TRUE(std::string(error.what()).starts_with("cannot start a thread: "))
                << error.what();
        }
    }
    EXPECT_EQ(pool.submit([] { return 1; }).result(), 1);
}

TEST(ThreadPoolEnds, those_that_cannot_have_more_threads_go_on_with_fewer) {
    ThreadPoolExecutor pool(2);
    Gate gate;
    const ThreadFuture<void> running = pool.submit(std::ref(gate));
    gate.wait_until_entered();
    ThreadFuture<int> queued;
    {
        const NoThreads none;
        queued = pool.submit([] { return 2; });
    }
    gate.open();
    EXPECT_EQ(queued.result(), 2);
}

}  // namespace
