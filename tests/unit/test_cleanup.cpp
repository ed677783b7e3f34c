// settle and finally: cleaning up with co_await after an exception.
#include "coordination_fixture.hpp"

#include <memory>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;

struct Boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Cleanup : public Coordination {
protected:
    static Coro<int> seven() {
        co_await asyncio::sleep(1s);
        co_return 7;
    }
    static Coro<int> fail() {
        co_await asyncio::sleep(1s);
        throw Boom("boom");
    }
    auto slowly() {
        return [this]() -> Coro<void> {
            notes += "cleaning ";
            co_await asyncio::sleep(1s);
            notes += "cleaned ";
        };
    }
};

TEST_F(Cleanup, settle_gives_the_value_the_error_or_the_cancellation) {
    run([]() -> Coro<void> {
        EXPECT_EQ((co_await asyncio::settle(seven())).value(), 7);
        EXPECT_TRUE((co_await asyncio::settle(asyncio::sleep(1s))).has_value());

        const auto failed = co_await asyncio::settle(fail());
        EXPECT_FALSE(failed.cancelled());
        EXPECT_TRUE(asyncio::is_exception<Boom>(failed.exception()));
        EXPECT_THROW(static_cast<void>(failed.value()), Boom);

        const auto task = asyncio::create_task(seven());
        task.cancel("enough");
        const auto cancelled = co_await asyncio::settle(task);
        EXPECT_TRUE(cancelled.cancelled());
        EXPECT_THROW(static_cast<void>(cancelled.value()), CancelledError);
    });
}

TEST_F(Cleanup, settle_keeps_a_cancellation_of_the_current_task_until_it_is_thrown_again) {
    const auto task = loop->create_task([this]() -> Coro<int> {
        const auto outcome = co_await asyncio::settle(seven());
        co_await slowly()();
        co_return outcome.value();
    });
    loop->call_later(500ms, [&] { task.cancel(); });
    EXPECT_THROW(loop->run_until_complete(task), CancelledError);
    EXPECT_EQ(notes, "cleaning cleaned ");
}

TEST_F(Cleanup, finally_cleans_up_after_a_result) {
    run([this]() -> Coro<void> {
        EXPECT_EQ(co_await asyncio::finally([] { return seven(); }, slowly()), 7);
        co_await asyncio::finally([] { return asyncio::sleep(1s); }, slowly());
        int there = 0;
        int& same = co_await asyncio::finally([&]() -> Coro<int&> { co_return there; }, slowly());
        EXPECT_EQ(&same, &there);
        const auto moved = co_await asyncio::finally(
            []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(1); }, slowly());
        EXPECT_EQ(*moved, 1);
    });
    EXPECT_EQ(notes, "cleaning cleaned cleaning cleaned cleaning cleaned cleaning cleaned ");
}

TEST_F(Cleanup, finally_cleans_up_after_an_exception) {
    run([this]() -> Coro<void> {
        co_await note_error([](auto clean) -> Coro<void> {
            co_await asyncio::finally([] { return fail(); }, clean);
        }(slowly()));
        // One that the callable throws before there is a coroutine counts as well.
        co_await note_error(
            asyncio::finally([]() -> Coro<void> { throw Boom("at once"); }, slowly()));
    });
    EXPECT_EQ(notes, "cleaning cleaned (anonymous namespace)::Boom: boom "
                     "cleaning cleaned (anonymous namespace)::Boom: at once ");
}

TEST_F(Cleanup, finally_cleans_up_after_a_cancellation_and_passes_it_on) {
    const auto task = loop->create_task(
        [this]() -> Coro<int> { return asyncio::finally([] { return seven(); }, slowly()); });
    loop->call_later(500ms, [&] { task.cancel(); });
    EXPECT_THROW(loop->run_until_complete(task), CancelledError);
    EXPECT_EQ(notes, "cleaning cleaned ");
}

TEST_F(Cleanup, what_the_clean_up_throws_takes_the_place_of_the_rest) {
    run([this]() -> Coro<void> {
        const auto broken = []() -> Coro<void> { throw Boom("broken"); };
        co_await note_error([](auto clean) -> Coro<void> {
            co_await asyncio::finally([] { return seven(); }, clean);
        }(broken));
        co_await note_error([](auto clean) -> Coro<void> {
            co_await asyncio::finally([] { return fail(); }, clean);
        }(broken));
    });
    EXPECT_EQ(notes, "(anonymous namespace)::Boom: broken (anonymous namespace)::Boom: broken ");
}

TEST_F(Cleanup, a_second_cancellation_interrupts_the_clean_up) {
    const auto task = loop->create_task(
        [this]() -> Coro<int> { return asyncio::finally([] { return seven(); }, slowly()); });
    loop->call_later(500ms, [&] { task.cancel(); });
    loop->call_later(700ms, [&] { task.cancel(); });
    EXPECT_THROW(loop->run_until_complete(task), CancelledError);
    EXPECT_EQ(notes, "cleaning ");
}

TEST_F(Cleanup, finally_cleans_up_when_the_body_ends_the_program) {
    const auto end_the_program = []() -> Coro<void> { throw asyncio::SystemExit(3); };
    EXPECT_THROW(loop->run_until_complete(asyncio::finally(end_the_program, slowly())),
                 asyncio::SystemExit);
    EXPECT_EQ(notes, "cleaning cleaned ");
}

}  // namespace
