// The slow paths of the block pool, and the state every thread has.
#include <asyncio/detail/thread_state.hpp>
#include <cstdlib>
#include <new>

// Present exactly when the program runs under AddressSanitizer, whoever was compiled with it.
extern "C" __attribute__((weak)) void __asan_init();

namespace asyncio::inline v0 {
namespace detail {

namespace {

// A class keeps at most this much, enough for thousands of tasks that come and go together.
constexpr std::size_t pool_class_bytes_max = 1024 * 1024;

// What a thread uses before its first allocation: always empty, takes nothing.
constinit Pool empty_pool;

bool recycling_allowed() noexcept {
    return &__asan_init == nullptr && std::getenv("ASYNCIO_NO_POOL") == nullptr;
}

// Owns the pool of a thread, and frees its blocks when the thread ends.
class ThreadPool {
public:
    ThreadPool() {
        if (!recycling_allowed()) {
            return;
        }
        for (std::size_t i = 1; i < pool_class_count; ++i) {
            pool_.classes[i].limit =
                static_cast<std::uint32_t>(pool_class_bytes_max / (i * pool_granule));
        }
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool() {
        thread_state.pool = &empty_pool;
        for (Pool::Class& blocks : pool_.classes) {
            while (blocks.free != nullptr) {
                void* block = blocks.free;
                blocks.free = *static_cast<void**>(block);
                std::free(block);
            }
        }
        ended_ = true;
    }

    static Pool* of_this_thread() {
        thread_local ThreadPool instance;
        return ended_ ? &empty_pool : &instance.pool_;
    }

private:
    // True while the last destructors of a thread run: blocks are no longer kept.
    static thread_local bool ended_;
    Pool pool_;
};

thread_local bool ThreadPool::ended_ = false;

}  // namespace

constinit thread_local ThreadState thread_state{.pool = &empty_pool};

void* pool_refill(std::size_t size_class) {
    if (thread_state.pool == &empty_pool) {
        thread_state.pool = ThreadPool::of_this_thread();
    }
    void* block = std::malloc(size_class * pool_granule);
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    return block;
}

void pool_drain(void* block, std::size_t) noexcept {
    std::free(block);
}

}  // namespace detail
}  // namespace asyncio::inline v0
