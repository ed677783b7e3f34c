// Queue, LifoQueue and PriorityQueue.
#include "coordination_fixture.hpp"

#include <memory>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Queue;
using asyncio::Task;

class Queues : public Coordination {
protected:
    Coro<void> take(Queue<int>& queue) { notes += std::to_string(co_await queue.get()) + " "; }
    Coro<void> give(Queue<int>& queue, int item) {
        co_await queue.put(item);
        notes += "put" + std::to_string(item) + " ";
    }
};

TEST_F(Queues, S243_put_waits_while_it_is_full_and_get_while_it_is_empty) {
    Queue<int> queue(1);
    const auto getter = loop->create_task(take(queue));
    iterate();
    EXPECT_FALSE(getter.done());
    const auto first = loop->create_task(give(queue, 1));
    const auto second = loop->create_task(give(queue, 2));
    iterate();
    EXPECT_EQ(notes, "put1 ");
    EXPECT_EQ(queue.statistics().putters_waiting, 1U);
    EXPECT_EQ(repr(queue), "<Queue maxsize=1 size=1 putters=1 tasks=1>");
    iterate(2);
    EXPECT_EQ(notes, "put1 1 put2 ");
    EXPECT_TRUE(queue.full());
    EXPECT_THROW(queue.put_nowait(3), asyncio::QueueFull);
    EXPECT_EQ(queue.get_nowait(), 2);
    EXPECT_THROW(queue.get_nowait(), asyncio::QueueEmpty);
    EXPECT_EQ(queue.try_get(), std::nullopt);
    Queue<int> unbounded;
    for (int i = 0; i < 1000; ++i) {
        unbounded.put_nowait(i);
    }
    EXPECT_FALSE(unbounded.full());
}

TEST_F(Queues, S244_the_three_orders) {
    Queue<int> first_in;
    asyncio::LifoQueue<int> last_in;
    asyncio::PriorityQueue<int> least;
    asyncio::PriorityQueue<int, std::greater<>> greatest;
    const auto order = [](auto& queue) {
        std::string text;
        for (const int item : {3, 1, 2}) {
            queue.put_nowait(item);
        }
        while (const auto item = queue.try_get()) {
            text += std::to_string(*item);
        }
        return text;
    };
    EXPECT_EQ(order(first_in), "312");
    EXPECT_EQ(order(last_in), "213");
    EXPECT_EQ(order(least), "123");
    EXPECT_EQ(order(greatest), "321");
}

TEST_F(Queues, S245_a_woken_getter_stands_in_line_again_if_the_item_is_gone) {
    Queue<int> queue;
    const auto first = loop->create_task(take(queue));
    const auto second = loop->create_task(take(queue));
    iterate();
    queue.put_nowait(1);
    EXPECT_EQ(queue.get_nowait(), 1);
    iterate();
    EXPECT_FALSE(first.done() || second.done());
    queue.put_nowait(2);
    queue.put_nowait(3);
    iterate();
    EXPECT_EQ(notes, "2 3 ");  // now the second stood in front
}

TEST_F(Queues, S246_a_getter_that_is_cancelled_after_its_wake_up_passes_it_on) {
    Queue<int> queue;
    const auto first = loop->create_task(take(queue));
    const auto second = loop->create_task(take(queue));
    iterate();
    queue.put_nowait(1);
    first.cancel();
    iterate(2);
    EXPECT_TRUE(first.cancelled() && second.done());
    EXPECT_EQ(notes, "1 ");
}

TEST_F(Queues, S247_a_putter_that_is_cancelled_after_its_wake_up_passes_it_on) {
    Queue<int> queue(1);
    queue.put_nowait(0);
    const auto first = loop->create_task(give(queue, 1));
    const auto second = loop->create_task(give(queue, 2));
    iterate();
    EXPECT_EQ(queue.get_nowait(), 0);
    first.cancel();
    iterate(2);
    EXPECT_TRUE(first.cancelled() && second.done());
    EXPECT_EQ(queue.get_nowait(), 2);
}

TEST_F(Queues, S248_those_who_are_cancelled_leave_the_lines) {
    Queue<int> queue(1);
    const auto getter = loop->create_task(take(queue));
    iterate();
    getter.cancel();
    EXPECT_EQ(queue.statistics().getters_waiting, 0U);
    iterate();
    queue.put_nowait(0);
    const auto putter = loop->create_task(give(queue, 1));
    iterate();
    putter.cancel();
    EXPECT_EQ(queue.statistics().putters_waiting, 0U);
    iterate();
    EXPECT_TRUE(getter.cancelled() && putter.cancelled());
    EXPECT_EQ(queue.qsize(), 1U);
}

TEST_F(Queues, S249_join_waits_until_every_item_is_dealt_with) {
    Queue<int> queue;
    loop->run_until_complete(queue.join());
    queue.put_nowait(1);
    queue.put_nowait(2);
    const auto joined = loop->create_task(queue.join());
    queue.get_nowait();
    queue.task_done();
    iterate(2);
    EXPECT_FALSE(joined.done());
    queue.get_nowait();
    queue.task_done();
    iterate(2);
    EXPECT_TRUE(joined.done());
    EXPECT_THROW(queue.task_done(), asyncio::ValueError);
}

TEST_F(Queues, S250_after_shutdown_what_is_there_can_be_taken) {
    Queue<int> queue(1);
    queue.put_nowait(1);
    const auto putter = loop->create_task(note_error(give(queue, 2)));
    iterate();
    queue.shutdown();
    iterate(2);
    EXPECT_TRUE(putter.done());
    EXPECT_THROW(queue.put_nowait(3), asyncio::QueueShutDown);
    EXPECT_THROW(loop->run_until_complete(queue.put(3)), asyncio::QueueShutDown);
    EXPECT_EQ(loop->run_until_complete(queue.get()), 1);
    EXPECT_THROW(loop->run_until_complete(queue.get()), asyncio::QueueShutDown);
    EXPECT_THROW(queue.get_nowait(), asyncio::QueueShutDown);
    EXPECT_EQ(queue.statistics().unfinished_tasks, 1U);
    EXPECT_EQ(notes, "QueueShutDown: the queue was shut down ");
}

TEST_F(Queues, S251_an_immediate_shutdown_drops_what_is_there) {
    Queue<int> queue;
    for (int i = 0; i < 3; ++i) {
        queue.put_nowait(i);
    }
    queue.get_nowait();
    const auto joined = loop->create_task(queue.join());
    queue.shutdown(true);
    iterate(2);
    EXPECT_FALSE(joined.done());  // one item is still being dealt with
    EXPECT_TRUE(queue.empty());
    queue.task_done();
    iterate(2);
    EXPECT_TRUE(joined.done());
    Queue<int> other;
    const auto getter = loop->create_task(note_error(take(other)));
    iterate();
    other.shutdown(true);
    iterate(2);
    EXPECT_TRUE(getter.done());
}

TEST_F(Queues, items_may_be_move_only) {
    run([]() -> Coro<void> {
        Queue<std::unique_ptr<int>> queue(1);
        const auto putter = asyncio::create_task(
            [](Queue<std::unique_ptr<int>>& target) -> Coro<void> {
                co_await target.put(std::make_unique<int>(1));
                co_await target.put(std::make_unique<int>(2));
            },
            std::ref(queue));
        co_await turns(1);
        EXPECT_EQ(*co_await queue.get() + *co_await queue.get(), 3);
        asyncio::PriorityQueue<std::unique_ptr<int>> ordered;
        co_await ordered.put(nullptr);
        EXPECT_EQ(co_await ordered.get(), nullptr);
    });
}

TEST_F(Queues, operations_can_be_tasks_and_limited_in_time) {
    run([]() -> Coro<void> {
        Queue<int> queue;
        EXPECT_THROW(co_await asyncio::wait_for(queue.get(), 1s), asyncio::TimeoutError);
        const auto getter = asyncio::create_task(queue.get());
        co_await queue.put(4);
        EXPECT_EQ(co_await getter, 4);
    });
}

TEST_F(Queues, an_item_that_cannot_be_moved_into_put_throws_there) {
    struct Unmovable {
        Unmovable() = default;
        Unmovable(const Unmovable&) { throw std::runtime_error("no copy"); }
        Unmovable& operator=(const Unmovable&) = default;
    };
    run([]() -> Coro<void> {
        asyncio::Queue<Unmovable> queue;
        EXPECT_THROW(co_await queue.put(Unmovable()), std::runtime_error);
        EXPECT_TRUE(queue.empty());
    });
}

}  // namespace
