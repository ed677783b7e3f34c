// The timer heap against a sorted map, with random operations.
#include <asyncio/detail/timer_heap.hpp>

#include "random_seed.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using asyncio::TimePoint;
using asyncio::detail::TimerHeap;

namespace {

struct Timer : asyncio::detail::TimerNode {
    Timer() : TimerNode(nullptr) {}
};

void push(TimerHeap& heap, TimePoint when, Timer& timer) {
    heap.reserve_one();
    heap.push(when, timer);
}

// The heap, and beside it what it should hold: deadlines, the older of equal ones in front.
class CheckedHeap {
public:
    void push(TimePoint when) {
        auto timer = std::make_unique<Timer>();
        heap.reserve_one();
        heap.push(when, *timer);
        expected_.emplace(std::pair(when, sequence_++), std::move(timer));
    }

    void pop() {
        const auto first = expected_.begin();
        ASSERT_EQ(heap.earliest(), first->first.first);
        ASSERT_EQ(&heap.pop(), first->second.get());
        ASSERT_FALSE(first->second->armed());
        expected_.erase(first);
    }

    void remove(std::size_t index) {
        const auto found = std::next(expected_.begin(), static_cast<std::ptrdiff_t>(index));
        ASSERT_TRUE(found->second->armed());
        ASSERT_EQ(heap.when(*found->second), found->first.first);
        heap.remove(*found->second);
        ASSERT_FALSE(found->second->armed());
        expected_.erase(found);
    }

    void check() const {
        heap.check();
        ASSERT_EQ(heap.size(), expected_.size());
        ASSERT_EQ(heap.empty(), expected_.empty());
    }

    std::size_t size() const { return expected_.size(); }

private:
    TimerHeap heap;
    std::map<std::pair<TimePoint, std::uint64_t>, std::unique_ptr<Timer>> expected_;
    std::uint64_t sequence_ = 0;
};

// `range` deadlines are possible: a small number gives many equal ones.
void play(std::mt19937_64& random, std::int64_t range, int operations) {
    CheckedHeap heap;
    std::uniform_int_distribution<std::int64_t> deadline(0, range);
    for (int i = 0; i < operations; ++i) {
        const auto choice = random() % 8;
        // Phases of growth and of decline.
        const bool grows = (i / 200) % 2 == 0;
        if (heap.size() == 0 || choice < (grows ? 5U : 2U)) {
            heap.push(TimePoint(asyncio::Duration(deadline(random))));
        } else if (choice < 6) {
            heap.remove(random() % heap.size());
        } else {
            heap.pop();
        }
        heap.check();
        if (::testing::Test::HasFatalFailure()) {
            return;
        }
    }
    while (heap.size() != 0 && !::testing::Test::HasFatalFailure()) {
        heap.pop();
    }
    heap.check();
}

TEST(TimerHeap, random_operations_agree_with_a_sorted_map) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    for (const std::int64_t range : {0, 3, 100, 1'000'000}) {
        play(random, range, 2000);
    }
}

TEST(TimerHeap, the_ends_of_time_are_in_order) {
    TimerHeap heap;
    Timer first;
    Timer middle;
    Timer last;
    push(heap, TimePoint::max(), last);
    push(heap, TimePoint::min(), first);
    push(heap, TimePoint(), middle);
    heap.check();
    EXPECT_EQ(&heap.pop(), &first);
    EXPECT_EQ(&heap.pop(), &middle);
    EXPECT_EQ(&heap.pop(), &last);
    EXPECT_TRUE(heap.empty());
}

TEST(TimerHeap, a_timer_may_be_pushed_again_after_it_left) {
    TimerHeap heap;
    Timer timer;
    Timer other;
    push(heap, TimePoint(1s), timer);
    push(heap, TimePoint(2s), other);
    heap.remove(timer);
    push(heap, TimePoint(3s), timer);
    heap.check();
    EXPECT_EQ(&heap.pop(), &other);
    push(heap, TimePoint(3s), other);
    EXPECT_EQ(&heap.pop(), &timer) << "the older of equal deadlines";
    EXPECT_EQ(&heap.pop(), &other);
}

}  // namespace
