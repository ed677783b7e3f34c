// Sockets with faults between them.
#include <asyncio/connections.hpp>
#include <asyncio/testing/faulty_sockets.hpp>

#include "coordination_fixture.hpp"

#include <filesystem>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::testing::Cut;
using asyncio::testing::faulty_sockets;
using asyncio::testing::FaultyLink;

namespace {

struct Ends {
    asyncio::StreamPair client;
    asyncio::StreamPair server;
};

Coro<Ends> connect(FaultyLink link = {}) {
    auto [client, server] = co_await faulty_sockets(std::move(link));
    auto client_streams = co_await asyncio::open_connection(std::move(client));
    co_return Ends{client_streams, co_await asyncio::open_connection(std::move(server))};
}

class FaultySockets : public Coordination {
protected:
    // What arrives of a text after which the sender closes, and how long it took.
    std::string sent(std::string text, asyncio::testing::Faults faults) {
        return run([this, text = std::move(text), faults]() -> Coro<std::string> {
            const double begin = clock.seconds();
            auto [client, server] = co_await connect({.to_server = faults});
            client.writer.write(text);
            client.writer.close();
            std::string arrived;
            try {
                for (std::string data; !(data = co_await server.reader.read(100)).empty();) {
                    arrived += data + " ";
                }
                arrived += "end";
            } catch (const std::system_error& error) {
                arrived += error.code() == std::errc::connection_reset ? "reset" : error.what();
            }
            const auto seconds = static_cast<int>(clock.seconds() - begin);
            server.writer.close();
            co_return arrived + (seconds > 0 ? "@" + std::to_string(seconds) : "");
        });
    }
};

TEST_F(FaultySockets, without_faults_they_are_connected) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await connect();
        client.writer.write("question\n");
        EXPECT_EQ(co_await server.reader.readline(), "question\n");
        server.writer.write("answer");
        server.writer.write_eof();
        EXPECT_EQ(co_await client.reader.read(), "answer");
        client.writer.close();
        EXPECT_EQ(co_await server.reader.read(), "");
        server.writer.close();
    });
}

TEST_F(FaultySockets, the_faults_are_those_of_connections_in_memory) {
    EXPECT_EQ(sent("abcdefgh", {.read_max = 3, .bytes_per_second = 3}), "abc def gh end@2");
    EXPECT_EQ(sent("abc", {.latency = 2s}), "abc end@2");
    EXPECT_EQ(sent("abcdef", {.read_max = 2, .bytes_per_second = 2}), "ab cd ef end@3");
    EXPECT_EQ(sent("abcdef", {.cut_after = 4, .cut = Cut::eof}), "abcd end");
}

TEST_F(FaultySockets, a_reset_comes_from_the_kernel) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await connect({.to_server = {.cut_after = 3}});
        client.writer.write("abcdef");
        for (const auto& end : {client, server}) {
            try {
                co_await asyncio::StreamReader(end.reader).read();
                ADD_FAILURE() << "no error";
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code(), std::errc::connection_reset);
            }
        }
    });
}

TEST_F(FaultySockets, after_a_silent_cut_nothing_arrives) {
    run([&]() -> Coro<void> {
        auto [client, server] =
            co_await connect({.to_server = {.cut_after = 3, .cut = Cut::silence}});
        client.writer.write("abcdef");
        client.writer.close();
        EXPECT_EQ(co_await server.reader.readexactly(3), "abc");
        EXPECT_TRUE(co_await waits_for_ever(server.reader.read(1)));
        server.writer.close();
    });
}

TEST_F(FaultySockets, a_sender_waits_for_a_reader_that_does_not_read) {
    run([&]() -> Coro<void> {
        auto [client, server] = co_await connect({.to_server = {.capacity = 1000}});
        const std::string much(std::size_t{16} << 20, 'x');
        server.writer.transport().pause_reading();
        client.writer.write(much);
        EXPECT_TRUE(co_await waits_for_ever(client.writer.drain()));
        server.writer.transport().resume_reading();
        client.writer.close();
        EXPECT_EQ((co_await server.reader.read()).size(), much.size());
        server.writer.close();
    });
}

TEST_F(FaultySockets, the_relay_ends_with_the_connection) {
    const auto descriptors = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    run([&]() -> Coro<void> {
        const auto before = descriptors();
        {
            auto [client, server] = co_await faulty_sockets();
            EXPECT_EQ(descriptors(), before + 4);
        }
        co_await turns(20);
        EXPECT_EQ(descriptors(), before);
    });
}

}  // namespace
