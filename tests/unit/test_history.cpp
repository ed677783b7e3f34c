// Bugs of history that the tests of the contract's statements would not catch; see history.txt.
#include "loop_fixture.hpp"

#include <exception>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Task;

class History : public LoopFixture {};

TEST_F(History, B16_the_ordinary_catch_clause_lets_a_cancellation_pass) {
    const Task<void> task = loop->create_task([]() -> Coro<void> {
        try {
            co_await asyncio::sleep(1h);
        } catch (const std::exception&) {
            ADD_FAILURE() << "a cancellation is no std::exception";
        }
    });
    iterate();
    task.cancel();
    iterate();
    EXPECT_TRUE(task.cancelled());
}

// What ThreadSanitizer would report as a race is part of this.
TEST(HistoryThreads, B27_all_tasks_knows_nothing_of_the_loops_of_other_threads) {
    constexpr std::size_t threads = 4;
    constexpr int rounds = 200;
    std::vector<std::size_t> wrong(threads);
    std::vector<std::thread> running;
    for (std::size_t& mistakes : wrong) {
        running.emplace_back([&mistakes] {
            const asyncio::EventLoopPtr loop = asyncio::new_event_loop();
            for (int i = 0; i < rounds; ++i) {
                const std::vector<Task<void>> tasks{
                    loop->create_task([]() -> Coro<void> { co_await asyncio::sleep(0); }),
                    loop->create_task([]() -> Coro<void> { co_return; })};
                const std::vector<asyncio::AnyTask> listed = asyncio::all_tasks(*loop);
                mistakes +=
                    listed.size() == 2 && listed[0] == tasks[0] && listed[1] == tasks[1] ? 0U : 1U;
                loop->run_once();
                loop->run_once();
                mistakes += asyncio::all_tasks(*loop).size();
            }
        });
    }
    for (std::thread& thread : running) {
        thread.join();
    }
    EXPECT_EQ(wrong, std::vector<std::size_t>(threads));
}

}  // namespace
