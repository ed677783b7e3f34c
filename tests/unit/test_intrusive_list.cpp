// The intrusive list against a std::list, with random operations.
#include <asyncio/detail/intrusive_list.hpp>

#include "random_seed.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <vector>

using asyncio::detail::IntrusiveList;
using asyncio::detail::ListNode;

namespace {

struct Item : ListNode {
    explicit Item(int value) : value(value) {}
    int value;
};

std::vector<int> values(IntrusiveList<Item>& list) {
    std::vector<int> found;
    list.for_each([&](Item& item) { found.push_back(item.value); });
    return found;
}

// Three lists, and beside each what it should hold.
class CheckedLists {
public:
    static constexpr std::size_t count = 3;

    void push(std::size_t to) {
        items_.push_back(std::make_unique<Item>(static_cast<int>(items_.size())));
        lists_[to].push_back(*items_.back());
        expected_[to].push_back(items_.back()->value);
    }
    void pop(std::size_t from) {
        if (!expected_[from].empty()) {
            ASSERT_EQ(&lists_[from].front(), item(expected_[from].front()));
            Item& popped = lists_[from].pop_front();
            ASSERT_EQ(popped.value, expected_[from].front());
            ASSERT_FALSE(popped.linked());
            expected_[from].pop_front();
        }
    }
    // Takes an element out from anywhere, by unlinking or by destroying it.
    void leave(std::size_t from, std::size_t position, bool destroy) {
        if (expected_[from].empty()) {
            return;
        }
        const auto found =
            std::next(expected_[from].begin(),
                      static_cast<std::ptrdiff_t>(position % expected_[from].size()));
        if (destroy) {
            items_[static_cast<std::size_t>(*found)].reset();
        } else {
            item(*found)->unlink();
        }
        expected_[from].erase(found);
    }
    void splice(std::size_t from, std::size_t to, bool front) {
        if (front) {
            lists_[to].splice_front(lists_[from]);
            expected_[to].splice(expected_[to].begin(), expected_[from]);
        } else {
            lists_[to].splice_back(lists_[from]);
            expected_[to].splice(expected_[to].end(), expected_[from]);
        }
    }
    void check() {
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(lists_[i].empty(), expected_[i].empty());
            ASSERT_EQ(values(lists_[i]),
                      std::vector<int>(expected_[i].begin(), expected_[i].end()));
        }
    }

private:
    Item* item(int value) { return items_[static_cast<std::size_t>(value)].get(); }

    std::vector<std::unique_ptr<Item>> items_;
    IntrusiveList<Item> lists_[count];
    std::list<int> expected_[count];
};

TEST(IntrusiveList, random_operations_agree_with_std_list) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    CheckedLists lists;
    for (int i = 0; i < 5000 && !HasFatalFailure(); ++i) {
        const std::size_t list = random() % CheckedLists::count;
        const std::size_t other = (list + 1 + random() % 2) % CheckedLists::count;
        switch (random() % 8) {
        case 0:
        case 1:
        case 2:
            lists.push(list);
            break;
        case 3:
            lists.pop(list);
            break;
        case 4:
            lists.leave(list, random(), false);
            break;
        case 5:
            lists.leave(list, random(), true);
            break;
        case 6:
            lists.splice(list, other, true);
            break;
        default:
            lists.splice(list, other, false);
            break;
        }
        lists.check();
    }
}

TEST(IntrusiveList, visiting_may_unlink_the_visited_element) {
    std::vector<std::unique_ptr<Item>> items;
    IntrusiveList<Item> list;
    for (int i = 0; i < 5; ++i) {
        list.push_back(*items.emplace_back(std::make_unique<Item>(i)));
    }
    list.for_each([](Item& item) {
        if (item.value % 2 == 0) {
            item.unlink();
        }
    });
    EXPECT_EQ(values(list), (std::vector{1, 3}));
}

TEST(IntrusiveList, a_list_that_ends_unlinks_its_elements) {
    Item item(1);
    {
        IntrusiveList<Item> list;
        list.push_back(item);
        EXPECT_TRUE(item.linked());
    }
    EXPECT_FALSE(item.linked());
    IntrusiveList<Item> other;
    other.push_back(item);
    EXPECT_EQ(values(other), std::vector{1});
}

// An element of two lists has two bases with links.
struct ReadyNode : ListNode {};
struct OwnedNode : ListNode {};
struct Double : ReadyNode, OwnedNode {};

TEST(IntrusiveList, an_element_may_be_in_two_lists) {
    Double element;
    IntrusiveList<Double, ReadyNode> ready;
    IntrusiveList<Double, OwnedNode> owned;
    ready.push_back(element);
    owned.push_back(element);
    EXPECT_EQ(&ready.pop_front(), &element);
    EXPECT_EQ(&owned.front(), &element);
    EXPECT_FALSE(element.ReadyNode::linked());
    EXPECT_TRUE(element.OwnedNode::linked());
}

}  // namespace
