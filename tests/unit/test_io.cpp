// File descriptors and the loop: add_reader and add_writer, run_once, and embedding by fileno().
#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include "scripted_poller.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using asyncio::EventLoop;
using asyncio::EventLoopPtr;
using asyncio::IoDirection;
using asyncio::Socket;

namespace {

constexpr auto no_time = asyncio::Duration::zero();

// A loop, and a pair of sockets of which `near` is watched and `far` plays the peer.
class Io : public ::testing::Test {
protected:
    void SetUp() override { std::tie(near, far) = asyncio::socketpair(); }
    void TearDown() override {
        if (!loop->is_closed()) {
            loop->close();
        }
    }

    void make_readable() { ASSERT_EQ(::write(far.fileno(), "x", 1), 1); }
    void read_away() {
        char byte = 0;
        ASSERT_EQ(::read(near.fileno(), &byte, 1), 1);
    }
    auto logs(const char* text) {
        return [this, text] { log.emplace_back(text); };
    }
    std::vector<std::string> run_once() {
        log.clear();
        loop->run_once(no_time);
        return log;
    }

    using Log = std::vector<std::string>;
    EventLoopPtr loop = asyncio::new_event_loop();
    Socket near;
    Socket far;
    Log log;
};

TEST_F(Io, a_reader_is_called_for_as_long_as_there_is_something_to_read) {
    loop->add_reader(near.fileno(), logs("read"));
    EXPECT_EQ(run_once(), Log{});
    make_readable();
    EXPECT_EQ(run_once(), Log{"read"});
    EXPECT_EQ(run_once(), Log{"read"});
    read_away();
    EXPECT_EQ(run_once(), Log{});
    far.close();
    EXPECT_EQ(run_once(), Log{"read"});
}

TEST_F(Io, S020_add_reader_replaces_the_reader_and_keeps_the_writer) {
    loop->add_writer(near.fileno(), logs("write"));
    loop->add_reader(near.fileno(), logs("first"));
    loop->add_reader(near.fileno(), logs("second"));
    make_readable();
    EXPECT_EQ(run_once(), (Log{"second", "write"}));
    EXPECT_EQ(loop->poller().watched(), 2U);
}

TEST_F(Io, S020_add_writer_replaces_the_writer_and_keeps_the_reader) {
    loop->add_reader(near.fileno(), logs("read"));
    loop->add_writer(near.fileno(), logs("first"));
    loop->add_writer(near.fileno(), logs("second"));
    make_readable();
    EXPECT_EQ(run_once(), (Log{"read", "second"}));
}

TEST_F(Io, S020_removing_one_direction_keeps_the_other) {
    loop->add_reader(near.fileno(), logs("read"));
    loop->add_writer(near.fileno(), logs("write"));
    make_readable();
    EXPECT_TRUE(loop->remove_reader(near.fileno()));
    EXPECT_EQ(run_once(), Log{"write"});
    loop->add_reader(near.fileno(), logs("read"));
    EXPECT_TRUE(loop->remove_writer(near.fileno()));
    EXPECT_EQ(run_once(), Log{"read"});
}

TEST_F(Io, S020_remove_says_whether_there_was_one) {
    EXPECT_FALSE(loop->remove_reader(near.fileno()));
    EXPECT_FALSE(loop->remove_writer(near.fileno()));
    loop->add_reader(near.fileno(), [] {});
    EXPECT_FALSE(loop->remove_writer(near.fileno()));
    EXPECT_TRUE(loop->remove_reader(near.fileno()));
    EXPECT_FALSE(loop->remove_reader(near.fileno()));
    EXPECT_FALSE(loop->remove_reader(-1));
    EXPECT_FALSE(loop->remove_reader(1'000'000));
    EXPECT_EQ(loop->poller().watched(), 0U);
}

TEST_F(Io, S021_a_descriptor_that_an_operation_owns_takes_no_reader) {
    const auto task = loop->create_task(asyncio::sock_recv(near, 1));
    loop->run_once(no_time);
    EXPECT_THROW(loop->add_reader(near.fileno(), [] {}), asyncio::RuntimeError);
    EXPECT_FALSE(loop->remove_reader(near.fileno()));
    loop->add_writer(near.fileno(), logs("write"));
    make_readable();
    EXPECT_EQ(run_once(), Log{"write"});
    loop->remove_writer(near.fileno());
    EXPECT_EQ(loop->run_until_complete<std::string>(task), "x");
}

TEST_F(Io, S022_a_reader_removed_in_the_iteration_of_its_event_is_not_called) {
    loop->add_reader(near.fileno(), logs("read"));
    loop->call_soon([this] { loop->remove_reader(near.fileno()); });
    make_readable();
    EXPECT_EQ(run_once(), Log{});
    EXPECT_EQ(loop->poller().watched(), 0U);
    EXPECT_EQ(run_once(), Log{});
}

TEST_F(Io, S022_a_reader_replaced_in_the_iteration_of_its_event_is_not_called) {
    loop->add_reader(near.fileno(), logs("first"));
    loop->call_soon([this] { loop->add_reader(near.fileno(), logs("second")); });
    make_readable();
    EXPECT_EQ(run_once(), Log{});
    EXPECT_EQ(run_once(), Log{"second"});
}

TEST_F(Io, S022_a_callback_may_remove_itself_and_the_other_direction) {
    loop->add_reader(near.fileno(), [this] {
        log.emplace_back("read");
        EXPECT_TRUE(loop->remove_writer(near.fileno()));
        EXPECT_TRUE(loop->remove_reader(near.fileno()));
        log.emplace_back("still here");
    });
    loop->add_writer(near.fileno(), logs("write"));
    make_readable();
    EXPECT_EQ(run_once(), (Log{"read", "still here"}));
    EXPECT_EQ(run_once(), Log{});
}

TEST_F(Io, S003_ready_calls_come_before_events_and_events_before_timers) {
    loop->call_later(no_time, logs("timer"));
    loop->add_writer(near.fileno(), logs("write"));
    loop->add_reader(near.fileno(), logs("read"));
    loop->call_soon(logs("soon"));
    make_readable();
    EXPECT_EQ(run_once(), (Log{"soon", "read", "write", "timer"}));
}

TEST_F(Io, S007_a_callback_that_throws_is_reported_and_stays_registered) {
    int reports = 0;
    loop->set_exception_handler(
        [&reports](EventLoop&, const asyncio::ErrorContext&) { ++reports; });
    loop->add_reader(near.fileno(), [] { throw asyncio::ValueError("no"); });
    make_readable();
    run_once();
    run_once();
    EXPECT_EQ(reports, 2);
    EXPECT_EQ(loop->poller().watched(), 1U);
}

TEST_F(Io, S019_a_closed_loop_refuses_readers_and_has_none_to_remove) {
    loop->close();
    EXPECT_THROW(loop->add_reader(near.fileno(), [] {}), asyncio::RuntimeError);
    EXPECT_THROW(loop->add_writer(near.fileno(), [] {}), asyncio::RuntimeError);
    EXPECT_FALSE(loop->remove_reader(near.fileno()));
    EXPECT_FALSE(loop->remove_writer(near.fileno()));
}

TEST_F(Io, S018_closing_the_loop_drops_what_a_reader_holds) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> observer = held;
    loop->add_reader(near.fileno(), [held] {});
    loop->add_writer(near.fileno(), [held] {});
    held.reset();
    EXPECT_FALSE(observer.expired());
    loop->close();
    EXPECT_TRUE(observer.expired());
}

TEST_F(Io, S018_closing_the_loop_drops_a_reader_whose_event_is_queued) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> observer = held;
    loop->add_reader(near.fileno(), [held] {});
    held.reset();
    make_readable();
    loop->call_soon([] { throw asyncio::SystemExit(3); });
    EXPECT_THROW(loop->run_once(no_time), asyncio::SystemExit);
    loop->close();
    EXPECT_TRUE(observer.expired());
}

TEST_F(Io, what_cannot_be_watched_is_refused_and_leaves_nothing_behind) {
    EXPECT_THROW(loop->add_reader(-1, [] {}), asyncio::ValueError);
    EXPECT_THROW(loop->add_reader(100'000, [] {}), std::system_error);
    std::FILE* const file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    EXPECT_THROW(loop->add_reader(::fileno(file), [] {}), std::system_error);
    EXPECT_EQ(loop->poller().watched(), 0U);
    EXPECT_FALSE(loop->remove_reader(::fileno(file)));
    std::fclose(file);
}

TEST_F(Io, a_number_that_was_closed_while_watched_can_be_watched_again) {
    const int number = near.fileno();
    loop->add_reader(number, logs("old"));
    ::close(near.detach());
    EXPECT_EQ(run_once(), Log{});
    std::tie(near, far) = asyncio::socketpair();
    ASSERT_EQ(near.fileno(), number);
    loop->add_reader(number, logs("new"));
    make_readable();
    EXPECT_EQ(run_once(), Log{"new"});
}

TEST_F(Io, a_broken_connection_calls_both_directions) {
    loop->add_reader(near.fileno(), logs("read"));
    loop->add_writer(near.fileno(), logs("write"));
    far.close();
    EXPECT_EQ(run_once(), (Log{"read", "write"}));
}

TEST_F(Io, more_descriptors_than_one_poll_reports_are_all_called) {
    constexpr std::size_t count = 600;
    std::vector<std::pair<Socket, Socket>> pairs;
    std::vector<int> calls(count);
    for (std::size_t i = 0; i < count; ++i) {
        pairs.push_back(asyncio::socketpair());
        const int number = pairs[i].first.fileno();
        loop->add_reader(number, [this, &calls, i, number] {
            ++calls[i];
            loop->remove_reader(number);
        });
        ASSERT_EQ(::write(pairs[i].second.fileno(), "x", 1), 1);
    }
    for (int i = 0; i < 4; ++i) {
        run_once();
    }
    EXPECT_EQ(calls, std::vector<int>(count, 1));
}

// ---- run_once

TEST_F(Io, run_once_waits_no_longer_than_it_is_told) {
    const auto before = std::chrono::steady_clock::now();
    loop->run_once(20ms);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
    loop->call_later(1h, [] {});
    loop->run_once(no_time);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 30min);
}

TEST_F(Io, run_once_ends_its_wait_with_the_first_event) {
    loop->add_reader(near.fileno(), [this] {
        log.emplace_back("read");
        loop->remove_reader(near.fileno());
    });
    std::thread peer([this] {
        std::this_thread::sleep_for(10ms);
        make_readable();
    });
    // Whoever stops this process and lets it go on ends a wait, too, but not again and again.
    int waits = 0;
    while (log.empty()) {
        loop->run_once();
        ++waits;
    }
    peer.join();
    EXPECT_EQ(log, Log{"read"});
    EXPECT_LT(waits, 20);
}

TEST_F(Io, run_once_of_a_virtual_clock_jumps_to_its_limit_or_the_next_timer) {
    asyncio::testing::VirtualClock clock;
    asyncio::LoopOptions options;
    options.clock = &clock;
    const EventLoopPtr virtual_loop = asyncio::new_event_loop(std::move(options));
    bool called = false;
    virtual_loop->call_later(10s, [&called] { called = true; });
    virtual_loop->run_once(4s);
    EXPECT_EQ(clock.seconds(), 4.0);
    EXPECT_FALSE(called);
    virtual_loop->run_once();
    EXPECT_EQ(clock.seconds(), 10.0);
    EXPECT_TRUE(called);
}

// ---- embedding

bool becomes_readable(int fd, int timeout_ms) {
    pollfd request{fd, POLLIN, 0};
    return ::poll(&request, 1, timeout_ms) == 1;
}

TEST_F(Io, fileno_is_readable_when_a_watched_descriptor_is) {
    loop->add_reader(near.fileno(), logs("read"));
    loop->prepare_to_block();
    EXPECT_FALSE(becomes_readable(loop->fileno(), 0));
    make_readable();
    EXPECT_TRUE(becomes_readable(loop->fileno(), 1000));
    EXPECT_EQ(run_once(), Log{"read"});
}

TEST_F(Io, fileno_is_readable_when_a_timer_is_due_and_not_before) {
    loop->call_later(1h, logs("late"));
    loop->prepare_to_block();
    EXPECT_FALSE(becomes_readable(loop->fileno(), 1));
    const auto before = std::chrono::steady_clock::now();
    loop->call_later(20ms, logs("timer"));
    loop->prepare_to_block();
    EXPECT_TRUE(becomes_readable(loop->fileno(), 10'000));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
    EXPECT_EQ(run_once(), Log{"timer"});
    loop->prepare_to_block();
    EXPECT_FALSE(becomes_readable(loop->fileno(), 0));
}

TEST_F(Io, fileno_is_readable_while_callbacks_are_ready) {
    loop->call_soon(logs("soon"));
    loop->prepare_to_block();
    EXPECT_TRUE(becomes_readable(loop->fileno(), 1000));
    EXPECT_EQ(run_once(), Log{"soon"});
}

TEST_F(Io, fileno_is_readable_after_a_call_from_another_thread) {
    loop->prepare_to_block();
    EXPECT_FALSE(becomes_readable(loop->fileno(), 0));
    std::thread([this] { loop->call_soon_threadsafe(logs("call")); }).join();
    EXPECT_TRUE(becomes_readable(loop->fileno(), 1000));
    EXPECT_EQ(run_once(), Log{"call"});
}

TEST_F(Io, a_foreign_loop_can_run_this_one_to_its_end) {
    auto program = [](Socket& near) -> asyncio::Coro<std::string> {
        co_await asyncio::sleep(10ms);
        const std::string first = co_await asyncio::sock_recv(near, 1);
        co_await asyncio::sleep(0s);
        co_return first + "!";
    };
    const auto task = loop->create_task(program, std::ref(near));
    make_readable();
    int turns = 0;
    while (!task.done()) {
        loop->prepare_to_block();
        ASSERT_TRUE(becomes_readable(loop->fileno(), 10'000));
        loop->run_once(no_time);
        ASSERT_LT(++turns, 100);
    }
    EXPECT_EQ(task.result(), "x!");
}

TEST_F(Io, the_hooks_stand_around_a_poll_that_may_block) {
    // The timer is not due before the poll, however long it takes to get there.
    ManualClock clock;
    const EventLoopPtr slow = asyncio::new_event_loop({.clock = &clock});
    slow->set_block_hooks(logs("before"), [&] {
        log.emplace_back("after");
        clock.time += 1ms;
    });
    slow->call_soon(logs("soon"));
    slow->run_once(no_time);
    EXPECT_EQ(log, Log{"soon"});
    log.clear();
    slow->call_later(1ms, logs("timer"));
    slow->run_once();
    EXPECT_EQ(log, (Log{"before", "after", "timer"}));
}

}  // namespace
