// A 4-ary heap whose entries know their place, so that cancelling a timer removes it at once
// instead of leaving a dead entry behind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace floor_runtime {

class IndexedHeap {
public:
    // The heap keeps `place` up to date until the entry is removed.
    void push(std::uint64_t when_ns, std::size_t* place) {
        entries_.push_back({when_ns, place});
        sift_up(entries_.size() - 1, {when_ns, place});
    }

    void remove(std::size_t place) {
        const Entry moved = entries_.back();
        entries_.pop_back();
        if (place != entries_.size()) {
            sift_down(sift_up(place, moved), moved);
        }
    }

private:
    struct Entry {
        std::uint64_t when_ns;
        std::size_t* place;
    };

    void put(std::size_t index, const Entry& entry) {
        entries_[index] = entry;
        *entry.place = index;
    }

    std::size_t sift_up(std::size_t hole, const Entry& entry) {
        while (hole > 0) {
            const std::size_t parent = (hole - 1) / 4;
            if (entries_[parent].when_ns <= entry.when_ns) {
                break;
            }
            put(hole, entries_[parent]);
            hole = parent;
        }
        put(hole, entry);
        return hole;
    }

    void sift_down(std::size_t hole, const Entry& entry) {
        const std::size_t size = entries_.size();
        for (std::size_t child = 4 * hole + 1; child < size; child = 4 * hole + 1) {
            std::size_t least = child;
            const std::size_t end = std::min(child + 4, size);
            for (std::size_t sibling = child + 1; sibling < end; ++sibling) {
                if (entries_[sibling].when_ns < entries_[least].when_ns) {
                    least = sibling;
                }
            }
            if (entries_[least].when_ns >= entry.when_ns) {
                break;
            }
            put(hole, entries_[least]);
            hole = least;
        }
        put(hole, entry);
    }

    std::vector<Entry> entries_;
};

}  // namespace floor_runtime
