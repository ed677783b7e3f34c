// The timers of a loop: a 4-ary heap ordered by deadline and, among equals, by age. Each timer
// knows its place, so cancelling removes it at once and the heap never holds dead entries.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/runnable.hpp>

#include <cstdint>
#include <cstdlib>

namespace asyncio::inline v0 {
namespace detail {

inline constexpr std::uint32_t not_in_heap = 0xffffffff;

// Base of what can be due at a time; it is scheduled when it is.
class TimerNode : public Runnable {
public:
    bool armed() const noexcept { return heap_index_ != not_in_heap; }

protected:
    explicit TimerNode(Run run) noexcept : Runnable(run) {}
    ~TimerNode() = default;

private:
    friend class TimerHeap;
    bool older_than(const TimerNode& other) const noexcept {
        return static_cast<std::int32_t>(sequence_ - other.sequence_) < 0;
    }

    std::uint32_t heap_index_ = not_in_heap;
    std::uint32_t sequence_;  // its age; meaningful while armed
};

// Invariants, for indices below size_:
//  1. entries_[i] is not due before entries_[(i - 1) / 4], equal deadlines by age.
//  2. entries_[i].node->heap_index_ == i; nodes outside the heap have not_in_heap.
//  3. Among equal deadlines, fewer than 2^31 pushes apart, the older timer comes first.
class ASYNCIO_API TimerHeap {
public:
    TimerHeap() = default;
    TimerHeap(const TimerHeap&) = delete;
    TimerHeap& operator=(const TimerHeap&) = delete;
    ~TimerHeap() { std::free(entries_); }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    TimePoint earliest() const noexcept { return entries_[0].when; }
    TimePoint when(const TimerNode& node) const noexcept { return entries_[node.heap_index_].when; }

    // Makes room, so that the next push does not fail.
    void reserve_one() {
        if (size_ == capacity_) [[unlikely]] {
            grow();
        }
    }
    // Requires: reserve_one().
    void push(TimePoint when, TimerNode& node) noexcept;
    void remove(TimerNode& node) noexcept;
    TimerNode& pop() noexcept;
    void check() const noexcept;

private:
    struct Entry {
        TimePoint when;
        TimerNode* node;

        // Equal deadlines are rare enough to look the age up.
        bool before(const Entry& other) const noexcept {
            return when < other.when || (when == other.when && node->older_than(*other.node));
        }
    };

    [[gnu::noinline]] void grow();
    void sift_up(std::size_t index, Entry entry) noexcept;
    void sift_down(std::size_t index, Entry entry) noexcept;
    static void place(Entry* entries, std::size_t index, Entry entry) noexcept {
        entries[index] = entry;
        entry.node->heap_index_ = static_cast<std::uint32_t>(index);
    }

    // Grown by realloc: a large array is then remapped, not copied.
    Entry* entries_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::uint32_t sequence_ = 0;
};

}  // namespace detail
}  // namespace asyncio::inline v0
