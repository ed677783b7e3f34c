// A connection from its beginning to its end, with every function that waits, and either of its
// ends cancelled at every step.
#include <asyncio/servers.hpp>
#include <asyncio/testing/gtest.hpp>

#include "coordination_fixture.hpp"
#include "outcome.hpp"
#include "process_fixture.hpp"
#include "socket_pairs.hpp"

#include <array>

using asyncio::Coro;
using asyncio::Server;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

// More than a socket and the limit of a stream's buffer hold, so that `drain` waits.
constexpr std::size_t bulk = 4'000'000;

Coro<void> answer(StreamReader reader, StreamWriter writer) {
    const std::string name = co_await reader.readline();
    writer.write("hello, " + name);
    co_await reader.readexactly(bulk);
    writer.write("thanks;");
    co_await writer.drain();
    co_await reader.read();  // the end
    writer.write(std::string(bulk, 'y'));
    co_await writer.drain();
    writer.close();
    co_await writer.wait_closed();
}

Coro<void> ask(const Server& server) {
    auto [reader, writer] =
        co_await asyncio::open_connection("127.0.0.1", server.sockets().at(0).port());
    writer.write("you\n");
    co_await reader.readline();
    writer.write(std::string(bulk, 'x'));
    co_await writer.drain();
    co_await reader.readuntil(";");
    writer.write_eof();
    std::array<std::byte, 10> first{};
    co_await reader.read_into(first);
    co_await reader.read();
    writer.close();
    co_await writer.wait_closed();
}

class ConnectionLife : public Coordination {
protected:
    // Cancels one end after so many turns; returns whether that came too late.
    enum class Victim { client, server };
    Coro<bool> cancel_after(int steps, Victim victim) {
        asyncio::Task<void> serving;
        Server server = co_await asyncio::start_server(
            [&serving](StreamReader reader, StreamWriter writer) -> Coro<void> {
                serving = asyncio::create_task(answer, std::move(reader), std::move(writer));
                co_return;
            },
            "127.0.0.1", 0);
        auto asking = asyncio::create_task(ask(server));
        co_await socket_tests::turns(steps);
        asyncio::Task<void> cancelled = victim == Victim::client ? asking : serving;
        const bool finished = cancelled ? !cancelled.cancel() : false;
        if (victim == Victim::server && !serving) {
            asking.cancel();  // nobody to be cancelled yet
        }
        co_await outcome(asking);
        server.close();
        co_await server.wait_closed();
        if (serving) {
            co_await outcome(serving);
        }
        co_return finished;
    }
};

TEST_F(ConnectionLife, either_end_may_be_cancelled_at_any_step) {
    run([&]() -> Coro<void> {
        for (const Victim victim : {Victim::client, Victim::server}) {
            co_await cancel_after(0, victim);  // what is made once is there
            const std::size_t watched = socket_tests::watched();
            const std::set<int> open = open_descriptors();
            int steps = 0;
            for (bool finished = false; !finished; ++steps) {
                finished = co_await cancel_after(steps, victim);
                co_await socket_tests::turns_until([&] { return open_descriptors() == open; });
                EXPECT_EQ(open_descriptors(), open) << "cancelled after " << steps;
                EXPECT_EQ(socket_tests::watched(), watched) << "cancelled after " << steps;
                if (HasFailure()) {
                    co_return;
                }
            }
            EXPECT_GT(steps, 10);
        }
    });
}

}  // namespace
