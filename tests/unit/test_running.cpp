// Running a loop until something happens, the running loop of a thread, and closing.
#include "loop_fixture.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class RunningTest : public LoopFixture {};

Coro<int> give(int value) { co_return value; }

Coro<int> give_later(int value) {
    co_await asyncio::sleep(1s);
    co_return value;
}

Coro<void> fail() {
    throw std::logic_error("failed");
    co_return;
}

Coro<void> interrupt() {
    throw asyncio::KeyboardInterrupt();
    co_return;
}

// ---- the running loop

TEST_F(RunningTest, S011_a_running_loop_cannot_be_run_again) {
    const auto main = [this]() -> Coro<int> {
        EXPECT_THROW(loop->run_forever(), asyncio::RuntimeError);
        EXPECT_THROW(loop->run_once(), asyncio::RuntimeError);
        EXPECT_THROW(loop->run_until_complete(give(1)), asyncio::RuntimeError);
        EXPECT_EQ(&asyncio::get_running_loop(), loop.get());
        EXPECT_TRUE(loop->is_running());
        co_return co_await give_later(2);
    };
    EXPECT_EQ(loop->run_until_complete(main()), 2);
}

TEST_F(RunningTest, S011_no_other_loop_runs_in_the_thread_of_a_running_one) {
    const asyncio::EventLoopPtr other = make_loop();
    const auto main = [&]() -> Coro<int> {
        EXPECT_THROW(other->run_forever(), asyncio::RuntimeError);
        EXPECT_THROW(other->run_until_complete(give(1)), asyncio::RuntimeError);
        EXPECT_THROW(asyncio::run(give(1)), asyncio::RuntimeError);
        EXPECT_EQ(&asyncio::get_running_loop(), loop.get());
        EXPECT_FALSE(other->is_running());
        co_return co_await give_later(2);
    };
    EXPECT_EQ(loop->run_until_complete(main()), 2);
    EXPECT_EQ(other->run_until_complete(give(3)), 3);
}

TEST_F(RunningTest, S012_the_running_loop_is_set_for_the_duration_of_the_run) {
    EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
    EXPECT_THROW(asyncio::get_running_loop(), asyncio::RuntimeError);
    asyncio::EventLoop* seen = nullptr;
    loop->call_soon([&] {
        seen = &asyncio::get_running_loop();
        throw asyncio::SystemExit();
    });
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
    EXPECT_EQ(seen, loop.get());
    EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
}

TEST_F(RunningTest, S012_the_running_loop_belongs_to_its_thread) {
    loop->call_soon([this] {
        std::thread([this] {
            EXPECT_EQ(asyncio::get_running_loop_or_null(), nullptr);
            const asyncio::EventLoopPtr other = make_loop();
            EXPECT_EQ(other->run_until_complete(give(1)), 1);
        }).join();
        EXPECT_EQ(asyncio::get_running_loop_or_null(), loop.get());
    });
    iterate();
}

// What a forked child finds; a number for its exit status.
int check_forked_child() {
    if (asyncio::get_running_loop_or_null() != nullptr) {
        return 1;
    }
    try {
        asyncio::current_task();
        return 2;
    } catch (const asyncio::RuntimeError&) {
        const auto own_loop_works = []() -> Coro<bool> {
            bool in_callback = true;
            asyncio::get_running_loop().call_soon(
                [&] { in_callback = static_cast<bool>(asyncio::current_task()); });
            co_await asyncio::sleep(0s);
            co_return !in_callback && asyncio::current_task();
        };
        return asyncio::run(own_loop_works()) ? 0 : 3;
    }
}

TEST_F(RunningTest, S012_a_forked_child_has_no_running_loop) {
    int status = -1;
    const auto main = [&]() -> Coro<void> {
        co_await asyncio::sleep(0s);
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(check_forked_child());
        }
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(asyncio::get_running_loop_or_null(), loop.get());
    };
    loop->run_until_complete(main());
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

// ---- run_until_complete

TEST_F(RunningTest, S013_the_result_of_a_coroutine_is_returned) {
    EXPECT_EQ(loop->run_until_complete(give_later(4)), 4);
    const auto move_only = []() -> Coro<std::unique_ptr<int>> {
        co_return std::make_unique<int>(5);
    };
    EXPECT_EQ(*loop->run_until_complete(move_only()), 5);
    int target = 0;
    const auto nothing = [&]() -> Coro<void> {
        target = 6;
        co_return;
    };
    loop->run_until_complete(nothing());
    EXPECT_EQ(target, 6);
}

TEST_F(RunningTest, S013_the_exception_of_a_coroutine_is_thrown) {
    EXPECT_THROW(loop->run_until_complete(fail()), std::logic_error);
    const auto cancelled = []() -> Coro<void> {
        asyncio::current_task().cancel("enough");
        co_await asyncio::sleep(1s);
    };
    try {
        loop->run_until_complete(cancelled());
        FAIL() << "no CancelledError";
    } catch (const asyncio::CancelledError& error) {
        EXPECT_EQ(error.message(), "enough");
    }
}

TEST_F(RunningTest, S013_a_future_is_waited_for_and_keeps_its_result) {
    auto future = loop->create_future<std::string>();
    loop->call_later(1s, [=] { future.set_result("done"); });
    EXPECT_EQ(loop->run_until_complete(future), "done");
    EXPECT_EQ(loop->run_until_complete(future), "done");
    EXPECT_EQ(future.result(), "done");
}

TEST_F(RunningTest, S013_who_kept_a_handle_of_the_main_task_keeps_the_result) {
    std::function<std::string()> result_seen_later;
    const auto main = [&]() -> Coro<std::string> {
        // The only way to a handle with the result's type is to wait for the own task elsewhere.
        auto tasks = asyncio::all_tasks();
        result_seen_later = [task = tasks.at(0)] { return repr(task); };
        co_return "text";
    };
    EXPECT_EQ(loop->run_until_complete(main()), "text");
    EXPECT_NE(result_seen_later().find("result='text'"), std::string::npos) << result_seen_later();
}

TEST_F(RunningTest, S014_a_loop_stopped_before_the_future_is_done_is_an_error) {
    auto task = loop->create_task(give_later(7));
    loop->call_soon([this] { loop->stop(); });
    try {
        loop->run_until_complete(task);
        FAIL() << "no error";
    } catch (const asyncio::RuntimeError& error) {
        EXPECT_TRUE(
            std::string(error.what()).starts_with("Event loop stopped before Future completed"));
    }
    EXPECT_FALSE(task.done());
    EXPECT_EQ(loop->run_until_complete(task), 7);
}

TEST_F(RunningTest, S015_a_run_that_was_broken_off_does_not_stop_the_next_one) {
    loop->call_soon([] { throw asyncio::SystemExit(); });
    EXPECT_THROW(loop->run_until_complete(give_later(1)), asyncio::SystemExit);
    const auto longer = []() -> Coro<int> {
        co_await asyncio::sleep(2s);
        co_return 8;
    };
    EXPECT_EQ(loop->run_until_complete(longer()), 8);
}

TEST_F(RunningTest, S015_a_run_that_was_stopped_leaves_no_callback_on_the_future) {
    auto future = loop->create_future<int>();
    loop->stop();
    EXPECT_THROW(loop->run_until_complete(future), asyncio::RuntimeError);
    loop->call_soon([=] { future.set_result(1); });
    EXPECT_EQ(loop->run_until_complete(give_later(2)), 2);
}

TEST_F(RunningTest, S016_a_loop_break_of_the_awaited_task_leaves_no_stop_behind) {
    EXPECT_THROW(loop->run_until_complete(interrupt()), asyncio::KeyboardInterrupt);
    EXPECT_EQ(loop->run_until_complete(give_later(9)), 9);
    EXPECT_TRUE(take_reports().empty()) << "the exception was given to the caller";
}

TEST_F(RunningTest, S017_a_future_of_another_loop_is_refused) {
    const asyncio::EventLoopPtr other = make_loop();
    const auto future = other->create_future<void>();
    EXPECT_THROW(loop->run_until_complete(future), asyncio::ValueError);
    EXPECT_THROW(loop->run_until_complete(asyncio::Future<int>()), asyncio::RuntimeError);
    EXPECT_EQ(loop->run_until_complete(give(1)), 1);
}

// ---- close

TEST_F(RunningTest, S018_a_running_loop_cannot_be_closed) {
    loop->call_soon([this] { EXPECT_THROW(loop->close(), asyncio::RuntimeError); });
    iterate();
    EXPECT_FALSE(loop->is_closed());
    loop->close();
    EXPECT_TRUE(loop->is_closed());
}

TEST_F(RunningTest, S018_close_drops_what_is_scheduled_without_running_it) {
    auto owned = std::make_shared<int>(1);
    loop->call_soon([this, owned] { notes += "soon"; });
    loop->call_soon_threadsafe([this, owned] { notes += "thread"; });
    loop->call_later(0s, [this, owned] { notes += "timer"; });
    auto future = loop->create_future<void>();
    future.add_done_callback([this, owned] { notes += "done"; });
    future.set_result();
    EXPECT_EQ(owned.use_count(), 5);
    loop->close();
    loop->close();
    EXPECT_EQ(notes, "");
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(RunningTest, S018_close_destroys_pending_tasks_and_reports_each) {
    auto owned = std::make_shared<int>(1);
    auto waiting = loop->create_task(
        [](std::shared_ptr<int>) -> Coro<void> { co_await asyncio::sleep(1s); }, owned);
    auto unstarted =
        loop->create_task([](std::shared_ptr<int>) -> Coro<void> { co_return; }, owned);
    iterate();
    auto late = loop->create_task([](std::shared_ptr<int>) -> Coro<void> { co_return; }, owned);
    loop->close();
    EXPECT_EQ(owned.use_count(), 1);
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[0].message, "Task was destroyed but it is pending!");
    EXPECT_EQ(reports[0].future, waiting);
    EXPECT_EQ(reports[1].future, late);
    EXPECT_TRUE(unstarted.done());
    EXPECT_FALSE(waiting.done());
}

template <class F>
void expect_closed(F action) {
    try {
        action();
        ADD_FAILURE() << "a closed loop accepted it";
    } catch (const asyncio::RuntimeError& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with("Event loop is closed")) << error.what();
    }
}

TEST_F(RunningTest, S019_a_closed_loop_refuses_callbacks) {
    loop->close();
    const asyncio::Context context;
    auto owned = std::make_shared<int>(1);
    const auto callback = [owned] {};
    expect_closed([&] { loop->call_soon(callback); });
    expect_closed([&] { loop->call_soon(callback, context); });
    expect_closed([&] { loop->call_soon_threadsafe(callback); });
    expect_closed([&] { loop->call_later(1s, callback); });
    expect_closed([&] { loop->call_at(clock.now(), callback); });
    expect_closed([&] { loop->add_reader(0, callback); });
    expect_closed([&] { loop->add_writer(0, callback); });
    expect_closed([&] { loop->prepare_to_block(); });
    EXPECT_EQ(owned.use_count(), 2) << "a refused callback is destroyed";
    EXPECT_FALSE(loop->remove_reader(0));
    EXPECT_FALSE(loop->remove_writer(0));
    EXPECT_EQ(loop->fileno(), -1);
}

TEST_F(RunningTest, S019_a_closed_loop_refuses_to_run) {
    auto future = loop->create_future<void>();
    loop->close();
    expect_closed([&] { loop->run_forever(); });
    expect_closed([&] { loop->run_once(); });
    expect_closed([&] { loop->run_until_complete(future); });
    expect_closed([&] { loop->run_until_complete(give(1)); });
    expect_closed([&] { loop->create_task(give(1)); });
    expect_closed([&] { loop->create_task(give, 1); });
    expect_closed([&] { loop->create_task({.name = "x"}, give(1)); });
}

TEST_F(RunningTest, S019_create_future_still_works_on_a_closed_loop) {
    loop->close();
    auto future = loop->create_future<int>();
    future.set_result(1);
    EXPECT_EQ(future.result(), 1);
    EXPECT_EQ(&future.get_loop(), loop.get());
}

}  // namespace
