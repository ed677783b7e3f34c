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
    void* const memory = std::realloc(entries_.get(), capacity * sizeof(Entry));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    static_cast<void>(entries_.release());
    entries_.reset(static_cast<Entry*>(memory));
    capacity_ = capacity;
}

// Takes the entry apart, so that it stays in registers: writing it to memory field by field and
// copying it as a whole afterwards would stall the processor.
inline void TimerHeap::sift_up(std::size_t index, TimePoint when, std::uint64_t sequence,
                               TimerNode* node) noexcept {
    Entry* const entries = entries_.get();
    while (index > 0) {
        const std::size_t parent = (index - 1) / arity;
        const Entry& above = entries[parent];
        if (above.when < when || (above.when == when && above.sequence < sequence)) [[likely]] {
            break;
        }
        place(entries, index, above);
        index = parent;
    }
    Entry& target = entries[index];
    target.when = when;
    target.sequence = sequence;
    target.node = node;
    node->heap_index_ = static_cast<std::uint32_t>(index);
}

void TimerHeap::push(TimePoint when, TimerNode& node) noexcept {
    ASYNCIO_ASSERT(!node.armed() && size_ < capacity_);
    sift_up(size_++, when, sequence_++, &node);
}

void TimerHeap::remove(TimerNode& node) noexcept {
    ASYNCIO_ASSERT(node.armed());
    const std::size_t index = node.heap_index_;
    node.heap_index_ = not_in_heap;
    --size_;
    if (index == size_) {
        return;
    }
    const Entry& last = entries_[size_];
    if (index > 0 && last.before(entries_[(index - 1) / arity])) {
        sift_up(index, last.when, last.sequence, last.node);
    } else {
        sift_down(index, last);
    }
}

TimerNode& TimerHeap::pop() noexcept {
    TimerNode& node = *entries_[0].node;
    remove(node);
    return node;
}

void TimerHeap::sift_down(std::size_t index, const Entry& entry) noexcept {
    Entry* const entries = entries_.get();
    const std::size_t size = size_;
    for (;;) {
        const std::size_t first = index * arity + 1;
        if (first >= size) {
            break;
        }
        std::size_t least = first;
        const std::size_t end = std::min(first + arity, size);
        for (std::size_t child = first + 1; child < end; ++child) {
            if (entries[child].before(entries[least])) {
                least = child;
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
