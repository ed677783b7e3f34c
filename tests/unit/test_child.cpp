// Children: their end, and signals to them.
#include <asyncio/sleep.hpp>

#include "loop_fixture.hpp"
#include "net/child.hpp"
#include "process_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::EventLoopPtr;
using asyncio::detail::Child;
using asyncio::detail::ExitWatch;

class Children : public LoopFixture {
protected:
    // Runs the loop until the watch has called back.
    int exit_of(Child& child) {
        std::optional<int> code;
        const ExitWatch watch(*loop, child, [&](int returncode) {
            code = returncode;
            loop->stop();
        });
        loop->run_forever();
        EXPECT_EQ(code, child.returncode());
        return code.value_or(-1000);
    }

    // A program that ends when it is killed, or the test has ended.
    SpawnRequest waiting() const {
        SpawnRequest request;
        request.argv = {"/bin/cat"};
        request.standard_input = Stdio::descriptor(input_.reader.get());
        return request;
    }

    int run(const SpawnRequest& request) {
        Child child(request);
        return exit_of(child);
    }

private:
    const PipeEnds input_;
};

int error_of_signal(Child& child, int number) {
    try {
        child.send_signal(number);
        return 0;
    } catch (const std::system_error& error) {
        return error.code().value();
    }
}

// ---- how they end

TEST_F(Children, S303_the_return_code_is_the_exit_code_or_minus_the_signal) {
    EXPECT_EQ(run(shell("exit 0")), 0);
    EXPECT_EQ(run(shell("exit 7")), 7);
    EXPECT_EQ(run(shell("exit 255")), 255);
    EXPECT_EQ(run(shell("kill -KILL $$")), -SIGKILL);
    EXPECT_EQ(run(shell("kill -TERM $$")), -SIGTERM);
    EXPECT_FALSE(has_children());
}

TEST_F(Children, S303_a_thread_waits_where_there_is_no_pidfd) {
    if (!refuse(SYS_pidfd_open, ENOSYS)) {
        GTEST_SKIP() << no_filters;
    }
    const std::set<int> open = open_descriptors();
    {
        Child child(waiting());
        EXPECT_EQ(child.pidfd(), -1);
        child.send_signal(SIGTERM);
        EXPECT_EQ(exit_of(child), -SIGTERM);
        EXPECT_EQ(error_of_signal(child, SIGTERM), ESRCH);
    }
    EXPECT_EQ(run(shell("exit 7")), 7);
    EXPECT_EQ(open_descriptors(), open);
    EXPECT_FALSE(has_children());
}

TEST_F(Children, S303_an_exit_status_that_others_took_is_255_and_a_warning) {
    for (const bool has_pidfd : {true, false}) {
        if (!has_pidfd && !refuse(SYS_pidfd_open, ENOSYS)) {
            GTEST_SKIP() << no_filters;
        }
        Child child(shell("exit 7"));
        EXPECT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
        EXPECT_EQ(exit_of(child), 255);
        const std::vector<std::string> lines = captured.take();
        ASSERT_EQ(lines.size(), 1U);
        EXPECT_NE(lines[0].find("was read by others"), std::string::npos);
    }
}

TEST_F(Children, S303_the_kernel_may_reap_for_us) {
    std::signal(SIGCHLD, SIG_IGN);
    Child child(shell("exit 7"));
    EXPECT_EQ(exit_of(child), 255);
    EXPECT_EQ(captured.take().size(), 1U);
}

TEST_F(Children, S303_the_callback_runs_in_the_iteration_after_the_reaping) {
    Child child(shell("exit 7"));
    const ExitWatch watch(*loop, child, [this](int) { notes += "exit "; });
    await_end(child.pid());
    iterate();
    EXPECT_EQ(child.returncode(), 7);
    EXPECT_EQ(notes, "");
    iterate();
    EXPECT_EQ(notes, "exit ");
}

TEST_F(Children, S303_many_children_may_end_in_any_order) {
    constexpr int count = 20;
    std::vector<std::unique_ptr<Child>> children;
    std::vector<std::unique_ptr<ExitWatch>> watches;
    std::vector<int> codes;
    for (int i = 0; i < count; ++i) {
        children.push_back(std::make_unique<Child>(shell("exit $1", {std::to_string(i)})));
        watches.push_back(std::make_unique<ExitWatch>(*loop, *children.back(), [&](int code) {
            codes.push_back(code);
            if (codes.size() == count) {
                loop->stop();
            }
        }));
    }
    loop->run_forever();
    std::ranges::sort(codes);
    for (int i = 0; i < count; ++i) {
        EXPECT_EQ(codes[static_cast<std::size_t>(i)], i);
    }
}

TEST_F(Children, virtual_time_stands_still_while_a_child_runs) {
    loop->call_later(1h, note("an hour later "));
    EXPECT_EQ(run(shell("exit 0")), 0);
    EXPECT_EQ(clock.seconds(), 0);
    loop->call_later(2h, [this] { loop->stop(); });
    loop->run_forever();
    EXPECT_EQ(clock.seconds(), 7200);  // and goes on when it has ended
}

// ---- signals

TEST_F(Children, S297_signals_reach_the_child) {
    Child child(waiting());
    EXPECT_EQ(error_of_signal(child, 0), 0);
    EXPECT_EQ(error_of_signal(child, -1), EINVAL);
    child.send_signal(SIGUSR1);
    EXPECT_EQ(exit_of(child), -SIGUSR1);
}

TEST_F(Children, S297_a_child_that_was_reaped_gets_no_signals) {
    Child child(shell("exit 0"));
    await_end(child.pid());
    // It has ended, but its number is its own until it is reaped.
    EXPECT_EQ(error_of_signal(child, SIGTERM), 0);
    EXPECT_TRUE(child.reap());
    EXPECT_EQ(error_of_signal(child, SIGTERM), ESRCH);
    EXPECT_EQ(child.returncode(), 0);
}

TEST_F(Children, S297_a_child_that_others_reaped_gets_no_signals_either) {
    Child child(shell("exit 0"));
    EXPECT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
    EXPECT_EQ(error_of_signal(child, SIGTERM), ESRCH);
    EXPECT_TRUE(child.reap());
    captured.take();
}

TEST_F(Children, S297_a_sandbox_without_signals_by_pidfd_uses_the_number) {
    if (!refuse(SYS_pidfd_send_signal, EPERM)) {
        GTEST_SKIP() << no_filters;
    }
    Child child(waiting());
    child.send_signal(SIGTERM);
    EXPECT_EQ(exit_of(child), -SIGTERM);
}

// ---- life

TEST_F(Children, a_child_that_is_dropped_is_killed_and_reaped) {
    const std::set<int> open = open_descriptors();
    for (const bool watched : {false, true}) {
        Child child(waiting());
        std::optional<ExitWatch> watch;
        if (watched) {
            watch.emplace(*loop, child, [](int) { FAIL(); });
        }
    }
    iterate(3);
    EXPECT_FALSE(has_children());
    EXPECT_EQ(open_descriptors(), open);
}

TEST_F(Children, a_watch_that_is_dropped_does_not_call_back) {
    Child child(shell("exit 7"));
    std::optional<ExitWatch> watch(std::in_place, *loop, child, [](int) { FAIL(); });
    await_end(child.pid());
    iterate();  // reaped
    watch.reset();
    iterate();
    EXPECT_EQ(child.returncode(), 7);
}

TEST_F(Children, a_callback_may_drop_its_watch_and_its_child) {
    std::optional<Child> child(std::in_place, shell("exit 7"));
    std::optional<ExitWatch> watch;
    watch.emplace(*loop, *child, [&, owned = std::make_shared<int>(5)](int) {
        watch.reset();
        child.reset();
        notes += std::to_string(*owned);
        loop->stop();
    });
    loop->run_forever();
    EXPECT_EQ(notes, "5");
}

TEST_F(Children, a_watch_and_a_child_may_outlive_their_loop) {
    for (const bool has_pidfd : {true, false}) {
        if (!has_pidfd && !refuse(SYS_pidfd_open, ENOSYS)) {
            GTEST_SKIP() << no_filters;
        }
        EventLoopPtr other = make_loop();
        Child child(waiting());
        const ExitWatch watch(*other, child, [](int) { FAIL(); });
        other.reset();
        EXPECT_FALSE(child.reap());
    }
    EXPECT_FALSE(has_children());
}

TEST_F(Children, a_loop_that_closes_drops_the_callback) {
    auto owned = std::make_shared<int>();
    Child child(shell("exit 0"));
    const ExitWatch watch(*loop, child, [owned](int) { FAIL(); });
    await_end(child.pid());
    iterate();
    loop->close();
    EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
