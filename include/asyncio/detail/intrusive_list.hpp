// A circular doubly linked list whose links live inside the elements: linking never allocates, and
// an element can leave in constant time without knowing which list it is in.
#pragma once

#include <asyncio/detail/config.hpp>

#include <cstddef>

namespace asyncio::inline v0 {
namespace detail {

// Invariants:
//  1. A node is in at most one list; `next` is null exactly when it is in none.
//  2. Destroying a linked node unlinks it.
struct ListNode {
    ListNode* prev;  // meaningful while linked
    ListNode* next = nullptr;

    ListNode() noexcept {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() {
        if (next != nullptr) [[unlikely]] {
            unlink();
        }
    }

    bool linked() const noexcept { return next != nullptr; }

    void unlink() noexcept {
        ASYNCIO_ASSERT(linked());
        prev->next = next;
        next->prev = prev;
        next = nullptr;
    }
};

// Does not own its elements. `Node` is the base that holds the links; an element that can be in two
// lists has two bases derived from ListNode.
template <class T, class Node = ListNode>
class IntrusiveList {
public:
    IntrusiveList() noexcept { reset(); }
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;
    ~IntrusiveList() {
        while (!empty()) {
            pop_front();
        }
        head_.next = nullptr;
    }

    bool empty() const noexcept { return head_.next == &head_; }

    bool has_one() const noexcept { return !empty() && head_.next == head_.prev; }

    // How many there are. Cost: linear.
    std::size_t count() const noexcept {
        std::size_t number = 0;
        for (const ListNode* node = head_.next; node != &head_; node = node->next) {
            ++number;
        }
        return number;
    }

    T& front() noexcept { return element(head_.next); }

    void push_back(T& element) noexcept {
        ListNode& node = static_cast<Node&>(element);
        ASYNCIO_ASSERT(!node.linked());
        node.prev = head_.prev;
        node.next = &head_;
        head_.prev->next = &node;
        head_.prev = &node;
    }

    T& pop_front() noexcept {
        // Not unlink(): that would first load `prev`, which is known to be the head, and make each
        // removal wait for the one before.
        ListNode* const node = head_.next;
        ListNode* const following = node->next;
        head_.next = following;
        following->prev = &head_;
        node->next = nullptr;
        return element(node);
    }

    // Moves all of `other` in front of this list's first element.
    void splice_front(IntrusiveList& other) noexcept {
        if (other.empty()) {
            return;
        }
        other.head_.prev->next = head_.next;
        head_.next->prev = other.head_.prev;
        head_.next = other.head_.next;
        head_.next->prev = &head_;
        other.reset();
    }

    // Moves all of `other` behind this list's last element.
    void splice_back(IntrusiveList& other) noexcept {
        if (other.empty()) {
            return;
        }
        other.head_.next->prev = head_.prev;
        head_.prev->next = other.head_.next;
        head_.prev = other.head_.prev;
        head_.prev->next = &head_;
        other.reset();
    }

    // The loop runs while `visit` does not unlink elements other than the one it is given.
    template <class Visit>
    void for_each(Visit visit) {
        for (ListNode* node = head_.next; node != &head_;) {
            ListNode* following = node->next;
            visit(element(node));
            node = following;
        }
    }

private:
    static T& element(ListNode* node) noexcept {
        return static_cast<T&>(static_cast<Node&>(*node));
    }

    void reset() noexcept { head_.prev = head_.next = &head_; }

    ListNode head_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
