// Results that cannot be copied, also where their type claims that it can.
#include "loop_fixture.hpp"

#include <map>
#include <memory>
#include <vector>

namespace {

using asyncio::Coro;
using asyncio::Future;
using Pointer = std::unique_ptr<int>;
using Pointers = std::vector<Pointer>;

// Claims to be copyable, and is not.
struct Parcel {
    Pointers contents;
};

Coro<Pointer> make_pointer(int value) { co_return std::make_unique<int>(value); }

Coro<Pointers> make_pointers(int count) {
    Pointers pointers;
    for (int i = 0; i < count; ++i) {
        pointers.push_back(std::make_unique<int>(i));
    }
    co_return pointers;
}

Coro<Parcel> make_parcel() { co_return Parcel{co_await make_pointers(3)}; }

}  // namespace

template <>
inline constexpr bool asyncio::copyable_result<Parcel> = false;

namespace {

static_assert(asyncio::copyable_result<std::vector<std::map<int, std::string>>>);
static_assert(!asyncio::copyable_result<std::vector<Pointer>>);
static_assert(!asyncio::copyable_result<std::map<int, Pointers>>);
static_assert(!asyncio::copyable_result<std::pair<int, Pointers>>);
static_assert(!asyncio::copyable_result<std::tuple<int, std::optional<Pointers>>>);
static_assert(!asyncio::copyable_result<std::variant<int, Pointers>>);

TEST(MoveOnlyResults, pass_through_tasks_gathers_and_shields) {
    asyncio::run([]() -> Coro<void> {
        EXPECT_EQ((co_await asyncio::create_task(make_pointers(2))).size(), 2U);
        EXPECT_EQ((co_await asyncio::shield(make_pointers(3))).size(), 3U);
        EXPECT_EQ((co_await asyncio::create_task(make_parcel())).contents.size(), 3U);

        std::vector<Coro<Pointer>> coros;
        coros.push_back(make_pointer(1));
        coros.push_back(make_pointer(2));
        const std::vector<Pointer> both = co_await asyncio::gather(std::move(coros));
        EXPECT_EQ(*both[0] + *both[1], 3);

        const auto [one, many] = co_await asyncio::gather(make_pointer(4), make_pointers(5));
        EXPECT_EQ(*one, 4);
        EXPECT_EQ(many.size(), 5U);

        coros.clear();
        coros.push_back(make_pointer(6));
        auto outcomes = co_await asyncio::gather(asyncio::return_exceptions, std::move(coros));
        EXPECT_EQ(*std::move(outcomes[0]).value(), 6);
    }());
}

TEST(MoveOnlyResults, leave_a_loop_that_runs_until_they_are_there) {
    const auto loop = asyncio::new_event_loop();
    EXPECT_EQ(loop->run_until_complete(make_pointers(2)).size(), 2U);
}

}  // namespace
