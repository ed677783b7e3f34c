// call_soon_threadsafe: whose thread runs, cancels and destroys what was given to it.
#include "loop_fixture.hpp"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <memory>
#include <semaphore>
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
    // The calls that exist at one time: without a bound they would fill the memory if this thread
    // did not run for a while. A call gives its place back when it is destroyed, run or not.
    std::counting_semaphore<> places(10'000);
    std::thread worker([&] {
        try {
            for (;;) {
                places.acquire();
                std::shared_ptr<void> place(nullptr, [&places](void*) { places.release(); });
                loop->call_soon_threadsafe([&ran, place = std::move(place)] { ++ran; });
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

// The wake-up channel of the only loop of this process.
int wake_descriptor() {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        if (std::filesystem::read_symlink(entry.path(), error) == "anon_inode:[eventfd]") {
            return std::stoi(entry.path().filename());
        }
    }
    return -1;
}

TEST_F(ThreadSafeCalls, S197_a_full_wake_up_channel_is_ignored) {
    const std::uint64_t full = std::numeric_limits<std::uint64_t>::max() - 1;
    ASSERT_EQ(::write(wake_descriptor(), &full, sizeof full), 8);
    std::thread([this] { loop->call_soon_threadsafe(note("a")); }).join();
    iterate();
    EXPECT_EQ(notes, "a");
}

TEST_F(ThreadSafeCalls, S197_a_closed_loop_refuses_the_call_and_destroys_it) {
    loop->close();
    const auto owned = std::make_shared<int>(0);
    std::thread([&] {
        EXPECT_THROW(loop->call_soon_threadsafe([owned] {}), asyncio::RuntimeError);
    }).join();
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(ThreadSafeCalls, S198_debug_mode_refuses_calls_from_other_threads) {
    loop->set_debug(true);
    loop->call_soon([this] {
        std::thread([this] {
            EXPECT_THROW(loop->call_soon([] {}), asyncio::RuntimeError);
            EXPECT_THROW(loop->call_later(1.0, [] {}), asyncio::RuntimeError);
            EXPECT_THROW(loop->call_at(asyncio::TimePoint(), [] {}), asyncio::RuntimeError);
        }).join();
    });
    iterate();
}

TEST_F(ThreadSafeCalls, S205_a_lock_that_tasks_have_waited_for_cannot_serve_another_loop) {
    asyncio::Lock lock;
    const auto contend = [&lock]() -> Coro<void> {
        const auto guard = co_await lock.scoped();
        co_await asyncio::wait_for(lock.acquire(), 0.001);
    };
    EXPECT_THROW(loop->run_until_complete(contend()), asyncio::TimeoutError);
    loop = make_loop();
    EXPECT_THROW(loop->run_until_complete(contend()), asyncio::RuntimeError);
}

TEST_F(ThreadSafeCalls, S205_a_queue_that_tasks_have_waited_for_cannot_serve_another_loop) {
    asyncio::Queue<int> queue;
    const auto wait = [&queue]() -> Coro<void> { co_await asyncio::wait_for(queue.get(), 0.001); };
    EXPECT_THROW(loop->run_until_complete(wait()), asyncio::TimeoutError);
    loop = make_loop();
    EXPECT_THROW(loop->run_until_complete(wait()), asyncio::RuntimeError);
}

}  // namespace
