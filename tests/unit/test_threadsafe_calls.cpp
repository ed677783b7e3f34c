// call_soon_threadsafe: whose thread runs, cancels and destroys what was given to it.
#include "loop_fixture.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::Future;
using asyncio::ThreadSafeHandle;

// Notes the thread that destroys the last copy.
std::shared_ptr<int> note_destruction(std::thread::id& where) {
    return {new int(0), [&where](const int* value) {
                where = std::this_thread::get_id();
                delete value;
            }};
}

class ThreadSafeCalls : public LoopFixture {};

TEST_F(ThreadSafeCalls, S196_the_loops_thread_destroys_the_callable_though_a_handle_outlives_it) {
    std::thread::id destroyed_by;
    std::atomic<bool> ran{false};
    std::atomic<bool> scheduled{false};
    std::thread worker([&, owned = note_destruction(destroyed_by)]() mutable {
        const ThreadSafeHandle handle =
            loop->call_soon_threadsafe([&ran, owned = std::move(owned)] { ran = true; });
        scheduled = true;
        scheduled.notify_one();
        ran.wait(false);
        EXPECT_FALSE(handle.cancelled());
    });
    scheduled.wait(false);
    iterate();
    EXPECT_EQ(destroyed_by, std::this_thread::get_id());
    ran.notify_one();
    worker.join();
}

TEST_F(ThreadSafeCalls, S196_a_cancelled_callable_is_destroyed_by_the_loops_thread) {
    std::thread::id destroyed_by;
    std::thread([&, owned = note_destruction(destroyed_by)]() mutable {
        const ThreadSafeHandle handle =
            loop->call_soon_threadsafe([this, owned = std::move(owned)] { notes += "ran"; });
        handle.cancel();
        EXPECT_TRUE(handle.cancelled());
    }).join();
    EXPECT_EQ(destroyed_by, std::thread::id());
    iterate();
    EXPECT_EQ(destroyed_by, std::this_thread::get_id());
    EXPECT_EQ(notes, "");
}

TEST_F(ThreadSafeCalls, S196_futures_completed_by_other_threads_keep_their_counts) {
    constexpr int calls = 2000;
    std::vector<Future<int>> futures;
    for (int i = 0; i < calls; ++i) {
        futures.push_back(loop->create_future<int>());
    }
    int left = calls;
    std::thread worker([&, given = futures]() mutable {
        for (Future<int>& future : given) {
            loop->call_soon_threadsafe([&left, future = std::move(future)] {
                future.set_result(1);
                --left;
            });
        }
        given.clear();
    });
    while (left > 0) {
        const std::vector<Future<int>> copies(futures.begin(), futures.begin() + 10);
        iterate();
    }
    worker.join();
    for (const Future<int>& future : futures) {
        EXPECT_EQ(asyncio::detail::HandleAccess::state(future).refs(), 1U);
    }
}

TEST_F(ThreadSafeCalls, S195_a_loop_may_be_closed_while_other_threads_call_it) {
    std::atomic<bool> refused{false};
    int ran = 0;
    std::thread worker([&] {
        try {
            for (;;) {
                loop->call_soon_threadsafe([&ran] { ++ran; });
            }
        } catch (const asyncio::RuntimeError&) {
            refused = true;
        }
    });
    while (ran == 0) {
        iterate();
    }
    loop->close();
    worker.join();
    EXPECT_TRUE(refused);
}

}  // namespace
