// Calls of one pool from several loops and threads at once, cancelled, timed out and killed at any
// moment, while the pool is shut down, crashes or is killed: every call ends once, and as it may.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "outcome.hpp"
#include "random_seed.hpp"
#include "sanitizers.hpp"

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

namespace {

using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;
using asyncio::ThreadFuture;

int slow_square(int number, int delay) {
    for (volatile int i = 0; i < delay; i = i + 1) {
    }
    return number * number;
}
int square(int number) { return number * number; }
int crash(int) { return ::raise(SIGKILL); }

enum class End { by_destructor, wait, cancel, leave, leave_cancelling, terminate, kill, count };

class Round {
public:
    explicit Round(std::uint64_t seed)
        : random_(seed), end_(static_cast<End>(below(static_cast<int>(End::count)))),
          crashes_(below(3) == 0), restarts_(below(2) == 0),
          pool_({.max_workers = 1 + random_() % 3,
                 .max_tasks_per_child =
                     below(3) == 0 ? std::optional(1 + random_() % 5) : std::nullopt,
                 .restart = restarts_}) {}

    void run() {
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < 2; ++i) {
                threads.emplace_back([this, seed = random_()] { run_loop(seed); });
                threads.emplace_back([this, seed = random_()] { run_thread(seed); });
            }
            threads.emplace_back([this, delay = below(3000)] { end_it(delay); });
        }
        // Whoever has called `shutdown` now waits for what is left.
        pool_.shutdown();
        for (const auto& [call, ends] : calls_) {
            EXPECT_TRUE(call.done());
            EXPECT_EQ(*ends, 1);
        }
        EXPECT_TRUE(pool_.processes().empty());
    }

private:
    using Random = std::mt19937_64;

    static int below(Random& random, int limit) {
        return static_cast<int>(random() % static_cast<unsigned>(limit));
    }
    int below(int limit) { return below(random_, limit); }

    bool may_break() const {
        return end_ == End::terminate || end_ == End::kill || (crashes_ && !restarts_);
    }

    // `wanted`: that it is cancelled or timed out.
    void check(const std::string& text, bool wanted, bool crashes = false) {
        const bool is_fine = text.starts_with("BrokenProcessPool: ") ? may_break() || crashes
                             : text == "RuntimeError: cannot schedule new futures after shutdown"
                                 ? end_ != End::by_destructor
                             : text == "cancelled"
                                 ? wanted || end_ == End::cancel || end_ == End::leave_cancelling
                             : text == "TimeoutError: timed out" ? wanted
                                                                 : text == "none" && !crashes;
        EXPECT_TRUE(is_fine) << text << ", end " << static_cast<int>(end_) << ", crashes "
                             << crashes_ << ", restarts " << restarts_;
    }

    // ---- by loops

    Coro<void> call(Random& random) {
        const int number = below(random, 1000);
        const int delay = below(random, 200'000);
        const int way = below(random, 6);
        const bool crashes = crashes_ && below(random, 8) == 0;
        const auto run = [&]() -> Coro<void> {
            auto future =
                crashes ? run_in_executor(pool_, function<&crash>, number)
                : below(random, 2) == 0
                    ? run_in_executor(pool_, function<&slow_square>.killable(), number, delay)
                    : run_in_executor(pool_, function<&slow_square>, number, delay);
            if (way < 2) {
                for (int i = below(random, 20); i > 0; --i) {
                    co_await asyncio::sleep(0);
                }
                future.cancel();
            }
            EXPECT_EQ(co_await future, number * number);
        };
        const auto patience = std::chrono::microseconds(below(random, 2000));
        const std::string text =
            co_await (way == 2 ? outcome(asyncio::wait_for(run(), patience)) : outcome(run()));
        check(text, way <= 2, crashes);
    }

    void run_loop(std::uint64_t seed) {
        asyncio::run([&]() -> Coro<void> {
            Random random(seed);
            co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> Coro<void> {
                for (int i = 0; i < 6; ++i) {
                    group.create_task([](Round& round, Random& choices) -> Coro<void> {
                        for (int j = 0; j < 5; ++j) {
                            co_await round.call(choices);
                        }
                    }(*this, random));
                }
                co_return;
            });
        });
    }

    // ---- by threads

    void keep(const ThreadFuture<int>& call) {
        auto ends = std::make_shared<std::atomic<int>>(0);
        call.add_done_callback([ends] { ++*ends; });
        const std::lock_guard lock(mutex_);
        calls_.emplace_back(call, std::move(ends));
    }

    static std::string text_of(const ThreadFuture<int>& call, int value) {
        try {
            EXPECT_EQ(call.result(), value);
            return "none";
        } catch (const asyncio::CancelledError&) {
            return "cancelled";
        } catch (...) {
            return asyncio::describe_exception(std::current_exception());
        }
    }

    void run_thread(std::uint64_t seed) {
        Random random(seed);
        for (int i = 0; i < 10; ++i) {
            const int number = below(random, 1000);
            const bool cancels = below(random, 3) == 0;
            std::vector<ThreadFuture<int>> calls;
            try {
                if (below(random, 2) == 0) {
                    calls.push_back(
                        pool_.submit(function<&slow_square>, number, below(random, 100'000)));
                } else {
                    calls =
                        pool_.map(function<&square>, std::vector<int>(5, number), 1 + random() % 3);
                }
            } catch (...) {
                check(asyncio::describe_exception(std::current_exception()), false);
            }
            for (const auto& call : calls) {
                keep(call);
            }
            for (const auto& call : calls) {
                const bool is_cancelled = cancels && call.cancel();
                const std::string text = text_of(call, number * number);
                EXPECT_TRUE(!is_cancelled || text == "cancelled") << text;
                check(text, is_cancelled);
            }
        }
    }

    void end_it(int delay) {
        slow_square(1, delay * 100);
        switch (end_) {
        case End::wait:
            pool_.shutdown();
            break;
        case End::cancel:
            pool_.shutdown(true, true);
            break;
        case End::leave:
            pool_.shutdown(false);
            break;
        case End::leave_cancelling:
            pool_.shutdown(false, true);
            break;
        case End::terminate:
            pool_.terminate_workers();
            break;
        case End::kill:
            pool_.kill_workers();
            break;
        case End::by_destructor:
        case End::count:
            break;
        }
    }

    Random random_;
    const End end_;
    const bool crashes_;
    const bool restarts_;
    ProcessPoolExecutor pool_;
    std::mutex mutex_;
    std::vector<std::pair<ThreadFuture<int>, std::shared_ptr<std::atomic<int>>>> calls_;
};

TEST(ProcessPoolInterleavings, end_every_call_once_and_as_it_may) {
    asyncio::start_process_server();
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    const int rounds = built_with_tsan ? 15 : 60;
    for (int i = 0; i < rounds && !HasFailure(); ++i) {
        Round(random()).run();
    }
}

}  // namespace
