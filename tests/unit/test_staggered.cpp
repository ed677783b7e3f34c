// staggered_race.
#include "coordination_fixture.hpp"

#include <functional>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Duration;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class StaggeredRaces : public Coordination {
protected:
    using Attempt = std::function<Coro<int>()>;

    Attempt succeeds_after(Duration delay, int value) {
        return [this, delay, value]() -> Coro<int> {
            notes += "begin" + std::to_string(value) + " ";
            try {
                co_await asyncio::sleep(delay);
            } catch (const CancelledError&) {
                notes += "cancelled" + std::to_string(value) + " ";
                throw;
            }
            co_return value;
        };
    }
    Attempt fails_after(Duration delay, int value) {
        return [this, delay, value]() -> Coro<int> {
            notes += "begin" + std::to_string(value) + " ";
            co_await asyncio::sleep(delay);
            throw Boom(std::to_string(value));
        };
    }
    Duration elapsed() const { return loop->time() - begin_; }

private:
    asyncio::TimePoint begin_ = loop->time();
};

TEST_F(StaggeredRaces, S194_the_first_success_cancels_the_rest_and_waits_for_them) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{succeeds_after(1h, 0), succeeds_after(1500ms, 1), succeeds_after(1h, 2)},
            1s);
        EXPECT_EQ(result.value, 1);
        EXPECT_EQ(result.winner, 1U);
        EXPECT_EQ(elapsed(), 2500ms);
        EXPECT_EQ(result.exceptions.size(), 3U);
        EXPECT_TRUE(asyncio::is_exception<CancelledError>(result.exceptions.at(0)));
        EXPECT_EQ(result.exceptions.at(1), nullptr);
        EXPECT_TRUE(asyncio::is_exception<CancelledError>(result.exceptions.at(2)));
        EXPECT_EQ(asyncio::all_tasks(*loop).size(), 1U);
    });
    EXPECT_EQ(notes, "begin0 begin1 begin2 cancelled0 cancelled2 ");
}

TEST_F(StaggeredRaces, S194_a_failure_begins_the_next_attempt_before_the_delay) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{fails_after(100ms, 0), succeeds_after(1s, 1), succeeds_after(1s, 2)}, 10s);
        EXPECT_EQ(result.winner, 1U);
        EXPECT_EQ(elapsed(), 1100ms);
        EXPECT_EQ(result.exceptions.size(), 2U);
        EXPECT_TRUE(asyncio::is_exception<Boom>(result.exceptions.at(0)));
    });
    EXPECT_EQ(notes, "begin0 begin1 ");
}

TEST_F(StaggeredRaces, S194_only_the_latest_attempts_failure_shortens_the_delay) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{fails_after(1500ms, 0), succeeds_after(1h, 1), succeeds_after(1s, 2)}, 1s);
        EXPECT_EQ(result.winner, 2U);
        EXPECT_EQ(elapsed(), 3s);
    });
}

TEST_F(StaggeredRaces, S194_without_a_delay_each_waits_for_the_failure_before) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{fails_after(1s, 0), fails_after(1s, 1), succeeds_after(1s, 2)});
        EXPECT_EQ(result.winner, 2U);
        EXPECT_EQ(elapsed(), 3s);
    });
}

TEST_F(StaggeredRaces, S194_when_all_fail_nobody_has_won) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{fails_after(1s, 0), fails_after(0s, 1)}, 5s);
        EXPECT_EQ(result.value, std::nullopt);
        EXPECT_EQ(result.winner, std::nullopt);
        EXPECT_EQ(result.exceptions.size(), 2U);
        EXPECT_TRUE(asyncio::is_exception<Boom>(result.exceptions.at(1)));

        EXPECT_TRUE((co_await asyncio::staggered_race(std::vector<Attempt>())).exceptions.empty());
    });
}

TEST_F(StaggeredRaces, S194_two_that_succeed_in_the_same_iteration_have_one_winner) {
    run([this]() -> Coro<void> {
        const auto result = co_await asyncio::staggered_race(
            std::vector{succeeds_after(1s, 0), succeeds_after(500ms, 1)}, 500ms);
        EXPECT_EQ(result.winner, 0U);
        EXPECT_EQ(result.value, 0);
    });
    EXPECT_EQ(notes, "begin0 begin1 cancelled1 ");
}

TEST_F(StaggeredRaces, S194_one_that_ignores_the_cancellation_does_not_win_as_well) {
    run([this]() -> Coro<void> {
        const Attempt stubborn = []() -> Coro<int> {
            try {
                co_await asyncio::sleep(1h);
            } catch (const CancelledError&) {
            }
            co_return 13;
        };
        const auto result =
            co_await asyncio::staggered_race(std::vector{stubborn, succeeds_after(1s, 1)}, 0s);
        EXPECT_EQ(result.winner, 1U);
        EXPECT_EQ(result.value, 1);
    });
}

TEST_F(StaggeredRaces, S194_one_that_is_cancelled_before_it_begins_has_a_cancelled_error) {
    for (const int hops : {0, 1}) {
        run([this, hops]() -> Coro<void> {
            const Attempt wins = [hops]() -> Coro<int> {
                co_await asyncio::sleep(1s);
                co_await turns(hops);
                co_return 1;
            };
            const auto result =
                co_await asyncio::staggered_race(std::vector{wins, succeeds_after(1s, 2)}, 1s);
            EXPECT_EQ(result.winner, 0U);
            EXPECT_EQ(result.exceptions.size(), 2U);
            EXPECT_TRUE(result.exceptions.at(1) != nullptr &&
                        asyncio::is_exception<CancelledError>(result.exceptions.at(1)));
        });
    }
    EXPECT_EQ(notes, "begin2 cancelled2 ");  // the first time it did not begin
}

TEST_F(StaggeredRaces, S194_a_cancellation_cancels_all_and_waits_for_them) {
    for (const Duration when : {Duration(500ms), Duration(1500ms), Duration(5s)}) {
        notes.clear();
        const auto task = loop->create_task([this]() -> Coro<void> {
            co_await asyncio::staggered_race(
                std::vector{succeeds_after(1h, 0), succeeds_after(1h, 1)}, 1s);
        });
        loop->call_later(when, [&] { task.cancel("enough"); });
        EXPECT_THROW(loop->run_until_complete(task), CancelledError);
        EXPECT_EQ(notes, when < 1s ? "begin0 cancelled0 " : "begin0 begin1 cancelled0 cancelled1 ");
        EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
    }
}

TEST_F(StaggeredRaces, S194_a_function_that_throws_at_once_has_failed) {
    run([this]() -> Coro<void> {
        const Attempt throws = []() -> Coro<int> { throw Boom("at once"); };
        const auto result =
            co_await asyncio::staggered_race(std::vector{throws, succeeds_after(0s, 1)}, 1h);
        EXPECT_EQ(result.winner, 1U);
        EXPECT_TRUE(asyncio::is_exception<Boom>(result.exceptions.at(0)));
    });
}

TEST_F(StaggeredRaces, S194_B36_works_with_tasks_that_start_eagerly) {
    loop->set_task_factory(asyncio::eager_task_factory);
    run([this]() -> Coro<void> {
        const Attempt at_once = []() -> Coro<int> { co_return 5; };
        const auto first = co_await asyncio::staggered_race(std::vector{at_once, at_once}, 1s);
        EXPECT_EQ(first.winner, 0U);
        EXPECT_EQ(first.exceptions.size(), 1U);
        const auto second = co_await asyncio::staggered_race(
            std::vector{fails_after(0s, 0), succeeds_after(1h, 1), at_once}, 1s);
        EXPECT_EQ(second.winner, 2U);
        EXPECT_EQ(asyncio::all_tasks(*loop).size(), 1U);
    });
}

TEST_F(StaggeredRaces, results_may_be_void_or_references) {
    run([]() -> Coro<void> {
        const auto nothing = co_await asyncio::staggered_race(
            std::vector{+[]() -> Coro<void> { return asyncio::sleep(1s); }}, 1s);
        EXPECT_TRUE(nothing.value.has_value());
        int there = 0;
        const auto reference = co_await asyncio::staggered_race(
            std::vector<std::function<Coro<int&>()>>{[&]() -> Coro<int&> { co_return there; }});
        EXPECT_EQ(&reference.value->get(), &there);
    });
}

TEST_F(StaggeredRaces, a_negative_delay_is_refused) {
    run([this]() -> Coro<void> {
        co_await note_error([](auto attempt) -> Coro<void> {
            co_await asyncio::staggered_race(std::vector{attempt}, -1s);
        }(succeeds_after(1s, 0)));
    });
    EXPECT_EQ(notes, "ValueError: staggered_race() needs a delay of zero or more ");
}

TEST_F(StaggeredRaces, a_task_that_cannot_be_made_ends_the_race) {
    run([this]() -> Coro<void> {
        int made = 0;
        loop->set_task_factory([&made](auto&, auto&) {
            if (++made == 2) {
                throw Boom("no more tasks");
            }
        });
        EXPECT_THROW(co_await asyncio::staggered_race(
                         std::vector{succeeds_after(1h, 0), succeeds_after(1h, 1)}, 1s),
                     Boom);
        loop->set_task_factory(nullptr);
    });
    EXPECT_EQ(notes, "begin0 cancelled0 ");
}

}  // namespace
