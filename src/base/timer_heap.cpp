// The 4-ary timer heap: shallower than a binary one, and four children share two cache lines.
#include <algorithm>
#include <asyncio/detail/timer_heap.hpp>

namespace asyncio::inline v0 {
namespace detail {

namespace {
constexpr std::size_t arity = 4;
}

void TimerHeap::push(TimePoint when, TimerNode& node) {
    ASYNCIO_ASSERT(!node.armed());
    const Entry entry{when, sequence_++, &node};
    entries_.push_back(entry);
    sift_up(entries_.size() - 1, entry);
}

void TimerHeap::remove(TimerNode& node) noexcept {
    ASYNCIO_ASSERT(node.armed());
    const std::size_t index = node.heap_index_;
    node.heap_index_ = not_in_heap;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (index == entries_.size()) {
        return;
    }
    if (index > 0 && last.before(entries_[(index - 1) / arity])) {
        sift_up(index, last);
    } else {
        sift_down(index, last);
    }
}

TimerNode& TimerHeap::pop() noexcept {
    TimerNode& node = *entries_.front().node;
    remove(node);
    return node;
}

void TimerHeap::sift_up(std::size_t index, Entry entry) noexcept {
    while (index > 0) {
        const std::size_t parent = (index - 1) / arity;
        if (!entry.before(entries_[parent])) {
            break;
        }
        place(index, entries_[parent]);
        index = parent;
    }
    place(index, entry);
}

void TimerHeap::sift_down(std::size_t index, Entry entry) noexcept {
    const std::size_t size = entries_.size();
    for (;;) {
        const std::size_t first = index * arity + 1;
        if (first >= size) {
            break;
        }
        std::size_t least = first;
        const std::size_t end = std::min(first + arity, size);
        for (std::size_t child = first + 1; child < end; ++child) {
            if (entries_[child].before(entries_[least])) {
                least = child;
            }
        }
        if (!entries_[least].before(entry)) {
            break;
        }
        place(index, entries_[least]);
        index = least;
    }
    place(index, entry);
}

void TimerHeap::check() const noexcept {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const bool ordered = i == 0 || !entries_[i].before(entries_[(i - 1) / arity]);
        const bool placed = entries_[i].node->heap_index_ == i;
        if (!ordered || !placed) {
            assertion_failed("the timer heap is ordered and indexed", __FILE__, __LINE__);
        }
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
