// Connections in memory, as streams and as transports, and the faults on their way.
#include <asyncio/connections.hpp>
#include <asyncio/testing/memory_streams.hpp>

#include "net_fixture.hpp"
#include "random_seed.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <set>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::testing::ConnectedStreams;
using asyncio::testing::Cut;
using asyncio::testing::Faults;
using asyncio::testing::FaultyLink;
using asyncio::testing::memory_streams;

namespace {

class MemoryStreams : public Coordination {
protected:
    // What a stream gives, piece by piece, with the second at which each piece came.
    Coro<std::string> pieces(asyncio::StreamReader reader) {
        std::string text;
        try {
            for (std::string data; !(data = co_await reader.read(100)).empty();) {
                text += data + at();
            }
            text += "end" + at();
        } catch (const std::system_error& error) {
            text += error.code() == std::errc::connection_reset ? "reset" : error.what();
        }
        co_return text;
    }
    std::string at() const {
        const double seconds = clock.seconds();
        return (seconds == 0 ? "" : "@" + std::to_string(seconds).substr(0, 3)) + " ";
    }
    // What arrives of a text after which the sender closes.
    std::string sent(std::string text, const Faults& faults) {
        return run([this, text = std::move(text), faults]() -> Coro<std::string> {
            auto [client, server] = co_await memory_streams({.to_server = faults});
            client.writer.write(text);
            client.writer.close();
            const std::string arrived = co_await pieces(server.reader);
            server.writer.close();
            co_return arrived;
        });
    }
};

TEST_F(MemoryStreams, what_one_end_writes_the_other_reads) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        client.writer.write("question\n");
        EXPECT_EQ(co_await server.reader.readline(), "question\n");
        server.writer.write("answer");
        server.writer.close();
        co_await server.writer.wait_closed();
        EXPECT_EQ(co_await client.reader.read(), "answer");
        client.writer.close();
        co_await client.writer.wait_closed();
    });
}

TEST_F(MemoryStreams, they_need_no_descriptor) {
    run([&]() -> Coro<void> {
        const int before = ::dup(0);
        ::close(before);
        auto [client, server] = co_await memory_streams();
        client.writer.write("x");
        EXPECT_EQ(co_await server.reader.read(1), "x");
        EXPECT_EQ(loop->poller().watched(), 0U);
        EXPECT_FALSE(client.writer.get_extra_info(asyncio::extra_info::socket));
        EXPECT_FALSE(client.writer.get_extra_info(asyncio::extra_info::peername));
        const int after = ::dup(0);
        ::close(after);
        EXPECT_EQ(after, before);
        client.writer.close();
        server.writer.close();
    });
}

TEST_F(MemoryStreams, what_is_written_arrives_in_a_later_iteration) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        const auto reading = asyncio::create_task(server.reader.read(9));
        co_await asyncio::sleep(0);
        client.writer.write("data");
        EXPECT_FALSE(reading.done());
        co_await asyncio::sleep(0);
        co_await asyncio::sleep(0);
        EXPECT_TRUE(reading.done());
        client.writer.close();
        server.writer.close();
    });
}

TEST_F(MemoryStreams, an_end_that_wrote_its_eof_goes_on_reading) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        client.writer.write("all of it");
        client.writer.write_eof();
        EXPECT_EQ(co_await server.reader.read(), "all of it");
        server.writer.write("seen");
        server.writer.close();
        EXPECT_EQ(co_await client.reader.read(), "seen");
        client.writer.close();
    });
}

TEST_F(MemoryStreams, drain_waits_for_a_reader_and_little_is_kept_meanwhile) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams({.to_server = {.capacity = 1000}}, 2000);
        client.writer.transport().set_write_buffer_limits(500);
        const auto writing =
            asyncio::create_task([writer = client.writer]() mutable -> Coro<std::size_t> {
                std::size_t written = 0;
                for (; written < 100000; written += 100) {
                    writer.write(std::string(100, 'x'));
                    co_await writer.drain();
                }
                writer.close();
                co_return written;
            });
        co_await asyncio::sleep(1s);
        EXPECT_FALSE(writing.done());
        EXPECT_EQ(client.writer.transport().get_write_buffer_size(), 600U);
        EXPECT_EQ((co_await server.reader.read()).size(), 100000U);
        EXPECT_EQ(co_await writing, 100000U);
        server.writer.close();
    });
}

TEST_F(MemoryStreams, what_a_closed_end_wrote_before_still_arrives) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams({.to_server = {.capacity = 10}});
        client.writer.write(std::string(5000, 'x'));
        client.writer.close();
        EXPECT_EQ((co_await server.reader.read()).size(), 5000U);
        co_await client.writer.wait_closed();
        server.writer.close();
    });
}

TEST_F(MemoryStreams, an_end_that_is_aborted_drops_what_waits_and_the_other_sees_the_end) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams({.to_server = {.capacity = 10}});
        client.writer.write(std::string(5000, 'x'));
        client.writer.transport().abort();
        co_await client.writer.wait_closed();
        EXPECT_EQ((co_await server.reader.read()).size(), 10U);
        server.writer.close();
    });
}

TEST_F(MemoryStreams, an_end_that_is_closed_with_something_unread_resets_the_other) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        server.writer.transport().pause_reading();
        client.writer.write("unread");
        server.writer.close();
        EXPECT_EQ(co_await pieces(client.reader), "reset");
    });
}

TEST_F(MemoryStreams, writing_to_an_end_that_is_gone_is_a_broken_pipe) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        client.writer.transport().pause_reading();
        server.writer.close();
        co_await server.writer.wait_closed();
        client.writer.write("lost");
        try {
            co_await client.writer.wait_closed();
            ADD_FAILURE() << "no error";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::broken_pipe);
        }
    });
}

TEST_F(MemoryStreams, a_read_that_nothing_can_answer_is_a_deadlock) {
    const auto reading = [&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams();
        co_await client.reader.read(1);
    };
    EXPECT_THROW(run(reading), asyncio::DeadlockError);
    loop.reset();
    take_reports();
}

TEST_F(MemoryStreams, a_loop_may_be_closed_while_they_are_open) {
    std::optional<ConnectedStreams> streams = run([] { return memory_streams(); });
    streams->client.writer.write("never read");
    loop.reset();
    EXPECT_TRUE(streams->client.writer.is_closing());
    streams.reset();
}

TEST_F(MemoryStreams, a_capacity_or_a_limit_of_nothing_is_refused) {
    EXPECT_THROW(run([] { return memory_streams({.to_client = {.capacity = 0}}); }),
                 asyncio::ValueError);
    EXPECT_THROW(run([] { return memory_streams({}, 0); }), asyncio::ValueError);
}

// ---- transports

class MemoryTransports : public Coordination {
protected:
    void connect(const FaultyLink& link = {}) {
        run([&]() -> Coro<void> {
            auto [near, far] = co_await asyncio::testing::memory_transports(client, server, link);
            EXPECT_EQ(near, client->transport);
            EXPECT_EQ(far, server->transport);
        });
    }
    void TearDown() override {
        for (const auto& protocol : {client, server}) {
            protocol->transport.reset();
        }
        Coordination::TearDown();
    }

    std::string client_notes;
    std::string server_notes;
    std::shared_ptr<NotingProtocol> client = std::make_shared<NotingProtocol>(client_notes);
    std::shared_ptr<NotingProtocol> server = std::make_shared<NotingProtocol>(server_notes);
};

TEST_F(MemoryTransports, protocols_are_told_what_a_socket_would_tell_them) {
    connect();
    client->transport->write("one");
    iterate(2);
    client->transport->writelines(std::array<std::string_view, 2>{"two", "three"});
    client->transport->close();
    EXPECT_TRUE(client->transport->is_closing());
    iterate(5);
    EXPECT_EQ(client_notes, "made lost ");
    EXPECT_EQ(server_notes, "made data:one data:twothree eof lost ");
    EXPECT_EQ(server->transport->get_protocol(), nullptr);
}

TEST_F(MemoryTransports, writers_are_paused_and_resumed_at_their_limits) {
    connect({.to_server = {.capacity = 10}});
    client->transport->set_write_buffer_limits(20, 5);
    server->transport->pause_reading();
    client->transport->write(std::string(30, 'x'));
    iterate(5);
    EXPECT_EQ(client_notes, "made ");
    EXPECT_EQ(client->transport->get_write_buffer_size(), 20U);
    client->transport->write("y");
    EXPECT_EQ(client_notes, "made pause ");
    server->transport->resume_reading();
    iterate(10);
    EXPECT_EQ(client_notes, "made pause resume ");
    EXPECT_EQ(server->received, std::string(30, 'x') + "y");
    client->transport->abort();
    iterate(5);
}

TEST_F(MemoryTransports, nothing_is_delivered_while_reading_is_paused) {
    connect();
    server->transport->pause_reading();
    client->transport->write("early");
    iterate(5);
    EXPECT_EQ(server_notes, "made ");
    server->transport->resume_reading();
    iterate(2);
    EXPECT_EQ(server_notes, "made data:early ");
    client->transport->abort();
    iterate(5);
}

TEST_F(MemoryTransports, a_sender_that_never_pauses_does_not_starve_the_receiver) {
    connect();
    for (int i = 0; i < 20; ++i) {
        client->transport->write("x");
        iterate();
    }
    EXPECT_GE(server->received.size(), 18U);
    client->transport->abort();
    iterate(5);
}

// ---- faults

TEST_F(MemoryStreams, reads_are_as_short_as_the_fault_says) {
    EXPECT_EQ(sent("abcdefgh", {.read_max = 3}), "abc def gh end ");
}

TEST_F(MemoryStreams, writes_are_as_short_as_the_fault_says) {
    EXPECT_EQ(sent("abcdefgh", {.write_max = 3}), "abc def gh end ");
}

TEST_F(MemoryStreams, a_seed_makes_pieces_of_all_sizes_and_always_the_same_ones) {
    const std::string text(50, 'x');
    const std::string first = sent(text, {.read_max = 20, .seed = 1});
    EXPECT_EQ(sent(text, {.read_max = 20, .seed = 1}), first);
    EXPECT_NE(sent(text, {.read_max = 20, .seed = 2}), first);
    EXPECT_EQ(std::ranges::count(first, 'x'), 50);
    EXPECT_GT(std::ranges::count(first, ' '), 3);
}

TEST_F(MemoryStreams, latency_delays_the_data_and_the_end) {
    EXPECT_EQ(sent("abc", {.latency = 2s}), "abc@2.0 end@2.0 ");
}

TEST_F(MemoryStreams, a_writer_hears_late_that_the_other_end_is_gone) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams({.to_server = {.latency = 2s}});
        client.writer.transport().pause_reading();
        server.writer.close();
        co_await server.writer.wait_closed();
        client.writer.write("on its way");
        EXPECT_FALSE(client.writer.is_closing());
        co_await asyncio::sleep(2s);
        client.writer.write("too late");
        EXPECT_TRUE(client.writer.is_closing());
    });
}

TEST_F(MemoryStreams, a_slow_wire_takes_its_time_for_each_piece) {
    EXPECT_EQ(sent("abcdef", {.read_max = 2, .latency = 1s, .bytes_per_second = 2}),
              "ab@2.0 cd@3.0 ef@4.0 end@4.0 ");
}

TEST_F(MemoryStreams, a_connection_is_reset_after_so_many_bytes) {
    EXPECT_EQ(sent("abcdef", {.cut_after = 4}), "abcd reset");
    EXPECT_EQ(sent("abcdef", {.read_max = 3, .cut_after = 4}), "abc d reset");
    EXPECT_EQ(sent("abcdef", {.cut_after = 6}), "abcdef reset");
    EXPECT_EQ(sent("abcdef", {.cut_after = 7}), "abcdef end ");
    EXPECT_EQ(sent("abcdef", {.cut_after = 0}), "reset");
}

TEST_F(MemoryStreams, a_reset_ends_the_senders_connection_too) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams({.to_server = {.cut_after = 1}});
        client.writer.write("request");
        EXPECT_EQ(co_await pieces(client.reader), "reset");
        EXPECT_EQ(co_await pieces(server.reader), "reset");
    });
}

TEST_F(MemoryStreams, the_end_comes_early_without_a_warning) {
    EXPECT_EQ(sent("abcdef", {.cut_after = 4, .cut = Cut::eof}), "abcd end ");
}

TEST_F(MemoryStreams, after_a_silent_cut_nothing_arrives_in_this_direction_and_all_in_the_other) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams(
            {.to_server = {.cut_after = 4, .cut = Cut::silence, .capacity = 100}});
        client.writer.write("abcdef");
        server.writer.write("there");
        EXPECT_EQ(co_await client.reader.read(9), "there");
        EXPECT_EQ(co_await server.reader.read(9), "abcd");
        client.writer.write_eof();
        EXPECT_TRUE(co_await waits_for_ever(server.reader.read(9)));
        client.writer.close();
        server.writer.close();
    });
}

TEST_F(MemoryStreams, the_end_is_silent_too) {
    run([&]() -> Coro<void> {
        auto [client, server] =
            co_await memory_streams({.to_server = {.cut_after = 4, .cut = Cut::silence}});
        client.writer.write("abcd");
        client.writer.close();
        EXPECT_EQ(co_await server.reader.read(9), "abcd");
        EXPECT_TRUE(co_await waits_for_ever(server.reader.read(9)));
        server.writer.close();
    });
}

TEST_F(MemoryStreams, what_silence_has_swallowed_was_not_left_unread) {
    run([&]() -> Coro<void> {
        auto [client, server] =
            co_await memory_streams({.to_server = {.cut_after = 0, .cut = Cut::silence}});
        client.writer.write("swallowed");
        server.writer.close();
        EXPECT_EQ(co_await pieces(client.reader), "end ");
        client.writer.close();
    });
}

TEST_F(MemoryStreams, a_sender_into_silence_waits_once_the_wire_is_full) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await memory_streams(
            {.to_server = {.cut_after = 0, .cut = Cut::silence, .capacity = 100}});
        client.writer.transport().set_write_buffer_limits(0);
        client.writer.write(std::string(100, 'x'));
        co_await client.writer.drain();
        client.writer.write("y");
        EXPECT_TRUE(co_await waits_for_ever(client.writer.drain()));
        client.writer.transport().abort();
        server.writer.close();
    });
}

TEST(Faults, are_shown_as_the_code_that_makes_them) {
    EXPECT_EQ(Faults().str(), "{}");
    const Faults faults{
        .read_max = 3, .seed = 17, .latency = 2s, .cut_after = 0, .cut = Cut::silence};
    EXPECT_EQ(faults.str(), "{.read_max = 3, .seed = 17, .latency = "
                            "std::chrono::nanoseconds(2000000000), .cut_after = 0, "
                            ".cut = Cut::silence}");
}

TEST(Faults, by_chance_are_the_same_for_the_same_seed_and_differ_for_others) {
    EXPECT_EQ(Faults::random(7), Faults::random(7));
    EXPECT_EQ(Faults::random(1).str(), Faults::random(1).str());
    std::set<std::string> all;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        all.insert(Faults::random(seed).str());
        EXPECT_GT(Faults::random(seed).capacity, 0U);
    }
    EXPECT_GT(all.size(), 80U);
}

// ---- what must not depend on the pieces

// Reads a stream by functions that are chosen by the seed, and gives what each of them gave.
Coro<std::vector<std::string>> read_by_chance(asyncio::StreamReader reader, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> results;
    while (!reader.at_eof()) {
        std::string result;
        try {
            switch (random() % 4) {
            case 0:
                result = "line " + co_await reader.readline();
                break;
            case 1:
                result = "until " + co_await reader.readuntil({"ab", "b", "\n\n", "cab"});
                break;
            case 2:
                result = "exactly " + co_await reader.readexactly(random() % 20);
                break;
            default:
                result = random() % 50 == 0 ? "all " + co_await reader.read() : "";
            }
        } catch (const asyncio::IncompleteReadError& error) {
            result = "rest " + error.partial();
        }
        results.push_back(std::move(result));
    }
    co_return results;
}

TEST_F(MemoryStreams, what_is_read_does_not_depend_on_the_pieces_in_which_it_comes) {
    const RandomSeed seed;
    for (std::uint64_t round = 0; round < 50; ++round) {
        std::mt19937_64 random(seed.value() + round);
        std::string text(random() % 300, '\0');
        std::ranges::generate(text, [&] { return "abc\n"[random() % 4]; });
        const std::uint64_t choices = random();
        std::optional<std::vector<std::string>> whole;
        for (int way = 0; way < 4; ++way) {
            Faults faults = way == 0 ? Faults{} : Faults::random(random());
            faults.cut_after.reset();
            SCOPED_TRACE(faults.str());
            const auto results = run([&]() -> Coro<std::vector<std::string>> {
                auto [client, server] = co_await memory_streams({.to_server = faults});
                client.writer.write(text);
                client.writer.close();
                auto read = co_await read_by_chance(server.reader, choices);
                server.writer.close();
                co_return read;
            });
            EXPECT_EQ(whole.value_or(results), results);
            whole = results;
        }
    }
}

}  // namespace
