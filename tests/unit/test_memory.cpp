// What happens where there is no memory left.
#include "async_generator_fixture.hpp"
#include "sanitizers.hpp"

#include <malloc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

// Where nothing can be allocated: neither from the system, nor from what the pool had in stock.
constinit bool system_exhausted = false;
constinit bool slabs_exhausted = false;

}  // namespace

void* operator new(std::size_t size) {
    void* const block = system_exhausted ? nullptr : std::malloc(size);
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
    return slabs_exhausted ? nullptr : memalign(alignment, size);
}

namespace {

using asyncio::AsyncGenerator;
using asyncio::Coro;
namespace detail = asyncio::detail;

// Takes every block that the pool can give.
class PoolExhausted {
public:
    PoolExhausted() {
        slabs_exhausted = true;
        for (std::size_t size = sizeof(Block); size <= detail::pool_block_max;
             size += detail::pool_granule) {
            try {
                for (;;) {
                    taken_ = new (detail::pool_allocate(size)) Block{taken_, size};
                }
            } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch)
                // That was the last one.
            }
        }
    }
    PoolExhausted(const PoolExhausted&) = delete;
    PoolExhausted& operator=(const PoolExhausted&) = delete;
    ~PoolExhausted() {
        while (taken_ != nullptr) {
            const Block block = *taken_;
            detail::pool_deallocate(taken_, block.size);
            taken_ = block.next;
        }
        slabs_exhausted = false;
    }

private:
    struct Block {
        Block* next;
        std::size_t size;
    };
    Block* taken_ = nullptr;
};

class WithoutMemory : public AsyncGenerators {
protected:
    void SetUp() override {
        if (ASYNCIO_TEST_HAS_FEATURE(address_sanitizer)) {
            GTEST_SKIP() << "AddressSanitizer switches the pool off";
        }
    }
};

TEST_F(WithoutMemory, generators_that_are_dropped_are_closed_all_the_same) {
    asyncio::ContextVar<int> number("number");
    run([&]() -> Coro<void> {
        number.set(1);
        std::vector<AsyncGenerator<int>> generators;
        for (int i = 0; i < 3; ++i) {
            generators.push_back(careful());
            co_await generators.back().next();
        }
        {
            const PoolExhausted exhausted;
            system_exhausted = true;
            generators.clear();
            system_exhausted = false;
        }
        co_await asyncio::sleep(std::chrono::seconds(2));
    });
    EXPECT_EQ(notes, "closing closing closing closed closed closed ");
}

TEST_F(WithoutMemory, a_call_whose_context_cannot_be_copied_leaves_nothing_behind) {
    asyncio::ContextVar<int> number("number");
    number.set(1);
    const auto owned = std::make_shared<int>();
    // Too large for the pool.
    const auto callback = [owned, large = std::array<char, detail::pool_block_max>()] {
        static_cast<void>(large);
    };
    const auto before = owned.use_count();
    {
        const PoolExhausted exhausted;
        EXPECT_THROW(loop->call_soon(callback), std::bad_alloc);
        EXPECT_THROW(loop->call_soon_threadsafe(callback), std::bad_alloc);
    }
    EXPECT_EQ(owned.use_count(), before);
}

}  // namespace
