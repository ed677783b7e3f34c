// TLS over connections that deliver in pieces, late, or not to the end: an error, and no hang.
#include <asyncio/asyncio.hpp>
#include <asyncio/testing/memory_streams.hpp>

#include "loop_fixture.hpp"
#include "random_seed.hpp"
#include "ssl_fixture.hpp"

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::StreamPair;
using asyncio::testing::Cut;
using asyncio::testing::Faults;
using asyncio::testing::FaultyLink;

namespace {

constexpr const char* request = "a request\n";
constexpr std::size_t answer_size = 50000;

// How long an end waits for the other in silence; TLS itself has limits only for how it begins and
// ends.
constexpr auto patience = 10min;

// What an end came to: "good", or the name of its error.
template <class F>
Coro<std::string> outcome(F function) {
    try {
        co_await asyncio::timeout(patience, function);
        co_return "good";
    } catch (...) {
        const std::string text = asyncio::describe_exception(std::current_exception());
        co_return text.substr(0, text.find(':'));
    }
}

const std::pair<std::string, std::string> good{"good", "good"};

class TlsFaults : public ssl_tests::SslTest {
protected:
    // A conversation: a handshake, a request, an answer, the end from both sides. Returns what both
    // came to.
    std::pair<std::string, std::string> talk(const FaultyLink& link) {
        SCOPED_TRACE("to_server " + link.to_server.str() + ", to_client " + link.to_client.str());
        return loop->run_until_complete(
            loop->create_task([&]() -> Coro<std::pair<std::string, std::string>> {
                auto [client, server] = co_await asyncio::testing::memory_streams(link);
                auto [one, two] = co_await asyncio::gather(ask(client), answer(server));
                client.writer.close();
                server.writer.close();
                co_return std::pair(one, two);
            }));
    }

    Coro<std::string> ask(StreamPair streams) {
        return outcome([this, streams]() mutable -> Coro<void> {
            auto& [reader, writer] = streams;
            co_await writer.start_tls(client_, {.server_hostname = "localhost"});
            writer.write(request);
            const std::string text = co_await reader.read();
            EXPECT_EQ(text, std::string(answer_size, 'x'));
            writer.close();
            co_await writer.wait_closed();
        });
    }
    Coro<std::string> answer(StreamPair streams) {
        return outcome([this, streams]() mutable -> Coro<void> {
            auto& [reader, writer] = streams;
            co_await writer.start_tls(server_, {.server_side = true});
            EXPECT_EQ(co_await reader.readline(), request);
            writer.write(std::string(answer_size, 'x'));
            co_await writer.drain();
            writer.close();
            co_await writer.wait_closed();
        });
    }

    const std::shared_ptr<ssl_tests::ssl::Context> client_ = client_context();
    const std::shared_ptr<ssl_tests::ssl::Context> server_ = server_context();
    asyncio::testing::VirtualClock clock;
    std::vector<asyncio::ErrorContext> reports;
    asyncio::EventLoopPtr loop = make_virtual_loop(clock, reports);
};

TEST_F(TlsFaults, start_tls_works_over_memory) {
    EXPECT_EQ(talk({}), good);
    EXPECT_EQ(clock.seconds(), 0);
}

TEST_F(TlsFaults, pieces_and_delays_change_nothing) {
    EXPECT_EQ(talk({.to_server = {.read_max = 1}, .to_client = {.write_max = 7}}), good);
    EXPECT_EQ(talk({.to_server = {.latency = 1s}, .to_client = {.bytes_per_second = 50000}}), good);
    EXPECT_EQ(talk({.to_server = {.capacity = 1}, .to_client = {.seed = 1}}), good);
}

TEST_F(TlsFaults, wherever_a_link_is_cut_both_ends_hear_of_it_in_time) {
    for (const Cut cut : {Cut::reset, Cut::eof, Cut::silence}) {
        for (std::size_t after = 0; after < 50000; after += 1 + after / 4) {
            const Faults faults{.cut_after = after, .cut = cut};
            for (const FaultyLink& link :
                 {FaultyLink{.to_server = faults}, FaultyLink{.to_client = faults}}) {
                const double begin = clock.seconds();
                const auto [client, server] = talk(link);
                // The client sends so much at least, and the server more than any cut.
                const bool is_cut = link.to_client.cut_after || after < 300;
                EXPECT_TRUE(!is_cut || client != "good" || server != "good")
                    << link.to_server.str() << link.to_client.str();
                // At last the end that is left alone says good-bye for half a minute.
                EXPECT_LE(clock.seconds() - begin, 10 * 60 + 31);
            }
        }
    }
}

TEST_F(TlsFaults, whatever_goes_wrong_it_ends_with_an_error_or_with_everything) {
    const RandomSeed seed;
    for (std::uint64_t round = 0; round < 100; ++round) {
        FaultyLink link{.to_server = Faults::random(seed.value() + round),
                        .to_client = Faults::random(seed.value() - round - 1)};
        const auto result = talk(link);
        const auto is_fast = [](const Faults& faults) {
            return !faults.cut_after && faults.bytes_per_second == 0 && faults.latency == 0s;
        };
        if (is_fast(link.to_server) && is_fast(link.to_client)) {
            EXPECT_EQ(result, good) << link.to_server.str() << link.to_client.str();
        }
    }
}

}  // namespace
