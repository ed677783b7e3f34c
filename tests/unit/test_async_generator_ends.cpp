// What the loop does with asynchronous generators that do not run to their end.
#include "async_generator_fixture.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::AsyncGenerator;
using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::GeneratorExit;

TEST_F(AsyncGenerators, S325_one_that_is_dropped_is_closed_by_a_task) {
    run([this]() -> Coro<void> {
        {
            auto generator = careful();
            co_await generator.next();
        }
        notes += "dropped ";
        co_await asyncio::sleep(2s);
    });
    EXPECT_EQ(notes, "dropped closing closed ");
}

TEST_F(AsyncGenerators, S325_an_error_of_that_task_is_reported) {
    run([this]() -> Coro<void> {
        {
            auto generator = fails_to_close();
            co_await generator.next();
        }
        co_await asyncio::sleep(2s);
    });
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Task exception was never retrieved");
    EXPECT_TRUE(asyncio::is_exception<Boom>(reports[0].exception));
}

TEST_F(AsyncGenerators, S325_B38_one_that_another_thread_drops_is_closed_on_its_loop) {
    run([this]() -> Coro<void> {
        std::optional<AsyncGenerator<int>> generator(careful());
        co_await generator->next();
        loop->external_work_started();  // virtual time waits for the thread
        std::thread dropping([this, &generator] {
            generator.reset();
            loop->call_soon_threadsafe([this] { loop->external_work_finished(); });
        });
        dropping.join();
        co_await asyncio::sleep(2s);
    });
    EXPECT_EQ(notes, "closing closed ");
}

TEST_F(AsyncGenerators, S325_one_that_is_dropped_while_it_runs_still_gives_its_value) {
    run([this]() -> Coro<void> {
        auto generator =
            std::make_unique<AsyncGenerator<int>>([](AsyncGenerators& test) -> AsyncGenerator<int> {
                co_await asyncio::sleep(1s);
                auto inner = test.careful();
                co_await inner.next();
                try {
                    co_yield 7;
                } catch (const GeneratorExit&) {
                    test.notes += "closed by the loop ";
                }
                co_await inner.aclose();
            }(*this));
        auto next = generator->next();
        loop->call_later(500ms, [&generator] { generator.reset(); });
        EXPECT_EQ(co_await std::move(next), 7);
        co_await asyncio::sleep(2s);
    });
    EXPECT_EQ(notes, "closed by the loop closing closed ");
}

TEST_F(AsyncGenerators, one_that_never_began_just_goes) {
    run([this]() -> Coro<void> {
        static_cast<void>(careful());
        co_await asyncio::sleep(1s);
    });
    EXPECT_EQ(notes, "");
}

TEST_F(AsyncGenerators, moving_one_keeps_it_going) {
    run([this]() -> Coro<void> {
        auto first = careful("first ");
        auto second = careful("second ");
        co_await first.next();
        auto moved = std::move(first);
        EXPECT_EQ(co_await moved.next(), 2);
        co_await second.next();
        moved = std::move(second);
        EXPECT_EQ(co_await moved.next(), 2);
        co_await turns(2);
        co_await moved.aclose();
        notes += "end ";
    });
    EXPECT_EQ(notes, "first closing second closing first closed second closed end ");
}

TEST_F(AsyncGenerators, S322_S323_all_that_were_begun_are_closed_at_once) {
    auto one = careful("one ");
    auto two = careful("two ");
    auto never_begun = careful("three ");
    run([&]() -> Coro<void> {
        co_await one.next();
        co_await two.next();
        const auto begin = loop->time();
        co_await loop->shutdown_asyncgens();
        EXPECT_EQ(loop->time() - begin, 1s);
        EXPECT_EQ(co_await one.next(), std::nullopt);
    });
    EXPECT_EQ(notes, "one closing two closing one closed two closed ");
}

TEST_F(AsyncGenerators, S323_B38_errors_are_reported_each_and_do_not_end_the_shutdown) {
    struct NoStandardException {};
    auto one = fails_to_close();
    auto two = []() -> AsyncGenerator<int> {
        bool closed = false;
        try {
            co_yield 1;
        } catch (const GeneratorExit&) {
            closed = true;
        }
        if (closed) {
            throw NoStandardException();
        }
    }();
    auto three = careful();
    run([&]() -> Coro<void> {
        co_await one.next();
        co_await two.next();
        co_await three.next();
        co_await loop->shutdown_asyncgens();
    });
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_TRUE(asyncio::is_exception<NoStandardException>(reports[0].exception));
    EXPECT_TRUE(asyncio::is_exception<Boom>(reports[1].exception));
    EXPECT_NE(
        reports[1].message.find("an error occurred during closing of asynchronous generator '"),
        std::string::npos);
    EXPECT_NE(reports[1].message.find("fails_to_close"), std::string::npos);
    EXPECT_EQ(notes, "closing closed ");
}

TEST_F(AsyncGenerators, S323_one_that_somebody_awaits_is_reported) {
    auto generator = count_to(3);
    run([&]() -> Coro<void> {
        const auto awaiting = asyncio::create_task(generator.next());
        co_await asyncio::sleep(0);
        co_await loop->shutdown_asyncgens();
        EXPECT_EQ(co_await awaiting, 1);
        co_await generator.aclose();
    });
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(asyncio::is_exception<asyncio::RuntimeError>(reports[0].exception));
}

TEST_F(AsyncGenerators, S323_cancelling_the_shutdown_cancels_the_clean_up) {
    auto generator = careful();
    run([&]() -> Coro<void> {
        co_await generator.next();
        const auto closing = asyncio::create_task(loop->shutdown_asyncgens());
        co_await asyncio::sleep(500ms);
        closing.cancel();
        EXPECT_THROW(co_await closing, CancelledError);
    });
    EXPECT_EQ(notes, "closing ");
}

TEST_F(AsyncGenerators, S324_one_that_begins_after_the_shutdown_is_warned_about) {
    run([this]() -> Coro<void> {
        co_await loop->shutdown_asyncgens();
        auto late = count_to(1);
        co_await late.next();
        co_await late.aclose();
    });
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("count_to' was scheduled after loop.shutdown_asyncgens() call"),
              std::string::npos)
        << lines[0];
}

TEST_F(AsyncGenerators, on_a_closed_loop_the_variables_are_destroyed) {
    auto generator = std::make_unique<AsyncGenerator<int>>(plain());
    run([&]() -> Coro<void> { co_await generator->next(); });
    loop.reset();
    EXPECT_EQ(notes, "");
    generator.reset();
    EXPECT_EQ(notes, "destroyed ");
}

TEST_F(AsyncGenerators, dropped_while_the_loop_stands_its_variables_are_destroyed_with_it) {
    {
        auto generator = plain();
        run([&]() -> Coro<void> { co_await generator.next(); });
    }
    EXPECT_EQ(notes, "");
    loop.reset();
    EXPECT_EQ(notes, "destroyed ");
}

TEST_F(AsyncGenerators, one_whose_task_is_destroyed_with_the_loop_goes_with_it) {
    struct Waiting {
        static AsyncGenerator<int> wait_in(AsyncGenerator<int> inner) {
            co_await inner.next();
            co_await asyncio::sleep(1h);
            co_yield 1;
        }
    };
    static_cast<void>(loop->create_task(
        [](AsyncGenerator<int> inner) -> Coro<void> {
            auto outer = Waiting::wait_in(std::move(inner));
            co_await outer.next();
        },
        plain()));
    iterate(3);
    loop.reset();
    EXPECT_EQ(notes, "destroyed ");
    EXPECT_EQ(take_reports().size(), 1U);  // the task was destroyed but it is pending
}

TEST_F(AsyncGenerators, a_long_chain_of_suspended_ones_is_destroyed_without_recursion) {
    constexpr int length = 100'000;
    struct Chain {
        static AsyncGenerator<int> link(std::unique_ptr<AsyncGenerator<int>> inner) {
            if (inner != nullptr) {
                co_yield 1;
            }
            co_yield 2;
        }
    };
    run([]() -> Coro<void> {
        auto chain = std::make_unique<AsyncGenerator<int>>(Chain::link(nullptr));
        for (int i = 0; i < length; ++i) {
            co_await chain->next();
            chain = std::make_unique<AsyncGenerator<int>>(Chain::link(std::move(chain)));
        }
        co_await chain->next();
    });
    loop.reset();
}

TEST_F(AsyncGenerators, S325_one_that_is_dropped_is_closed_with_the_context_variables_of_then) {
    static asyncio::ContextVar<int> number("number", 0);
    run([this]() -> Coro<void> {
        auto generator = [](AsyncGenerators& test) -> AsyncGenerator<int> {
            try {
                co_yield 1;
            } catch (const GeneratorExit&) {
                test.notes += std::to_string(number.get()) + " ";
                number.set(3);
            }
        }(*this);
        co_await generator.next();
        number.set(1);
        {
            const auto dropped = std::move(generator);
        }
        number.set(2);
        co_await asyncio::sleep(0);
        notes += std::to_string(number.get());
    });
    EXPECT_EQ(notes, "1 2");
}

TEST_F(AsyncGenerators, S325_a_task_that_closes_one_cannot_be_cancelled_before_it_begins) {
    run([this]() -> Coro<void> {
        {
            auto generator = careful();
            co_await generator.next();
        }
        co_await asyncio::sleep(0);
        for (const auto& task : asyncio::all_tasks()) {
            if (task != asyncio::current_task()) {
                EXPECT_TRUE(task.cancel());
            }
        }
        co_await asyncio::sleep(2s);
    });
    EXPECT_EQ(notes, "closing ");
}

TEST_F(AsyncGenerators, S325_the_clean_up_of_a_dropped_one_may_shut_the_others_down) {
    auto other = careful("other ");
    run([&]() -> Coro<void> {
        co_await other.next();
        {
            auto generator = [](AsyncGenerators& test) -> AsyncGenerator<int> {
                bool closed = false;
                try {
                    co_yield 1;
                } catch (const GeneratorExit&) {
                    closed = true;
                }
                if (closed) {
                    co_await asyncio::get_running_loop().shutdown_asyncgens();
                    test.notes += "end ";
                }
            }(*this);
            co_await generator.next();
        }
        co_await asyncio::sleep(2s);
    });
    EXPECT_EQ(notes, "other closing other closed end ");
}

// ---- run

TEST_F(AsyncGenerators, run_closes_those_that_are_left) {
    asyncio::RunOptions options;
    options.loop_factory = [this] { return make_loop(); };
    std::optional<AsyncGenerator<int>> kept;
    asyncio::run(
        [](AsyncGenerators& test, auto& keep) -> Coro<void> {
            keep.emplace(test.careful("kept "));
            co_await keep->next();
            auto dropped = test.careful("dropped ");
            co_await dropped.next();
            auto tasks = asyncio::create_task(
                [](AsyncGenerators& owner) -> Coro<void> {
                    auto of_task = owner.careful("of a task ");
                    co_await of_task.next();
                    co_await asyncio::sleep(1h);
                },
                std::ref(test));
            co_await asyncio::sleep(0);
        }(*this, kept),
        std::move(options));
    EXPECT_EQ(notes, "dropped closing of a task closing kept closing "
                     "of a task closed kept closed ");
}

TEST_F(AsyncGenerators, S325_run_cancels_the_clean_up_of_dropped_ones_at_its_end) {
    asyncio::RunOptions options;
    options.loop_factory = [this] { return make_loop(); };
    asyncio::run(
        [](AsyncGenerators& test) -> Coro<void> {
            auto generator = [](AsyncGenerators& owner) -> AsyncGenerator<int> {
                bool closed = false;
                try {
                    co_yield 1;
                } catch (const GeneratorExit&) {
                    closed = true;
                }
                if (closed) {
                    auto inner = owner.careful("inner ");
                    co_await inner.next();
                    owner.notes += "waits ";
                    co_await asyncio::Event().wait();  // for ever
                }
            }(test);
            co_await generator.next();
        }(*this),
        std::move(options));
    // So is the clean-up of what that drops.
    EXPECT_EQ(notes, "waits inner closing ");
}

// What a generator that is closed drops, and what another one has.
AsyncGenerator<int> over(AsyncGenerator<int> inner) {
    while (auto value = co_await inner.next()) {
        co_yield *value;
    }
}

TEST_F(AsyncGenerators, S323_generators_inside_others_are_closed_with_them) {
    asyncio::RunOptions options;
    options.loop_factory = [this] { return make_loop(); };
    std::optional<AsyncGenerator<int>> kept;
    asyncio::run(
        [](AsyncGenerators& test, auto& keep) -> Coro<void> {
            keep.emplace(over(over(test.careful("kept "))));
            co_await keep->next();
            auto dropped = over(test.careful("dropped "));
            co_await dropped.next();
        }(*this, kept),
        std::move(options));
    EXPECT_NE(notes.find("kept closed"), std::string::npos) << notes;
    EXPECT_NE(notes.find("dropped closed"), std::string::npos) << notes;
}

AsyncGenerator<int> stubborn() {
    for (;;) {
        try {
            co_yield 1;
        } catch (...) {
            // As careless code does.
        }
    }
}

TEST_F(AsyncGenerators, S325_one_that_cannot_be_closed_is_destroyed) {
    run([]() -> Coro<void> {
        {
            auto generator = stubborn();
            co_await generator.next();
        }
        co_await asyncio::sleep(1s);
    });
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(asyncio::is_exception<asyncio::RuntimeError>(reports[0].exception));
}

TEST_F(AsyncGenerators, S323_one_that_cannot_be_closed_is_its_handles_again) {
    auto generator = stubborn();
    run([&]() -> Coro<void> {
        co_await generator.next();
        co_await loop->shutdown_asyncgens();
        EXPECT_EQ(co_await generator.next(), 1);
    });
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(AsyncGenerators, B38_a_thread_may_drop_one_while_its_clean_up_runs) {
    enum class Step : int { begun, closing, dropped };
    std::atomic<Step> step = Step::begun;  // relaxed, so that ThreadSanitizer sees no order in it
    const auto wait_for = [&](Step awaited) {
        while (step.load(std::memory_order_relaxed) != awaited) {
            std::this_thread::yield();
        }
    };
    std::thread dropping;
    run([&]() -> Coro<void> {
        auto generator = std::make_unique<AsyncGenerator<int>>(
            [](auto& now, const auto& wait) -> AsyncGenerator<int> {
                for (int i = 0; i < 2; ++i) {
                    try {
                        co_yield 1;
                    } catch (const GeneratorExit&) {
                        if (i == 0) {
                            now.store(Step::closing, std::memory_order_relaxed);
                            wait(Step::dropped);
                        }
                    }
                }
            }(step, wait_for));
        co_await generator->next();
        dropping = std::thread([&step, &wait_for, given = std::move(generator)]() mutable {
            wait_for(Step::closing);
            given.reset();
            step.store(Step::dropped, std::memory_order_relaxed);
        });
        co_await loop->shutdown_asyncgens();
        co_await asyncio::sleep(1s);  // it was its handle's again, which had gone
    });
    dropping.join();
    EXPECT_EQ(take_reports().size(), 1U);  // it ignored GeneratorExit
}

TEST_F(AsyncGenerators, one_that_a_thread_drops_while_the_loop_closes_ends_on_the_loops_thread) {
    struct OnDestruction {
        ~OnDestruction() { call(); }
        std::function<void()> call;
    };
    std::atomic<int> step = 0;
    std::thread::id ended_on;
    std::thread dropping;
    run([&]() -> Coro<void> {
        auto shared = loop->create_task([](auto& now) -> Coro<void> {
            const OnDestruction closes([&now] {
                now = 1;
                while (now != 2) {
                    std::this_thread::yield();
                }
            });
            co_await asyncio::sleep(1h);
        }(step));
        auto generator = std::make_unique<AsyncGenerator<int>>(
            [](auto& thread, asyncio::Task<void> task) -> AsyncGenerator<int> {
                const OnDestruction ends([&] { thread = std::this_thread::get_id(); });
                co_yield 1;
                co_await task;
            }(ended_on, std::move(shared)));
        co_await generator->next();
        dropping = std::thread([&step, given = std::move(generator)]() mutable {
            while (step != 1) {
                std::this_thread::yield();
            }
            given.reset();
            step = 2;
        });
        co_await asyncio::sleep(0);
    });
    loop->close();
    dropping.join();
    EXPECT_EQ(ended_on, std::this_thread::get_id());
    EXPECT_EQ(take_reports().size(), 1U);  // the task was destroyed but it is pending
}

TEST_F(AsyncGenerators, B38_a_thread_may_drop_them_while_the_loop_closes_them) {
    constexpr int rounds = 30;
    constexpr int count = 200;
    struct Counted {
        explicit Counted(std::atomic<int>& all) : alive(all) { ++alive; }
        Counted(const Counted&) = delete;
        Counted& operator=(const Counted&) = delete;
        ~Counted() { --alive; }
        std::atomic<int>& alive;
    };
    std::atomic<int> alive = 0;
    for (int round = 0; round < rounds; ++round) {
        std::atomic<bool> go = false;
        std::thread dropping;
        const auto begin_some = [&]() -> Coro<void> {
            std::vector<std::unique_ptr<AsyncGenerator<int>>> generators;
            for (int i = 0; i < count; ++i) {
                generators.push_back(std::make_unique<AsyncGenerator<int>>(
                    [](std::atomic<int>& all) -> AsyncGenerator<int> {
                        const Counted counted(all);
                        co_yield 1;
                    }(alive)));
                co_await generators.back()->next();
            }
            dropping = std::thread([&go, dropped = std::move(generators)]() mutable {
                while (!go) {
                    std::this_thread::yield();
                }
                while (!dropped.empty()) {
                    dropped.pop_back();
                }
            });
            go = true;
        };
        asyncio::run(begin_some());
        dropping.join();
    }
    EXPECT_EQ(alive, 0);
}

}  // namespace
