// A loop's default executor: how it is replaced, and how it ends when that is not so easy.
#include "gate.hpp"
#include "loop_fixture.hpp"
#include "no_threads.hpp"

#include <memory>
#include <stdexcept>

namespace {

using namespace std::chrono_literals;
using asyncio::ThreadPoolExecutor;

class DefaultExecutor : public LoopFixture {};

// Else it would wait for ever here.
TEST_F(DefaultExecutor, S201_replacing_the_default_executor_waits_for_nobody) {
    Gate gate;
    const auto running = loop->run_in_executor(nullptr, std::ref(gate));
    gate.wait_until_entered();
    loop->set_default_executor(std::make_shared<ThreadPoolExecutor>(1));
    EXPECT_EQ(loop->run_until_complete(loop->run_in_executor(nullptr, [] { return 5; })), 5);
    EXPECT_FALSE(running.done());
    gate.open();
    loop->run_until_complete(running);
}

TEST_F(DefaultExecutor, S201_one_that_is_replaced_belongs_to_those_who_have_it) {
    const auto pool = std::make_shared<ThreadPoolExecutor>(1);
    loop->set_default_executor(pool);
    loop->set_default_executor(std::make_shared<ThreadPoolExecutor>(1));
    EXPECT_EQ(pool->submit([] { return 6; }).result(), 6);
}

// One of the user's own, whose shutdown throws.
template <class Error>
class Stubborn final : public asyncio::Executor {
public:
    void shutdown(bool, bool) override { throw Error("no"); }

protected:
    void execute(asyncio::Job job) override { std::move(job).run(); }
};

TEST_F(DefaultExecutor, S203_what_the_shutdown_of_an_executor_throws_comes_out_of_the_await) {
    loop->set_default_executor(std::make_shared<Stubborn<std::runtime_error>>());
    EXPECT_THROW(loop->run_until_complete(loop->shutdown_default_executor()), std::runtime_error);
    loop->set_default_executor(std::make_shared<Stubborn<asyncio::TimeoutError>>());
    EXPECT_THROW(loop->run_until_complete(loop->shutdown_default_executor()),
                 asyncio::TimeoutError);
    EXPECT_THROW(loop->run_until_complete(loop->shutdown_default_executor(1h)),
                 asyncio::TimeoutError)
        << "and it is not taken for the end of the time";
    EXPECT_EQ(captured.take(),
              std::vector<std::string>{"exception in the shutdown of a default executor: "
                                       "runtime_error: no"})
        << "when the first was replaced";
    loop->close();
    EXPECT_EQ(captured.take(),
              std::vector<std::string>{"exception in the shutdown of a default executor: "
                                       "TimeoutError: no"});
}

TEST_F(DefaultExecutor, S203_without_a_thread_to_wait_in_it_warns_and_leaves_the_threads_alone) {
    Gate gate;
    const auto running = loop->run_in_executor(nullptr, std::ref(gate));
    gate.wait_until_entered();
    {
        const NoThreads none;
        loop->run_until_complete(loop->shutdown_default_executor());
    }
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(lines[0].starts_with("the default executor's threads are not waited for: cannot "
                                     "start a thread: "))
        << lines[0];
    gate.open();
    loop->run_until_complete(running);
}

}  // namespace
