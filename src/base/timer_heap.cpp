// The 4-ary timer heap: shallower than a binary one, and four children share two cache lines.
#include <asyncio/detail/timer_heap.hpp>

#include <algorithm>
#include <new>
#include <type_traits>

namespace asyncio::inline v0 {
namespace detail {

namespace {
constexpr std::size_t arity = 4;
constexpr std::size_t capacity_min = 64;
}  // namespace

void TimerHeap::grow() {
    static_assert(std::is_trivially_copyable_v<Entry>);
    const std::size_t capacity = std::max(capacity_min, capacity_ * 2);
    void* const memory = std::realloc(entries_, capacity * sizeof(Entry));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    entries_ = static_cast<Entry*>(memory);
    capacity_ = capacity;
}

inline void TimerHeap::sift_up(std::size_t index, Entry entry) noexcept {
    Entry* const entries = entries_;
    while (index > 0) {
        const std::size_t parent = (index - 1) / arity;
        const Entry above = entries[parent];
        if (!entry.before(above)) [[likely]] {
            break;
        }
        place(entries, index, above);
        index = parent;
    }
    place(entries, index, entry);
}

void TimerHeap::push(TimePoint when, TimerNode& node) noexcept {
    ASYNCIO_ASSERT(!node.armed() && size_ < capacity_);
    node.sequence_ = sequence_++;
    sift_up(size_++, {when, &node});
}

void TimerHeap::remove(TimerNode& node) noexcept {
    ASYNCIO_ASSERT(node.armed());
    const std::size_t index = node.heap_index_;
    node.heap_index_ = not_in_heap;
    --size_;
    if (index == size_) {
        return;
    }
    const Entry last = entries_[size_];
    if (index > 0 && last.before(entries_[(index - 1) / arity])) {
        sift_up(index, last);
    } else {
        sift_down(index, last);
    }
}

TimerNode& TimerHeap::pop() noexcept {
    TimerNode& node = *entries_[0].node;
    remove(node);
    return node;
}

void TimerHeap::sift_down(std::size_t index, Entry entry) noexcept {
    Entry* const entries = entries_;
    const std::size_t size = size_;
    const auto lesser = [entries](std::size_t a, std::size_t b) {
        return entries[b].before(entries[a]) ? b : a;
    };
    for (;;) {
        const std::size_t first = index * arity + 1;
        std::size_t least = first;
        if (first + arity <= size) [[likely]] {
            // The four grandchildren's lines: one of them is next.
            const Entry* const below = &entries[first * arity + 1];
            for (std::size_t i = 0; i < arity; ++i) {
                __builtin_prefetch(below + i * arity);
            }
            least = lesser(lesser(first, first + 1), lesser(first + 2, first + 3));
        } else if (first >= size) {
            break;
        } else {
            for (std::size_t child = first + 1; child < size; ++child) {
                least = lesser(least, child);
            }
        }
        if (!entries[least].before(entry)) {
            break;
        }
        place(entries, index, entries[least]);
        index = least;
    }
    place(entries, index, entry);
}

void TimerHeap::check() const noexcept {
    for (std::size_t i = 0; i < size_; ++i) {
        const bool ordered = i == 0 || !entries_[i].before(entries_[(i - 1) / arity]);
        const bool placed = entries_[i].node->heap_index_ == i;
        if (!ordered || !placed) {
            assertion_failed("the timer heap is ordered and indexed", __FILE__, __LINE__);
        }
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
