// wait and as_completed.
#include "coordination_fixture.hpp"

#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Future;
using asyncio::ReturnWhen;
using asyncio::Task;

Coro<int> give_later(asyncio::Duration delay, int value) {
    co_await asyncio::sleep(delay);
    co_return value;
}

Coro<int> fail_later(asyncio::Duration delay) {
    co_await asyncio::sleep(delay);
    throw std::runtime_error("failed");
}

class Wait : public Coordination {};

TEST_F(Wait, S182_the_three_modes) {
    run([]() -> Coro<void> {
        const std::vector<Task<int>> tasks = {
            asyncio::create_task(give_later(1s, 1)), asyncio::create_task(fail_later(3s)),
            asyncio::create_task(give_later(2s, 3)), asyncio::create_task(give_later(9s, 4))};
        auto result = co_await asyncio::wait(tasks, {.return_when = ReturnWhen::first_completed});
        EXPECT_EQ(result.done, std::vector{tasks[0]});
        EXPECT_EQ(result.pending, (std::vector{tasks[1], tasks[2], tasks[3]}));
        result = co_await asyncio::wait(tasks, {.return_when = ReturnWhen::first_exception});
        EXPECT_EQ(result.done, (std::vector{tasks[0], tasks[1], tasks[2]}));
        result = co_await asyncio::wait(tasks);
        EXPECT_EQ(result.pending.size(), 0U);
        EXPECT_TRUE(tasks[1].exception() != nullptr);
    });
    EXPECT_EQ(clock.seconds(), 9);
}

TEST_F(Wait, S182_a_cancelled_one_is_no_exception) {
    run([this]() -> Coro<void> {
        const std::vector<Task<int>> tasks = {asyncio::create_task(give_later(1h, 1)),
                                              asyncio::create_task(give_later(1s, 2))};
        loop->call_soon([&tasks] { tasks[0].cancel(); });
        const auto result =
            co_await asyncio::wait(tasks, {.return_when = ReturnWhen::first_exception});
        EXPECT_EQ(result.done, tasks);
    });
}

TEST_F(Wait, S183_a_time_limit_cancels_nothing) {
    run([]() -> Coro<void> {
        const std::vector<Task<int>> tasks = {asyncio::create_task(give_later(1s, 1)),
                                              asyncio::create_task(give_later(5s, 2))};
        const auto result = co_await asyncio::wait(tasks, {.timeout = 2s});
        EXPECT_EQ(result.done, std::vector{tasks[0]});
        EXPECT_EQ(co_await tasks[1], 2);
    });
}

TEST_F(Wait, S184_S188_a_cancelled_wait_leaves_the_futures_as_they_were) {
    const Future<int> future = loop->create_future<int>();
    const auto waiting =
        loop->create_task(asyncio::wait(std::vector{future}, {.timeout = asyncio::Duration(1h)}));
    iterate();
    waiting.cancel();
    iterate();
    EXPECT_TRUE(waiting.cancelled());
    EXPECT_FALSE(future.done());
    EXPECT_TRUE(asyncio::detail::LoopAccess::timers(*loop).empty());
    EXPECT_EQ(asyncio::detail::HandleAccess::state(future).refs(), 1U);
}

TEST_F(Wait, S185_nothing_to_wait_for_is_an_error) {
    EXPECT_THROW(loop->run_until_complete(asyncio::wait(std::vector<Task<int>>())),
                 asyncio::ValueError);
}

TEST_F(Wait, S186_it_gives_way_even_if_all_is_done) {
    const Future<int> done = loop->create_future<int>();
    done.set_result(1);
    loop->create_task([this, done]() -> Coro<void> {
        co_await asyncio::wait(std::vector{done, done});
        notes += "waited";
    });
    iterate();
    loop->call_soon(note("other "));
    iterate(2);
    EXPECT_EQ(notes, "other waited");
}

TEST_F(Wait, S187_what_completed_meanwhile_counts_as_done) {
    const std::vector<Future<int>> futures = {loop->create_future<int>(),
                                              loop->create_future<int>()};
    const auto waiting =
        loop->create_task(asyncio::wait(futures, {.return_when = ReturnWhen::first_completed}));
    iterate();
    futures[0].set_result(0);
    iterate();
    futures[1].set_result(1);
    iterate();
    EXPECT_EQ(waiting.result().done.size(), 2U);
}

// ---- as_completed

class Completions : public Coordination {};

std::vector<Coro<int>> three() {
    std::vector<Coro<int>> coros;
    coros.push_back(give_later(3s, 3));
    coros.push_back(give_later(1s, 1));
    coros.push_back(give_later(2s, 2));
    return coros;
}

TEST_F(Completions, S189_results_come_in_the_order_of_completion) {
    run([this]() -> Coro<void> {
        for (auto earliest : asyncio::as_completed(three())) {
            notes += std::to_string(co_await std::move(earliest));
        }
    });
    EXPECT_EQ(notes, "123");
}

TEST_F(Completions, S190_the_same_tasks_come_out) {
    run([]() -> Coro<void> {
        const std::vector<Task<int>> tasks = {asyncio::create_task(give_later(2s, 0)),
                                              asyncio::create_task(give_later(1s, 1))};
        auto completions = asyncio::as_completed(tasks);
        EXPECT_EQ(co_await completions.next(), Future<int>(tasks[1]));
        EXPECT_EQ(co_await completions.next(), Future<int>(tasks[0]));
        EXPECT_FALSE(co_await completions.next());
    });
}

TEST_F(Completions, S191_the_first_that_is_awaited_gets_the_first_result) {
    run([]() -> Coro<void> {
        std::vector<Coro<int>> results;
        for (auto result : asyncio::as_completed(three())) {
            results.push_back(std::move(result));
        }
        EXPECT_EQ(co_await std::move(results[2]), 1);
        EXPECT_EQ(co_await std::move(results[0]), 2);
        EXPECT_EQ(co_await std::move(results[1]), 3);
    });
}

TEST_F(Completions, S192_after_the_time_limit_each_step_raises) {
    run([this]() -> Coro<void> {
        const std::vector<Task<int>> tasks = {asyncio::create_task(give_later(1s, 1)),
                                              asyncio::create_task(give_later(9s, 2)),
                                              asyncio::create_task(give_later(9s, 3))};
        for (auto earliest : asyncio::as_completed(tasks, 2s)) {
            try {
                notes += std::to_string(co_await std::move(earliest)) + " ";
            } catch (const asyncio::TimeoutError&) {
                notes += "late ";
            }
        }
        EXPECT_FALSE(tasks[1].done());
        EXPECT_EQ(co_await tasks[2], 3);
        // Unused, the limit goes.
        for (auto earliest : asyncio::as_completed(std::vector{tasks[0]}, 1h)) {
            co_await std::move(earliest);
        }
        EXPECT_TRUE(asyncio::detail::LoopAccess::timers(*loop).empty());
    });
    EXPECT_EQ(notes, "1 late late ");
}

TEST_F(Completions, S193_duplicates_come_once_and_one_may_stop_early) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task(give_later(1s, 1));
        for (auto earliest : asyncio::as_completed(std::vector{task, task})) {
            notes += std::to_string(co_await std::move(earliest));
        }
        const Future<int> never = loop->create_future<int>();
        {
            auto completions = asyncio::as_completed(std::vector<Future<int>>{task, never});
            EXPECT_EQ(co_await completions.next(), Future<int>(task));
        }
        EXPECT_EQ(asyncio::detail::HandleAccess::state(never).refs(), 1U);
    });
    EXPECT_EQ(notes, "1");
}

}  // namespace
