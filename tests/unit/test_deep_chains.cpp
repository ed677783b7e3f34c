// A million of everything: chains as long as memory allows are created, cancelled, walked and
// destroyed without recursion.
#include <asyncio/gather.hpp>
#include <asyncio/shield.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/task.hpp>

#include "loop_fixture.hpp"
#include "sanitizers.hpp"

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::Task;

constexpr int depth = 1'000'000;

// Where a million CancelledErrors take half a minute, chains that unwind are shorter. A chain of
// this length still needs a hundred times the stack there is, if it recurses.
constexpr int unwound_depth = built_with_tsan ? 100'000 : depth;
constexpr int gather_depth = 100'000;
constexpr int shield_depth = 1'000'000;

// Counts the coroutines that are alive, and those that an exception ended.
struct Counts {
    int alive = 0;
    int unwound = 0;
};

struct Counted {
    explicit Counted(Counts& counts) : counts(counts) { ++counts.alive; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() {
        --counts.alive;
        counts.unwound += std::uncaught_exceptions() > 0 ? 1 : 0;
    }
    Counts& counts;
};

Coro<int> nest(int levels, Future<int> innermost, Counts& counts) {
    const Counted counted(counts);
    if (levels == 0) {
        co_return co_await innermost;
    }
    co_return 1 + co_await nest(levels - 1, innermost, counts);
}

class DeepChains : public LoopFixture {
protected:
    // A task whose chain of coroutines waits for a future.
    Task<int> suspended_chain(const Future<int>& innermost, int levels = depth) {
        Task<int> task = loop->create_task(nest, levels, innermost, std::ref(counts));
        iterate();
        EXPECT_EQ(counts.alive, levels + 1);
        return task;
    }

    Counts counts;
};

TEST_F(DeepChains, a_million_tasks_are_created_and_gathered) {
    auto give = [](int number) -> Coro<int> { co_return number; };
    auto main = [](auto function) -> Coro<long> {
        std::vector<Coro<int>> coros;
        coros.reserve(depth);
        for (int i = 0; i < depth; ++i) {
            coros.push_back(function(i));
        }
        const std::vector<int> results = co_await asyncio::gather(coros);
        long sum = 0;
        for (const int result : results) {
            sum += result;
        }
        co_return sum;
    };
    EXPECT_EQ(loop->run_until_complete(main(give)), static_cast<long>(depth) * (depth - 1) / 2);
}

TEST_F(DeepChains, a_million_sleepers_are_cancelled_by_their_gather) {
    auto main = []() -> Coro<void> {
        std::vector<Coro<void>> coros;
        coros.reserve(unwound_depth);
        for (int i = 0; i < unwound_depth; ++i) {
            coros.push_back(asyncio::sleep(1h));
        }
        co_await asyncio::gather(coros);
    };
    const Task<void> task = loop->create_task(main());
    iterate(2);
    task.cancel();
    EXPECT_THROW(loop->run_until_complete(task), CancelledError);
    iterate(3);
    EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
    EXPECT_TRUE(asyncio::detail::LoopAccess::timers(*loop).empty());
}

TEST_F(DeepChains, a_chain_of_coroutines_completes) {
    const Future<int> innermost = loop->create_future<int>();
    const Task<int> task = suspended_chain(innermost);
    innermost.set_result(0);
    EXPECT_EQ(loop->run_until_complete(task), depth);
    EXPECT_EQ(counts.alive, 0);
}

TEST_F(DeepChains, a_cancelled_chain_of_coroutines_unwinds_through_every_one) {
    const Task<int> task = suspended_chain(loop->create_future<int>(), unwound_depth);
    task.cancel("deep");
    iterate();
    ASSERT_TRUE(task.cancelled());
    EXPECT_EQ(counts.unwound, unwound_depth + 1);
    EXPECT_EQ(counts.alive, 0);
    try {
        task.result();
    } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "deep");
        EXPECT_NE(std::string(error.where().function_name()).find("nest"), std::string::npos);
    }
}

TEST_F(DeepChains, a_chain_of_coroutines_is_walked) {
    const Future<int> innermost = loop->create_future<int>();
    const Task<int> task = suspended_chain(innermost);
    EXPECT_EQ(task.get_stack().size(), static_cast<std::size_t>(depth) + 1);
    EXPECT_EQ(task.get_stack(2).size(), 2U);
    EXPECT_NE(repr(task).find("coro=<nest() running at"), std::string::npos) << repr(task);
    EXPECT_TRUE(task.get_coro());
    innermost.set_result(0);
    iterate();
    EXPECT_EQ(task.result(), depth);
}

TEST_F(DeepChains, a_suspended_chain_of_coroutines_is_destroyed_with_its_loop) {
    const Task<int> task = suspended_chain(loop->create_future<int>());
    loop->close();
    EXPECT_EQ(counts.alive, 0);
    EXPECT_EQ(counts.unwound, 0);
    EXPECT_EQ(take_reports().size(), 1U);
}

// ---- tasks that wait for tasks

Coro<int> await_next(Task<int> next) { co_return 1 + co_await next; }

Coro<int> await_first(Future<int> future) { co_return co_await future; }

// The head of a chain of tasks, each of which awaits the next one.
Task<int> chain_of_tasks(asyncio::EventLoop& loop, const Future<int>& innermost,
                         int length = depth) {
    Task<int> head = loop.create_task(await_first, innermost);
    for (int i = 1; i < length; ++i) {
        head = loop.create_task(await_next(std::move(head)));
    }
    return head;
}

TEST_F(DeepChains, a_chain_of_tasks_is_cancelled_at_its_head) {
    const Future<int> innermost = loop->create_future<int>();
    const Task<int> head = chain_of_tasks(*loop, innermost, unwound_depth);
    iterate();
    EXPECT_TRUE(head.cancel("head"));
    EXPECT_TRUE(innermost.cancelled());
    EXPECT_THROW(loop->run_until_complete(head), CancelledError);
    EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
}

TEST_F(DeepChains, a_chain_of_tasks_completes) {
    const Future<int> innermost = loop->create_future<int>();
    const Task<int> head = chain_of_tasks(*loop, innermost);
    iterate();
    innermost.set_result(1);
    EXPECT_EQ(loop->run_until_complete(head), depth);
}

TEST_F(DeepChains, a_chain_of_tasks_is_destroyed_with_its_loop) {
    std::size_t reported = 0;
    loop->set_exception_handler([&](auto&, const asyncio::ErrorContext&) { ++reported; });
    const Task<int> head = chain_of_tasks(*loop, loop->create_future<int>());
    iterate();
    loop->close();
    EXPECT_EQ(reported, static_cast<std::size_t>(depth));
    EXPECT_FALSE(head.done());
}

// ---- gathers of gathers, shields of shields

Coro<void> nest_gathers(int levels, Future<void> innermost, Counts& counts) {
    const Counted counted(counts);
    if (levels == 0) {
        co_await innermost;
        co_return;
    }
    co_await asyncio::gather(nest_gathers(levels - 1, innermost, counts));
}

TEST_F(DeepChains, tasks_that_gather_tasks_are_cancelled_at_the_top) {
    const Future<void> innermost = loop->create_future<void>();
    const Task<void> top =
        loop->create_task(nest_gathers, gather_depth, innermost, std::ref(counts));
    iterate(gather_depth + 1);
    ASSERT_EQ(counts.alive, gather_depth + 1);
    EXPECT_TRUE(top.cancel("top"));
    EXPECT_TRUE(innermost.cancelled());
    EXPECT_THROW(loop->run_until_complete(top), CancelledError);
    EXPECT_EQ(counts.unwound, gather_depth + 1);
    EXPECT_EQ(counts.alive, 0);
}

TEST_F(DeepChains, tasks_that_gather_tasks_are_destroyed_with_their_loop) {
    const Task<void> top = loop->create_task(nest_gathers, gather_depth,
                                             loop->create_future<void>(), std::ref(counts));
    iterate(gather_depth + 1);
    loop->close();
    EXPECT_EQ(counts.alive, 0);
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(DeepChains, nested_shields_complete_and_are_destroyed) {
    const Future<int> innermost = loop->create_future<int>();
    Future<int> outer = innermost;
    for (int i = 0; i < shield_depth; ++i) {
        outer = asyncio::shield(outer);
    }
    innermost.set_result(7);
    EXPECT_EQ(loop->run_until_complete(outer), 7);
    iterate(2);
    outer = {};
}

TEST_F(DeepChains, nested_shields_are_destroyed_with_their_loop) {
    Future<int> outer = loop->create_future<int>();
    for (int i = 0; i < shield_depth; ++i) {
        outer = asyncio::shield(outer);
    }
    loop->close();
    EXPECT_FALSE(outer.done());
    outer = {};
}

Coro<int> own_next(Coro<int> next) { co_return 1 + co_await std::move(next); }

Coro<int> own_nothing() { co_return 1; }

Coro<int> nest_unstarted(int levels) {
    Coro<int> coro = own_nothing();
    for (int i = 0; i < levels; ++i) {
        coro = own_next(std::move(coro));
    }
    return coro;
}

TEST_F(DeepChains, coroutines_that_own_each_other_run) {
    EXPECT_EQ(loop->run_until_complete(nest_unstarted(depth)), depth + 1);
}

TEST_F(DeepChains, coroutines_that_own_each_other_are_closed_before_they_start) {
    nest_unstarted(depth).close();
    captured.take();  // each of the inner ones was never awaited
}

TEST_F(DeepChains, coroutines_that_own_each_other_are_cancelled_before_they_start) {
    const Task<int> task = loop->create_task(nest_unstarted(depth));
    task.cancel();
    iterate();
    EXPECT_TRUE(task.cancelled());
    captured.take();  // each of the inner ones was never awaited
}

TEST_F(DeepChains, callbacks_that_own_each_others_futures_are_dropped) {
    Future<void> next = loop->create_future<void>();
    for (int i = 0; i < depth; ++i) {
        const Future<void> future = loop->create_future<void>();
        future.add_done_callback([next = std::move(next)] { next.set_result(); });
        next = future;
    }
    next = {};
}

TEST_F(DeepChains, nested_exception_groups_are_walked) {
    constexpr int nesting = 10'000;
    std::exception_ptr error = std::make_exception_ptr(std::runtime_error("innermost"));
    for (int i = 0; i < nesting; ++i) {
        error = asyncio::make_exception_group("level", {error});
    }
    try {
        std::rethrow_exception(error);
    } catch (const asyncio::ExceptionGroup& group) {
        EXPECT_EQ(group.leaves().size(), 1U);
    }
}

}  // namespace
