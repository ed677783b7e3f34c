// What exists once per thread: which loop runs, which driver is being stepped, and the pool.
#pragma once

#include <asyncio/detail/pool.hpp>

#include <new>

namespace asyncio::inline v0 {

class Driver;
class EventLoop;

namespace detail {

struct Frame;
class ContextData;

struct ThreadState {
    // The coroutine that the trampoline resumes after the one that is running; null to return.
    // Unused where coroutines pass control by tail calls (see Transfer in coro.hpp).
    Frame* next = nullptr;
    // The driver whose coroutine is running; null in plain callbacks and outside the loop.
    Driver* driver = nullptr;
    EventLoop* running_loop = nullptr;
    // The driver has an error to throw where its coroutine resumes; see Driver::deliver.
    bool error_pending = false;
    // While destroy_chain works: the coroutine it destroyed last, until its awaiter has noticed.
    Frame* destroyed = nullptr;
    // The context outside of any driver; null means empty.
    ContextData* context = nullptr;
    Pool* pool;
};

// Initial-exec makes an access one instruction instead of a call; the few words fit the reserve
// that libc keeps for libraries loaded at run time.
extern ASYNCIO_API constinit thread_local ThreadState thread_state
    __attribute__((tls_model("initial-exec")));

// The identity of this thread.
inline const void* this_thread() noexcept { return &thread_state; }

inline void* pool_allocate(std::size_t size) {
    const std::size_t size_class = (size + pool_granule - 1) / pool_granule;
    if (size > pool_block_max) [[unlikely]] {
        return ::operator new(size);
    }
    Pool::Class& blocks = thread_state.pool->classes[size_class];
    void* block = blocks.free;
    if (block == nullptr) [[unlikely]] {
        return pool_refill(size_class);
    }
    blocks.free = *static_cast<void**>(block);
    --blocks.count;
    return block;
}

inline void pool_deallocate(void* block, std::size_t size) noexcept {
    const std::size_t size_class = (size + pool_granule - 1) / pool_granule;
    if (size > pool_block_max) [[unlikely]] {
        ::operator delete(block);
        return;
    }
    Pool::Class& blocks = thread_state.pool->classes[size_class];
    if (blocks.count >= blocks.limit) [[unlikely]] {
        pool_drain(block, size_class);
        return;
    }
    *static_cast<void**>(block) = blocks.free;
    blocks.free = block;
    ++blocks.count;
}

// Base of what is allocated from the pool with `new`. Over-aligned types bypass it; a type that
// needs 16 has a size that is a multiple of 16.
struct Pooled {
    static void* operator new(std::size_t size) { return pool_allocate(size); }
    static void operator delete(void* block, std::size_t size) noexcept {
        pool_deallocate(block, size);
    }
    static void* operator new(std::size_t size, std::align_val_t align) {
        return ::operator new(size, align);
    }
    static void operator delete(void* block, std::size_t, std::align_val_t align) noexcept {
        ::operator delete(block, align);
    }
};

}  // namespace detail
}  // namespace asyncio::inline v0
