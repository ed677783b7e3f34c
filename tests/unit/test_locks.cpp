// Lock, Event, Condition, Semaphore, BoundedSemaphore and Barrier.
#include "coordination_fixture.hpp"

#include <memory>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Task;

class Locks : public Coordination {
protected:
    // Acquires, notes its name, and releases after `turns` turns.
    Coro<void> hold(char name, int count = 1) {
        const auto guard = co_await lock.scoped();
        notes += name;
        co_await turns(count);
    }
    Coro<void> take(char name) {
        co_await lock.acquire();
        notes += name;
    }

    asyncio::Lock lock;
};

TEST_F(Locks, S220_S221_those_in_line_get_it_in_order_and_nobody_overtakes_them) {
    std::vector<Task<void>> tasks;
    for (const char name : {'a', 'b', 'c'}) {
        tasks.push_back(loop->create_task(hold(name)));
    }
    iterate();
    EXPECT_EQ(notes, "a");
    EXPECT_EQ(lock.statistics().tasks_waiting, 2U);
    EXPECT_EQ(repr(lock), "<Lock [locked, waiters:2]>");
    // 'a' releases in this turn, but 'd', which comes at the same time, stands behind 'b' and 'c'.
    tasks.push_back(loop->create_task(hold('d')));
    loop->run_until_complete(asyncio::gather(tasks));
    EXPECT_EQ(notes, "abcd");
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(lock.statistics().tasks_waiting, 0U);
}

TEST_F(Locks, S221_releasing_what_is_not_locked_is_an_error) {
    EXPECT_THROW(lock.release(), asyncio::RuntimeError);
}

TEST_F(Locks, S222_a_waiter_that_is_cancelled_before_its_wake_up_leaves_the_line) {
    run([this]() -> Coro<void> {
        co_await lock.acquire();
        const auto first = asyncio::create_task(take('x'));
        const auto second = asyncio::create_task(take('y'));
        co_await turns(1);
        first.cancel();
        lock.release();
        co_await second;
        EXPECT_TRUE(first.cancelled());
        EXPECT_EQ(lock.statistics().tasks_waiting, 0U);
    });
    EXPECT_EQ(notes, "y");
    EXPECT_TRUE(lock.locked());
}

TEST_F(Locks, S222_a_waiter_that_is_cancelled_after_its_wake_up_passes_it_on) {
    run([this]() -> Coro<void> {
        co_await lock.acquire();
        const auto first = asyncio::create_task(take('x'));
        const auto second = asyncio::create_task(take('y'));
        co_await turns(1);
        lock.release();
        first.cancel();
        co_await second;
        EXPECT_TRUE(first.cancelled());
    });
    EXPECT_EQ(notes, "y");
}

TEST_F(Locks, S223_any_task_may_release_it) {
    run([this]() -> Coro<void> {
        co_await lock.acquire();
        co_await asyncio::create_task([this]() -> Coro<void> {
            lock.release();
            co_return;
        });
        EXPECT_FALSE(lock.locked());
    });
}

TEST_F(Locks, a_guard_releases_once_and_may_be_moved) {
    run([this]() -> Coro<void> {
        auto guard = co_await lock.scoped();
        auto other = std::move(guard);
        EXPECT_TRUE(lock.locked());
        other.release();
        EXPECT_FALSE(lock.locked());
    });
}

TEST_F(Locks, acquiring_can_be_limited_in_time) {
    run([this]() -> Coro<void> {
        co_await lock.acquire();
        EXPECT_THROW(co_await asyncio::wait_for(lock.acquire(), 1s), asyncio::TimeoutError);
        EXPECT_EQ(lock.statistics().tasks_waiting, 0U);
    });
}

TEST_F(Locks, a_lock_of_one_loop_refuses_another) {
    run([this]() -> Coro<void> {
        co_await lock.acquire();
        const auto waiting = asyncio::create_task(take('x'));
        co_await turns(1);
        waiting.cancel();
        co_await turns(1);
    });
    const auto other = make_loop();
    EXPECT_THROW(other->run_until_complete(take('y')), asyncio::RuntimeError);
}

TEST_F(Locks, closing_the_loop_releases_what_its_tasks_hold) {
    const auto holder = loop->create_task(hold('a', 1000));
    const auto waiting = loop->create_task(take('b'));
    iterate(2);
    loop->close();
    EXPECT_EQ(take_reports().size(), 2U);
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(lock.statistics().tasks_waiting, 0U);
}

// ---- Event

class Events : public Coordination {
protected:
    Coro<void> wait(char name) {
        co_await event.wait();
        notes += name;
    }
    asyncio::Event event;
};

TEST_F(Events, S224_set_wakes_all_in_order_even_if_clear_follows) {
    std::vector<Task<void>> tasks;
    for (const char name : {'a', 'b', 'c'}) {
        tasks.push_back(loop->create_task(wait(name)));
    }
    iterate();
    EXPECT_EQ(repr(event), "<Event [unset, waiters:3]>");
    event.set();
    event.clear();
    loop->run_until_complete(asyncio::gather(tasks));
    EXPECT_EQ(notes, "abc");
    event.set();
    EXPECT_TRUE(event.is_set());
    loop->run_until_complete(wait('d'));
    EXPECT_EQ(notes, "abcd");
}

TEST_F(Events, S225_a_cancelled_waiter_leaves) {
    const auto task = loop->create_task(wait('a'));
    iterate();
    task.cancel();
    EXPECT_EQ(event.statistics().tasks_waiting, 0U);
    iterate();
    EXPECT_TRUE(task.cancelled());
}

// ---- Condition

class Conditions : public Coordination {
protected:
    Coro<void> wait(char name) {
        const auto guard = co_await condition.scoped();
        co_await condition.wait();
        notes += name;
    }
    asyncio::Condition condition;
};

TEST_F(Conditions, S226_waiting_and_notifying_need_the_lock) {
    run([this]() -> Coro<void> {
        EXPECT_THROW(co_await condition.wait(), asyncio::RuntimeError);
        EXPECT_THROW(condition.notify(), asyncio::RuntimeError);
        EXPECT_THROW(condition.notify_all(), asyncio::RuntimeError);
    });
}

TEST_F(Conditions, S227_S228_a_cancelled_wait_takes_the_lock_again_and_throws_the_latest_request) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task([this]() -> Coro<void> {
            auto guard = co_await condition.scoped();
            try {
                co_await condition.wait();
            } catch (const CancelledError& error) {
                notes += error.message();
                EXPECT_TRUE(condition.locked());
            }
        });
        co_await turns(1);
        co_await condition.acquire();
        task.cancel("first ");
        co_await turns(2);
        EXPECT_FALSE(task.done());  // it wants the lock
        task.cancel("second");
        co_await turns(2);
        condition.release();
        co_await task;
    });
    EXPECT_EQ(notes, "second");
    EXPECT_FALSE(condition.locked());
}

TEST_F(Conditions, S229_a_notification_that_cannot_be_used_goes_to_another) {
    run([this]() -> Coro<void> {
        const auto first = asyncio::create_task(wait('a'));
        const auto second = asyncio::create_task(wait('b'));
        co_await turns(2);
        co_await condition.acquire();
        condition.notify(1);
        first.cancel();
        condition.release();
        co_await second;
        EXPECT_TRUE(first.cancelled());
    });
    EXPECT_EQ(notes, "b");
}

TEST_F(Conditions, S230_a_cancellation_while_the_lock_is_taken_again_is_not_swallowed) {
    run([this]() -> Coro<void> {
        const auto task = asyncio::create_task(wait('a'));
        co_await turns(1);
        co_await condition.acquire();
        condition.notify();
        co_await turns(1);
        task.cancel();
        co_await turns(1);
        EXPECT_FALSE(task.done());
        condition.release();
        co_await turns(2);
        EXPECT_TRUE(task.cancelled());
        EXPECT_FALSE(condition.locked());
    });
    EXPECT_EQ(notes, "");
}

TEST_F(Conditions, S231_notify_wakes_so_many_in_order) {
    run([this]() -> Coro<void> {
        std::vector<Task<void>> tasks;
        for (const char name : {'a', 'b', 'c'}) {
            tasks.push_back(asyncio::create_task(wait(name)));
        }
        co_await turns(3);
        EXPECT_EQ(condition.statistics().tasks_waiting, 3U);
        co_await condition.acquire();
        condition.notify(2);
        co_await turns(3);
        EXPECT_EQ(notes, "");  // the notifier has the lock
        condition.release();
        co_await turns(4);
        EXPECT_EQ(notes, "ab");
        co_await condition.acquire();
        condition.notify_all();
        condition.release();
        co_await asyncio::gather(tasks);
    });
    EXPECT_EQ(notes, "abc");
}

TEST_F(Conditions, S232_wait_for_looks_again_after_each_notification) {
    int value = 0;
    run([&]() -> Coro<void> {
        const auto task = asyncio::create_task([&]() -> Coro<int> {
            const auto guard = co_await condition.scoped();
            co_return co_await condition.wait_for([&] { return value == 2 ? value : 0; });
        });
        co_await turns(1);
        while (value < 2) {
            const auto guard = co_await condition.scoped();
            ++value;
            condition.notify();
        }
        EXPECT_EQ(co_await task, 2);
    });
}

TEST_F(Conditions, S233_two_conditions_may_share_a_lock) {
    asyncio::Lock lock;
    asyncio::Condition first(lock);
    asyncio::Condition second(lock);
    run([&]() -> Coro<void> {
        const auto guard = co_await first.scoped();
        EXPECT_TRUE(second.locked() && lock.locked());
        second.notify_all();
    });
}

// ---- Semaphore

class Semaphores : public Coordination {
protected:
    Coro<void> take(asyncio::Semaphore& semaphore, char name) {
        co_await semaphore.acquire();
        notes += name;
    }
};

TEST_F(Semaphores, S234_a_bounded_one_notices_too_many_releases) {
    asyncio::BoundedSemaphore semaphore(1);
    EXPECT_THROW(semaphore.release(), asyncio::ValueError);
    run([&]() -> Coro<void> {
        co_await semaphore.acquire();
        semaphore.release();
        EXPECT_THROW(semaphore.release(), asyncio::ValueError);
    });
}

TEST_F(Semaphores, S235_S237_S238_permits_go_to_those_in_line_in_order_and_at_once) {
    asyncio::Semaphore semaphore(0);
    std::vector<Task<void>> tasks;
    for (const char name : {'a', 'b', 'c'}) {
        tasks.push_back(loop->create_task(take(semaphore, name)));
    }
    iterate();
    semaphore.release();
    semaphore.release();
    EXPECT_TRUE(semaphore.locked());  // they are on their way to those who were woken
    tasks.push_back(loop->create_task(take(semaphore, 'd')));
    iterate();
    EXPECT_EQ(notes, "ab");
    semaphore.release();
    semaphore.release();
    iterate(2);
    EXPECT_EQ(notes, "abcd");
    EXPECT_EQ(semaphore.statistics().value, 0U);
}

TEST_F(Semaphores, S236_a_permit_of_a_cancelled_task_goes_to_the_next) {
    asyncio::Semaphore semaphore(0);
    const auto first = loop->create_task(take(semaphore, 'a'));
    const auto second = loop->create_task(take(semaphore, 'b'));
    iterate();
    semaphore.release();
    first.cancel();
    iterate(3);
    EXPECT_TRUE(first.cancelled() && second.done());
    EXPECT_EQ(notes, "b");

    const auto third = loop->create_task(take(semaphore, 'c'));
    iterate();
    third.cancel();
    semaphore.release();
    iterate(2);
    EXPECT_TRUE(third.cancelled());
    EXPECT_EQ(semaphore.statistics().value, 1U);
    EXPECT_FALSE(semaphore.locked());
}

TEST_F(Semaphores, guards_give_permits_back) {
    asyncio::Semaphore semaphore(2);
    int most = 0;
    int inside = 0;
    run([&]() -> Coro<void> {
        std::vector<Task<void>> tasks;
        for (int i = 0; i < 10; ++i) {
            tasks.push_back(asyncio::create_task([&]() -> Coro<void> {
                const auto permit = co_await semaphore.scoped();
                most = std::max(most, ++inside);
                co_await asyncio::sleep(1s);
                --inside;
            }));
        }
        co_await asyncio::gather(tasks);
    });
    EXPECT_EQ(most, 2);
    EXPECT_EQ(clock.seconds(), 5);
    EXPECT_EQ(semaphore.statistics().value, 2U);
}

// ---- Barrier

class Barriers : public Coordination {
protected:
    Coro<void> pass(asyncio::Barrier& barrier) {
        const std::size_t index = co_await barrier.wait();
        notes += std::to_string(index) + " ";
    }
};

TEST_F(Barriers, S239_the_last_to_come_lets_all_pass_again_and_again) {
    EXPECT_THROW(asyncio::Barrier(0), asyncio::ValueError);
    asyncio::Barrier barrier(3);
    for (int round = 0; round < 2; ++round) {
        run([&]() -> Coro<void> {
            const auto first = asyncio::create_task(pass(barrier));
            const auto second = asyncio::create_task(pass(barrier));
            co_await turns(2);
            EXPECT_EQ(barrier.n_waiting(), 2U);
            EXPECT_EQ(repr(barrier), "<Barrier [filling, waiters:2/3]>");
            co_await asyncio::gather(pass(barrier), first, second);
        });
        EXPECT_EQ(std::exchange(notes, ""), "2 0 1 ");
        EXPECT_EQ(barrier.n_waiting(), 0U);
    }
}

TEST_F(Barriers, S240_newcomers_wait_while_those_inside_leave) {
    asyncio::Barrier barrier(2);
    run([&]() -> Coro<void> {
        const auto first = asyncio::create_task(pass(barrier));
        co_await turns(2);
        // The second lets both pass; the third comes before the first has left.
        const auto second = asyncio::create_task(pass(barrier));
        const auto third = asyncio::create_task(pass(barrier));
        co_await asyncio::gather(first, second);
        co_await turns(4);
        EXPECT_FALSE(third.done());
        EXPECT_EQ(barrier.n_waiting(), 1U);
        co_await barrier.wait();
        co_await third;
    });
}

TEST_F(Barriers, S241_a_cancelled_task_only_lowers_the_count) {
    asyncio::Barrier barrier(2);
    run([&]() -> Coro<void> {
        const auto task = asyncio::create_task(pass(barrier));
        co_await turns(2);
        task.cancel();
        co_await turns(3);
        EXPECT_EQ(barrier.n_waiting(), 0U);
        EXPECT_FALSE(barrier.broken());
        co_await asyncio::gather(pass(barrier), pass(barrier));
    });
}

TEST_F(Barriers, S242_abort_throws_all_out_until_reset) {
    asyncio::Barrier barrier(2);
    run([&]() -> Coro<void> {
        const auto waiting = asyncio::create_task(note_error(pass(barrier)));
        co_await turns(2);
        co_await barrier.abort();
        co_await waiting;
        EXPECT_TRUE(barrier.broken());
        co_await note_error(pass(barrier));
        co_await barrier.reset();
        EXPECT_FALSE(barrier.broken());
        co_await asyncio::gather(pass(barrier), pass(barrier));
    });
    EXPECT_EQ(notes, "BrokenBarrierError: Abort or reset of barrier "
                     "BrokenBarrierError: Barrier aborted: reset() makes it usable again 1 0 ");
}

TEST_F(Locks, a_scope_that_is_not_awaited_is_reported) {
    run([]() -> Coro<void> {
        asyncio::Lock lock;
        const auto guard = lock.scoped();
        EXPECT_FALSE(lock.locked());
        auto task = asyncio::create_task(lock.scoped());
        const auto held = co_await std::move(task);
        EXPECT_TRUE(lock.locked());
    });
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("scoped() was never awaited"), std::string::npos) << lines[0];
}

}  // namespace
