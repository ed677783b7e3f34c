// Coroutine frames from free lists by size class: the largest single saving of a coroutine
// runtime, since a frame comes and goes with every call.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace floor_runtime {

class FramePool {
public:
    void* allocate(std::size_t size) {
        const std::size_t size_class = class_of(size);
        if (size_class >= class_count) {
            return std::malloc(size);
        }
        if (void* block = free_[size_class]) {
            free_[size_class] = *static_cast<void**>(block);
            return block;
        }
        return carve(size_class * granule);
    }

    void release(void* block, std::size_t size) noexcept {
        const std::size_t size_class = class_of(size);
        if (size_class >= class_count) {
            std::free(block);
            return;
        }
        *static_cast<void**>(block) = free_[size_class];
        free_[size_class] = block;
    }

private:
    static constexpr std::size_t granule = 64;
    static constexpr std::size_t class_count = 17;
    static constexpr std::size_t chunk_size = 256 * 1024;

    static std::size_t class_of(std::size_t size) { return (size + granule - 1) / granule; }

    // Chunks are never returned: the process ends with its benchmark.
    void* carve(std::size_t size) {
        if (next_ == nullptr || size > static_cast<std::size_t>(end_ - next_)) {
            next_ = static_cast<char*>(std::aligned_alloc(granule, chunk_size));
            end_ = next_ + chunk_size;
        }
        void* block = next_;
        next_ += size;
        return block;
    }

    void* free_[class_count] = {};
    char* next_ = nullptr;
    char* end_ = nullptr;
};

inline thread_local FramePool frame_pool;

// A promise that derives from this gets its frame from the pool.
struct PooledFrame {
    static void* operator new(std::size_t size) { return frame_pool.allocate(size); }
    static void operator delete(void* block, std::size_t size) { frame_pool.release(block, size); }
};

}  // namespace floor_runtime
