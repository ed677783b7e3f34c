// The errors a user meets: each says what was wrong, and what to do instead.
#include "loop_fixture.hpp"

#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using asyncio::Coro;

namespace {

class MessageTest : public LoopFixture {};

Coro<int> give(int value) { co_return value; }

// The text of what `action` throws.
template <class E, class F>
std::string message_of(F action) {
    try {
        action();
    } catch (const E& error) {
        return error.what();
    } catch (...) {
        ADD_FAILURE() << "another error: " << asyncio::describe_exception(std::current_exception());
        return {};
    }
    ADD_FAILURE() << "no error";
    return {};
}

void expect_contains(const std::string& text, std::initializer_list<const char*> parts) {
    for (const char* part : parts) {
        EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
    }
}

TEST_F(MessageTest, without_a_running_loop) {
    for (const std::string& text : {
             message_of<asyncio::RuntimeError>([] { asyncio::get_running_loop(); }),
             message_of<asyncio::RuntimeError>([] { asyncio::create_task(give(1)); }),
             message_of<asyncio::RuntimeError>([] { asyncio::create_task(give, 1); }),
             message_of<asyncio::RuntimeError>([] { asyncio::current_task(); }),
             message_of<asyncio::RuntimeError>([] { asyncio::all_tasks(); }),
             message_of<asyncio::RuntimeError>([] { (void)asyncio::gather(give(1)); }),
         }) {
        expect_contains(text, {"no running event loop", "asyncio::run()"});
    }
}

TEST_F(MessageTest, awaiting_a_coroutine_twice) {
    const auto twice = []() -> Coro<void> {
        Coro<int> coro = give(1);
        co_await std::move(coro);
        co_await std::move(coro);
    };
    expect_contains(message_of<asyncio::RuntimeError>([&] { loop->run_until_complete(twice()); }),
                    {"cannot reuse already awaited coroutine", "call its function again", "Task"});
}

TEST_F(MessageTest, running_a_loop_inside_a_loop) {
    const auto nested = [this]() -> Coro<int> { co_return loop->run_until_complete(give(1)); };
    expect_contains(message_of<asyncio::RuntimeError>([&] { loop->run_until_complete(nested()); }),
                    {"This event loop is already running", "co_await", "create_task()"});
    const auto other = make_loop();
    const auto elsewhere = [&]() -> Coro<int> { co_return other->run_until_complete(give(1)); };
    expect_contains(
        message_of<asyncio::RuntimeError>([&] { loop->run_until_complete(elsewhere()); }),
        {"Cannot run the event loop while another loop is running", "co_await"});
    const auto runs = []() -> Coro<int> { co_return asyncio::run(give(1)); };
    expect_contains(message_of<asyncio::RuntimeError>([&] { loop->run_until_complete(runs()); }),
                    {"run() cannot be called from a running event loop", "co_await"});
}

TEST_F(MessageTest, a_closed_loop) {
    loop->close();
    for (const std::string& text : {
             message_of<asyncio::RuntimeError>([&] { loop->run_until_complete(give(1)); }),
             message_of<asyncio::RuntimeError>([&] { loop->create_task(give(1)); }),
             message_of<asyncio::RuntimeError>([&] { loop->call_soon([] {}); }),
         }) {
        expect_contains(text, {"Event loop is closed", "new_event_loop()"});
    }
}

TEST_F(MessageTest, closing_a_loop_that_runs) {
    loop->call_soon([this] {
        expect_contains(message_of<asyncio::RuntimeError>([&] { loop->close(); }),
                        {"Cannot close a running event loop", "stop()"});
    });
    iterate();
}

// What another thread gets that uses the loop while it runs.
template <class F>
std::string message_in_another_thread(F action) {
    std::string text;
    std::thread([&] { text = message_of<asyncio::RuntimeError>(action); }).join();
    return text;
}

TEST_F(MessageTest, using_a_loop_from_another_thread_in_debug_mode) {
    loop->set_debug(true);
    loop->slow_callback_duration = 24h;
    loop->call_soon([this] {
        for (const std::string& text : {
                 message_in_another_thread([&] { loop->call_soon([] {}); }),
                 message_in_another_thread([&] { loop->call_later(1s, [] {}); }),
                 message_in_another_thread([&] { loop->call_at(clock.now(), [] {}); }),
                 message_in_another_thread([&] { loop->create_task(give(1)); }),
                 message_in_another_thread([&] { loop->create_task(give, 1); }),
                 message_in_another_thread([&] { loop->add_reader(0, [] {}); }),
             }) {
            expect_contains(text, {"Non-thread-safe operation", "call_soon_threadsafe()"});
        }
        std::thread([this] { loop->call_soon_threadsafe(note("allowed")); }).join();
    });
    iterate(2);
    EXPECT_EQ(notes, "allowed");
    EXPECT_TRUE(asyncio::all_tasks(*loop).empty());
}

TEST_F(MessageTest, a_loop_that_does_not_run_may_be_prepared_by_any_thread) {
    loop->set_debug(true);
    loop->slow_callback_duration = 24h;
    std::thread([this] { loop->call_soon(note("a")); }).join();
    iterate();
    EXPECT_EQ(notes, "a");
}

TEST_F(MessageTest, an_empty_handle) {
    for (const std::string& text : {
             message_of<asyncio::RuntimeError>([] { asyncio::Task<int>().cancel(); }),
             message_of<asyncio::RuntimeError>([] { (void)asyncio::AnyFuture().done(); }),
             message_of<asyncio::RuntimeError>([] { asyncio::Future<int>().set_result(1); }),
             message_of<asyncio::RuntimeError>([] { (void)asyncio::AnyTask().get_name(); }),
         }) {
        expect_contains(text, {"handle is empty", "create_task()"});
    }
    EXPECT_EQ(repr(asyncio::AnyFuture()), "<Future (empty handle)>");
    for (const std::string& text : {
             message_of<asyncio::RuntimeError>([] { (void)asyncio::Handle().get_context(); }),
             message_of<asyncio::RuntimeError>([] { (void)asyncio::TimerHandle().when(); }),
         }) {
        expect_contains(text, {"Handle is empty", "call_later()"});
    }
}

TEST_F(MessageTest, a_coroutine_that_was_never_awaited) {
    {
        const Coro<int> dropped = give(1);
    }
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    expect_contains(lines[0],
                    {"coroutine 'give' was never awaited", "test_messages.cpp", "create_task()"});
}

TEST_F(MessageTest, a_deadlock_names_what_every_task_waits_for) {
    const auto waits = [this]() -> Coro<void> { co_await loop->create_future<void>(); };
    const auto task = loop->create_task({.name = "stuck"}, waits());
    expect_contains(message_of<asyncio::DeadlockError>([&] { loop->run_forever(); }),
                    {"deadlock", "name='stuck'", "wait_for=<Future pending", "test_messages.cpp"});
    task.cancel();
    iterate(2);
}

TEST_F(MessageTest, a_result_that_is_not_there) {
    const auto future = loop->create_future<int>();
    expect_contains(message_of<asyncio::InvalidStateError>([&] { (void)future.result(); }),
                    {"Result is not ready", "co_await"});
    future.set_result(1);
    expect_contains(message_of<asyncio::InvalidStateError>([&] { future.set_result(2); }),
                    {"set_result", "invalid state", "is done already"});
    const auto task = loop->create_task(give(1));
    const asyncio::Future<int> as_future = task;
    expect_contains(message_of<asyncio::RuntimeError>([&] { as_future.set_result(2); }),
                    {"Task does not support set_result", "coroutine returns"});
    iterate();
}

TEST_F(MessageTest, S311_an_exception_handler_that_fails_does_not_hide_what_it_was_told) {
    loop->set_exception_handler([](auto&, const auto&) { throw std::logic_error("no handler"); });
    loop->call_soon([] { throw std::runtime_error("the callback's"); });
    iterate();
    const std::vector<std::string> lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    expect_contains(lines[0], {"Exception in callback", "the callback's", "no handler"});
}

TEST_F(MessageTest, a_future_used_from_another_thread_in_debug_mode) {
    loop->set_debug(true);
    const asyncio::Future<int> future = loop->create_future<int>();
    std::vector<std::string> texts;
    loop->call_soon([&] {
        std::thread([&] {
            texts.push_back(message_of<asyncio::RuntimeError>([&] { future.set_result(1); }));
            texts.push_back(message_of<asyncio::RuntimeError>([&] { future.cancel(); }));
            texts.push_back(
                message_of<asyncio::RuntimeError>([&] { future.add_done_callback([] {}); }));
        }).join();
    });
    iterate();
    for (const std::string& text : texts) {
        expect_contains(text, {"Non-thread-safe operation", "call_soon_threadsafe()"});
    }
    EXPECT_FALSE(future.done());
}

}  // namespace
