// Queues while tasks that use them are cancelled at every step.
#include "cancel_scenarios.hpp"

#include <map>
#include <memory>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;

// Move-only, and known by its number.
using Item = std::unique_ptr<int>;

struct BySize {
    bool operator()(const Item& a, const Item& b) const { return *a < *b; }
};

template <class Q>
class QueueScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(get(2));
        made.push_back(get_before(1s));
        made.push_back(get(1));
        made.push_back(put(3, 0s));
        made.push_back(put(4, 1s));
        made.push_back(put_before(1s));
        made.push_back(get(1));
        made.push_back(join());
        return made;
    }
    void expect_nobody_forgotten(std::size_t tasks_left) override {
        const asyncio::QueueStatistics now = queue_.statistics();
        EXPECT_EQ(tasks_left, now.getters_waiting + now.putters_waiting + joining_);
        EXPECT_TRUE(now.getters_waiting == 0 || now.size == 0) << "a getter was not woken";
        EXPECT_TRUE(now.putters_waiting == 0 || queue_.full()) << "a putter was not woken";
        EXPECT_TRUE(joining_ == 0 || now.unfinished_tasks > 0) << "a join was not woken";
        EXPECT_EQ(now.size, now.unfinished_tasks);
    }
    Coro<void> dismiss() override {
        queue_.shutdown();
        while (auto item = queue_.try_get()) {
            left_.push_back(std::move(*item));
            queue_.task_done();
        }
        co_return;
    }
    void expect_conserved() override {
        const asyncio::QueueStatistics now = queue_.statistics();
        EXPECT_EQ(now.getters_waiting, 0U);
        EXPECT_EQ(now.putters_waiting, 0U);
        EXPECT_EQ(now.size, now.unfinished_tasks);
        while (auto item = queue_.try_get()) {
            left_.push_back(std::move(*item));
        }
        for (const Item& item : left_) {
            --balance_[*item];
        }
        for (const auto& [number, balance] : balance_) {
            EXPECT_EQ(balance, 0) << "item " << number << " was lost or came twice";
        }
    }

protected:
    Coro<void> get(int count) {
        const Alive counted;
        try {
            for (; count > 0; --count) {
                const Item item = co_await queue_.get();
                got(item);
                co_await give_way(1);
            }
        } catch (const asyncio::QueueShutDown&) {
            ++refused_;
        }
    }
    Coro<void> get_late(int count) {
        const Alive counted;
        co_await asyncio::sleep(1s);
        co_await get(count);
    }
    Coro<void> get_before(asyncio::Duration limit) {
        const Alive counted;
        try {
            co_await give_way(1);
            for (int i = 0; i < 3; ++i) {
                got(co_await asyncio::wait_for(queue_.get(), limit));
            }
        } catch (const asyncio::TimeoutError&) {
        } catch (const asyncio::QueueShutDown&) {
            ++refused_;
        }
    }
    Coro<void> put(int count, asyncio::Duration delay) {
        const Alive counted;
        co_await asyncio::sleep(delay);
        try {
            for (; count > 0; --count) {
                const int number = next_number_++;
                mark();
                co_await queue_.put(std::make_unique<int>(number));
                ++balance_[number];
                mark();
            }
        } catch (const asyncio::QueueShutDown&) {
            ++refused_;
        }
    }
    Coro<void> put_before(asyncio::Duration limit) {
        const Alive counted;
        const int number = next_number_++;
        try {
            co_await asyncio::wait_for(queue_.put(std::make_unique<int>(number)), limit);
            ++balance_[number];
        } catch (const asyncio::TimeoutError&) {
        } catch (const asyncio::QueueShutDown&) {
            ++refused_;
        }
    }
    Coro<void> join() {
        const Alive counted;
        co_await asyncio::sleep(1s);
        struct Joining {
            explicit Joining(std::size_t& counted) : number(counted) { ++number; }
            Joining(const Joining&) = delete;
            Joining& operator=(const Joining&) = delete;
            ~Joining() { --number; }
            std::size_t& number;
        } const joining(joining_);
        co_await queue_.join();
    }
    void got(const Item& item) {
        --balance_[*item];
        mark();
        queue_.task_done();
        mark();
    }

    Q queue_{2};
    std::map<int, int> balance_;  // of each item: put less got
    std::vector<Item> left_;
    int next_number_ = 0;
    int refused_ = 0;
    std::size_t joining_ = 0;
};

// More of them than there are items, or room: a wake-up that was lost is not made up for.
class GettersScenario : public QueueScenario<asyncio::Queue<Item>> {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (int i = 0; i < 5; ++i) {
            made.push_back(get(1));
        }
        made.push_back(put(2, 1s));
        made.push_back(put(1, 1s));
        return made;
    }
};

class PuttersScenario : public QueueScenario<asyncio::Queue<Item>> {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (int i = 0; i < 7; ++i) {
            made.push_back(put(1, 0s));
        }
        for (int i = 0; i < 2; ++i) {
            made.push_back(get_late(1));
        }
        return made;
    }
};

// The queue is shut down while others wait for it.
class ShutdownScenario : public QueueScenario<asyncio::Queue<Item>> {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(put(4, 0s));
        made.push_back(put(2, 0s));
        made.push_back(join());
        made.push_back(shut_down());
        made.push_back(get_late(5));
        made.push_back(get_late(5));
        made.push_back(put(1, 3s));
        return made;
    }

private:
    Coro<void> shut_down() {
        const Alive counted;
        co_await asyncio::sleep(1s);
        mark();
        queue_.shutdown();
        EXPECT_EQ(queue_.statistics().putters_waiting, 0U);
        mark();
    }
};

class ShutdownOfGettersScenario : public QueueScenario<asyncio::Queue<Item>> {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(get(2));
        made.push_back(get(2));
        made.push_back(get(2));
        made.push_back(put(1, 1s));
        made.push_back(drop_everything());
        made.push_back(put(2, 1s));
        made.push_back(join());
        return made;
    }

private:
    Coro<void> drop_everything() {
        const Alive counted;
        co_await asyncio::sleep(1s);
        mark();
        // Taken before, so that the items that are dropped are known.
        while (auto item = queue_.try_get()) {
            left_.push_back(std::move(*item));
            queue_.task_done();
        }
        queue_.shutdown(true);
        EXPECT_EQ(queue_.statistics().getters_waiting, 0U);
        mark();
    }
};

class CancelQueues : public CancelScenarios {};

TEST_P(CancelQueues, whoever_is_cancelled_at_any_moment_nothing_is_lost) {
    cancel_everybody_everywhere();
}

TEST_P(CancelQueues, the_loop_closed_at_any_step_leaves_nothing) { abandon_everywhere(); }

INSTANTIATE_TEST_SUITE_P(
    Scenarios, CancelQueues,
    ::testing::Values(
        NamedScenario{"Queue", make_scenario<QueueScenario<asyncio::Queue<Item>>>},
        NamedScenario{"LifoQueue", make_scenario<QueueScenario<asyncio::LifoQueue<Item>>>},
        NamedScenario{"PriorityQueue",
                      make_scenario<QueueScenario<asyncio::PriorityQueue<Item, BySize>>>},
        NamedScenario{"Getters", make_scenario<GettersScenario>},
        NamedScenario{"Putters", make_scenario<PuttersScenario>},
        NamedScenario{"Shutdown", make_scenario<ShutdownScenario>},
        NamedScenario{"ShutdownOfGetters", make_scenario<ShutdownOfGettersScenario>}),
    name_of_scenario);

}  // namespace
