// AsyncGenerator: its values, its errors, and closing it.
#include "async_generator_fixture.hpp"

#include <memory>
#include <optional>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::AsyncGenerator;
using asyncio::Coro;
using asyncio::GeneratorExit;

TEST_F(AsyncGenerators, values_come_one_by_one_and_then_nothing) {
    run([this]() -> Coro<void> {
        auto numbers = count_to(3);
        const auto begin = loop->time();
        while (auto number = co_await numbers.next()) {
            notes += std::to_string(*number) + " ";
            EXPECT_EQ(loop->time() - begin, std::chrono::seconds(*number));
        }
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
    });
    EXPECT_EQ(notes, "1 2 3 ");
}

TEST_F(AsyncGenerators, nothing_runs_before_the_first_next) {
    run([this]() -> Coro<void> {
        auto generator = [](std::string& out) -> AsyncGenerator<int> {
            out += "begun ";
            co_yield 1;
        }(notes);
        notes += "made ";
        co_await generator.next();
        co_await generator.aclose();
    });
    EXPECT_EQ(notes, "made begun ");
}

TEST_F(AsyncGenerators, a_value_needs_no_turn_of_the_loop) {
    run([this]() -> Coro<void> {
        loop->call_soon(note("turn "));
        auto generator = careful();
        co_await generator.next();
        co_await generator.next();
        notes += "two values ";
        co_await generator.aclose();
    });
    EXPECT_EQ(notes, "two values closing turn closed ");
}

TEST_F(AsyncGenerators, values_that_can_only_be_moved_are_moved) {
    run([]() -> Coro<void> {
        auto generator = []() -> AsyncGenerator<std::unique_ptr<int>> {
            co_yield std::make_unique<int>(1);
            auto two = std::make_unique<int>(2);
            co_yield std::move(two);
        }();
        EXPECT_EQ(**co_await generator.next(), 1);
        EXPECT_EQ(**co_await generator.next(), 2);
        EXPECT_FALSE((co_await generator.next()).has_value());
    });
}

TEST_F(AsyncGenerators, a_yielded_variable_is_copied) {
    run([]() -> Coro<void> {
        auto generator = []() -> AsyncGenerator<std::vector<int>> {
            std::vector<int> growing;
            for (int i = 0; i < 3; ++i) {
                growing.push_back(i);
                co_yield growing;
            }
        }();
        std::size_t size = 0;
        while (auto values = co_await generator.next()) {
            EXPECT_EQ(values->size(), ++size);
        }
        EXPECT_EQ(size, 3U);
    });
}

TEST_F(AsyncGenerators, an_exception_of_the_body_is_thrown_by_next_and_ends_it) {
    run([]() -> Coro<void> {
        auto generator = []() -> AsyncGenerator<int> {
            co_yield 1;
            co_await asyncio::sleep(1s);
            throw Boom();
        }();
        co_await generator.next();
        EXPECT_THROW(co_await generator.next(), Boom);
        EXPECT_EQ(co_await generator.next(), std::nullopt);
        co_await generator.aclose();
    });
}

TEST_F(AsyncGenerators, a_copy_that_throws_throws_at_the_yield) {
    struct Thrower {
        Thrower() = default;
        Thrower(const Thrower&) { throw Boom(); }
    };
    run([this]() -> Coro<void> {
        auto generator = [](std::string& out) -> AsyncGenerator<Thrower> {
            const Thrower value;
            try {
                co_yield value;
            } catch (const Boom&) {
                out += "at the yield ";
            }
        }(notes);
        EXPECT_FALSE((co_await generator.next()).has_value());
    });
    EXPECT_EQ(notes, "at the yield ");
}

TEST_F(AsyncGenerators, generators_nest) {
    struct Tree {
        static AsyncGenerator<int> walk(int depth) {
            if (depth > 0) {
                auto left = walk(depth - 1);
                while (auto value = co_await left.next()) {
                    co_yield *value;
                }
            }
            co_await asyncio::sleep(0);
            co_yield depth;
        }
    };
    run([this]() -> Coro<void> {
        auto values = Tree::walk(5);
        while (auto value = co_await values.next()) {
            notes += std::to_string(*value);
        }
    });
    EXPECT_EQ(notes, "012345");
}

TEST_F(AsyncGenerators, next_can_be_given_to_whatever_takes_a_coroutine) {
    run([]() -> Coro<void> {
        auto numbers = count_to(3);
        EXPECT_EQ(co_await asyncio::create_task(numbers.next()), 1);
        EXPECT_EQ(co_await asyncio::wait_for(numbers.next(), 2s), 2);
        co_await asyncio::create_task(numbers.aclose());
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerators, a_cancelled_next_cancels_what_the_generator_waits_for_and_ends_it) {
    run([]() -> Coro<void> {
        auto numbers = count_to(3);
        EXPECT_THROW(co_await asyncio::wait_for(numbers.next(), 500ms), asyncio::TimeoutError);
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
        EXPECT_EQ(cancelling(), 0);
    });
}

TEST_F(AsyncGenerators, two_at_once_are_refused) {
    run([]() -> Coro<void> {
        auto numbers = count_to(3);
        const auto first = asyncio::create_task(numbers.next());
        co_await asyncio::sleep(0);
        std::string said;
        try {
            co_await numbers.next();
        } catch (const asyncio::RuntimeError& error) {
            said = error.what();
        }
        EXPECT_EQ(said.rfind("next(): asynchronous generator is already running", 0), 0U) << said;
        EXPECT_THROW(co_await numbers.aclose(), asyncio::RuntimeError);
        EXPECT_EQ(co_await first, 1);
        EXPECT_EQ(co_await numbers.next(), 2);
        co_await numbers.aclose();
    });
}

TEST_F(AsyncGenerators, aclose_throws_GeneratorExit_and_waits_for_the_clean_up) {
    run([this]() -> Coro<void> {
        auto generator = careful();
        co_await generator.next();
        const auto begin = loop->time();
        co_await generator.aclose();
        EXPECT_EQ(loop->time() - begin, 1s);
        co_await generator.aclose();
        EXPECT_EQ(co_await generator.next(), std::nullopt);
    });
    EXPECT_EQ(notes, "closing closed ");
}

TEST_F(AsyncGenerators, aclose_before_the_beginning_runs_nothing) {
    run([this]() -> Coro<void> {
        auto generator = careful();
        co_await generator.aclose();
        EXPECT_EQ(co_await generator.next(), std::nullopt);
    });
    EXPECT_EQ(notes, "");
}

TEST_F(AsyncGenerators, aclose_throws_what_the_clean_up_throws) {
    run([this]() -> Coro<void> {
        auto generator = fails_to_close();
        co_await generator.next();
        EXPECT_THROW(co_await generator.aclose(), Boom);
        EXPECT_EQ(co_await generator.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerators, one_that_yields_instead_of_ending_is_told) {
    run([]() -> Coro<void> {
        auto generator = []() -> AsyncGenerator<int> {
            try {
                co_yield 1;
            } catch (const GeneratorExit&) {
            }
            co_yield 2;
            co_yield 3;
        }();
        co_await generator.next();
        std::string said;
        try {
            co_await generator.aclose();
        } catch (const asyncio::RuntimeError& error) {
            said = error.what();
        }
        EXPECT_EQ(said.rfind("async generator ignored GeneratorExit", 0), 0U) << said;
        EXPECT_EQ(co_await generator.next(), 3);
        co_await generator.aclose();
    });
}

TEST_F(AsyncGenerators, S147_B22_closing_one_whose_scope_is_a_task_group_is_no_failure) {
    run([this]() -> Coro<void> {
        auto generator = [](AsyncGenerators& test) -> AsyncGenerator<int> {
            asyncio::TaskGroup group;
            group.enter();
            std::exception_ptr error;
            try {
                group.create_task([&test] { return test.note_error(asyncio::sleep(1h)); });
                co_yield 1;
            } catch (...) {
                error = std::current_exception();
            }
            co_await group.exit(error);
        }(*this);
        co_await generator.next();
        co_await asyncio::sleep(1s);
        co_await generator.aclose();
    });
    EXPECT_EQ(notes, "cancelled ");
}

}  // namespace
