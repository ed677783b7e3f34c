// The slow paths of the block pool: slabs that blocks are carved from and return to.
#include <asyncio/detail/thread_state.hpp>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

// Present exactly when the program runs under AddressSanitizer, whoever was compiled with it.
extern "C" __attribute__((weak)) void __asan_init();  // NOLINT(bugprone-reserved-identifier)

namespace asyncio::inline v0 {
namespace detail {

namespace {

// A free list keeps at most this much, enough for thousands of tasks that come and go together.
constexpr std::size_t list_bytes_max = std::size_t{1} << 20;
// A power of two, so that a block's address tells its slab. Large enough that the C library maps
// each one by itself (smaller aligned blocks leave holes of their own size between them), small
// enough that one live block does not hold much.
constexpr std::size_t slab_size = std::size_t{1} << 20;

// New pages cost far more than blocks: so many empty slabs of a thread stay.
constexpr std::size_t spare_slabs_max = 4;

class SlabPool;

// Blocks of one size, carved from the front on; returned ones are listed in `free`.
//
// Invariants:
//  1. `live` counts the blocks that are in use or in some thread's free list.
//  2. Only the owner's thread touches a slab, except `returned...` and `next_returned`, which are
//     guarded by returns_mutex; once the owner is abandoned the mutex guards everything.
struct alignas(64) Slab {
    SlabPool* owner;
    std::uint32_t size_class;
    std::uint32_t live = 0;
    void* free = nullptr;
    char* next_block;
    char* end;
    Slab* next = nullptr;  // the slabs of the same class that have room
    Slab* prev = nullptr;
    bool listed = false;
    // What other threads gave back, in a cache line of its own.
    alignas(64) void* returned = nullptr;
    void* returned_last = nullptr;
    std::uint32_t returned_count = 0;
    Slab* next_returned = nullptr;

    static Slab* of(void* block) noexcept {
        return reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_size - 1));
    }
    bool has_room() const noexcept { return free != nullptr || next_block + block_size() <= end; }
    std::size_t block_size() const noexcept { return size_class * pool_granule; }

    void* take() noexcept {
        ++live;
        if (free != nullptr) {
            void* const block = free;
            free = *static_cast<void**>(block);
            return block;
        }
        void* const block = next_block;
        next_block += block_size();
        return block;
    }
    void give_back(void* block) noexcept {
        --live;
        *static_cast<void**>(block) = free;
        free = block;
    }
    void add_returned(void* block) noexcept {
        if (returned == nullptr) {
            returned_last = block;
        }
        *static_cast<void**>(block) = returned;
        returned = block;
        ++returned_count;
    }
    // Constant time: the blocks are in another processor's cache.
    void take_returned() noexcept {
        live -= std::exchange(returned_count, 0);
        *static_cast<void**>(returned_last) = free;
        free = std::exchange(returned, nullptr);
    }
};

constinit std::mutex returns_mutex;

// How many blocks go back to other threads under one lock.
constexpr std::size_t returned_together = 64;

// What a thread uses before its first allocation: always empty, takes nothing.
constinit Pool empty_pool;

// The pool of one thread. It outlives the thread, abandoned, while blocks of it are in use.
//
// Invariant: `with_room_[c]` lists the slabs of class c that have room; the first is used next.
class SlabPool {
public:
    SlabPool() {
        for (std::size_t i = 1; i < pool_class_count; ++i) {
            lists.classes[i].limit =
                static_cast<std::uint32_t>(list_bytes_max / (i * pool_granule));
        }
    }
    SlabPool(const SlabPool&) = delete;
    SlabPool& operator=(const SlabPool&) = delete;
    ~SlabPool() = default;

    void* allocate(std::size_t size_class) {
        Slab* slab = with_room_[size_class];
        if (slab == nullptr) [[unlikely]] {
            slab = &add_slab(size_class);
        }
        void* const block = slab->take();
        if (!slab->has_room()) [[unlikely]] {
            unlist(*slab);
        }
        return block;
    }

    // Requires: the slab is this pool's.
    void release(Slab& slab, void* block) noexcept {
        slab.give_back(block);
        sort_in(slab);
    }

    // Has the list of slabs tell that this one has room, or frees it when nothing of it is in use.
    void sort_in(Slab& slab) noexcept {
        if (slab.live == 0) {
            if (slab.listed) {
                unlist(slab);
            }
            --slab_count_;
            discard(slab);
        } else if (!slab.listed) {
            list(slab);
        }
    }

    // Gives a block of another thread's back to its owner. `pool` is this thread's, null when it is
    // gone; its list of such blocks is full, so some of them go back under the same lock.
    static void release_foreign(SlabPool* pool, void* block, std::size_t size_class) noexcept {
        const std::lock_guard lock(returns_mutex);
        return_block(pool, block);
        if (pool != nullptr) {
            pool->shorten(pool->lists.classes[size_class], returned_together);
        }
    }
    // The thread ends: what the free lists hold goes back.
    static void abandon(SlabPool* pool) noexcept;

    // For the last destructors of a thread, when its own pool is gone.
    static void* allocate_late(std::size_t size_class) {
        const std::lock_guard lock(returns_mutex);
        static SlabPool* const late = [] {
            auto* const pool = new SlabPool;
            pool->abandoned_ = true;
            pool->slab_count_ = 1;  // is never deleted
            return pool;
        }();
        return late->allocate(size_class);
    }

    Pool lists;

private:
    Slab& add_slab(std::size_t size_class) {
        if (has_returned_.load(std::memory_order_relaxed)) {
            const std::lock_guard lock(returns_mutex);
            collect_returned();
            if (with_room_[size_class] != nullptr) {
                return *with_room_[size_class];
            }
        }
        void* memory = spare_;
        if (spare_ != nullptr) {
            spare_ = spare_->next;
            --spare_count_;
        } else if (memory = std::aligned_alloc(slab_size, slab_size); memory == nullptr) {
            throw std::bad_alloc();
        }
        char* const begin = static_cast<char*>(memory);
        auto* const slab = new (memory) Slab{.owner = this,
                                             .size_class = static_cast<std::uint32_t>(size_class),
                                             .next_block = begin + sizeof(Slab),
                                             .end = begin + slab_size};
        ++slab_count_;
        list(*slab);
        return *slab;
    }

    // An empty slab goes back to the system, unless it is among the few that are kept.
    void discard(Slab& slab) noexcept {
        if (spare_count_ < spare_slabs_max && !abandoned_) {
            slab.next = std::exchange(spare_, &slab);
            ++spare_count_;
        } else {
            std::free(&slab);
        }
    }

    void free_spares() noexcept {
        while (spare_ != nullptr) {
            std::free(std::exchange(spare_, spare_->next));
        }
    }

    // Requires: returns_mutex is held.
    void collect_returned() noexcept {
        has_returned_.store(false, std::memory_order_relaxed);
        while (returned_ != nullptr) {
            Slab& slab = *returned_;
            returned_ = slab.next_returned;
            slab.take_returned();
            sort_in(slab);
        }
    }

    // Gives the first blocks of a free list back. Requires: returns_mutex is held.
    void shorten(Pool::Class& blocks, std::size_t count_max) noexcept {
        for (; count_max > 0 && blocks.free != nullptr; --count_max) {
            void* const block = blocks.free;
            blocks.free = *static_cast<void**>(block);
            --blocks.count;
            return_block(this, block);
        }
    }

    // Requires: returns_mutex is held.
    static void return_block(SlabPool* pool, void* block) noexcept {
        Slab& slab = *Slab::of(block);
        SlabPool* const owner = slab.owner;
        if (owner == pool) {
            pool->release(slab, block);
        } else if (owner->abandoned_) {
            owner->release(slab, block);
            owner->delete_if_unused();
        } else {
            if (slab.returned == nullptr) {
                slab.next_returned = std::exchange(owner->returned_, &slab);
                owner->has_returned_.store(true, std::memory_order_relaxed);
            }
            slab.add_returned(block);
        }
    }

    void delete_if_unused() noexcept {
        if (slab_count_ == 0) {
            delete this;
        }
    }

    void list(Slab& slab) noexcept {
        Slab*& first = with_room_[slab.size_class];
        slab.prev = nullptr;
        slab.next = first;
        if (first != nullptr) {
            first->prev = &slab;
        }
        first = &slab;
        slab.listed = true;
    }
    void unlist(Slab& slab) noexcept {
        (slab.prev != nullptr ? slab.prev->next : with_room_[slab.size_class]) = slab.next;
        if (slab.next != nullptr) {
            slab.next->prev = slab.prev;
        }
        slab.listed = false;
    }

    Slab* with_room_[pool_class_count] = {};
    std::size_t slab_count_ = 0;  // those in use
    Slab* spare_ = nullptr;       // empty ones
    std::size_t spare_count_ = 0;
    std::atomic<bool> has_returned_{false};
    Slab* returned_ = nullptr;  // guarded by returns_mutex
    bool abandoned_ = false;    // guarded by returns_mutex
};

// Owns the pool of a thread until the thread ends.
class ThreadPool {
public:
    ThreadPool() : pool_(new SlabPool) {}
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool() {
        thread_state.pool = &empty_pool;
        ended = true;
        SlabPool::abandon(std::exchange(pool_, nullptr));
    }

    // Null when the thread is ending.
    static SlabPool* of_this_thread() {
        if (ended) {
            return nullptr;
        }
        thread_local ThreadPool instance;
        return instance.pool_;
    }

private:
    static thread_local bool ended;
    SlabPool* pool_;
};

thread_local bool ThreadPool::ended = false;

void SlabPool::abandon(SlabPool* pool) noexcept {
    const std::lock_guard lock(returns_mutex);
    for (Pool::Class& blocks : pool->lists.classes) {
        pool->shorten(blocks, blocks.count);
    }
    pool->collect_returned();
    pool->abandoned_ = true;
    pool->free_spares();
    pool->delete_if_unused();
}

}  // namespace

bool recycling_allowed() noexcept {
    static const bool allowed =
        &__asan_init == nullptr && std::getenv("ASYNCIO_NO_POOL") == nullptr;
    return allowed;
}

constinit thread_local ThreadState thread_state{.pool = &empty_pool};

void* pool_refill(std::size_t size_class) {
    if (!recycling_allowed()) {
        void* const block = std::malloc(size_class * pool_granule);
        if (block == nullptr) {
            throw std::bad_alloc();
        }
        return block;
    }
    SlabPool* const pool = ThreadPool::of_this_thread();
    if (pool == nullptr) {
        return SlabPool::allocate_late(size_class);
    }
    thread_state.pool = &pool->lists;
    return pool->allocate(size_class);
}

void pool_drain(void* block, std::size_t size_class) noexcept {
    if (!recycling_allowed()) {
        std::free(block);
        return;
    }
    Slab& slab = *Slab::of(block);
    SlabPool* const pool = ThreadPool::of_this_thread();
    if (slab.owner == pool) {
        pool->release(slab, block);
    } else {
        SlabPool::release_foreign(pool, block, size_class);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
