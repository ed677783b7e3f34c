// What is sent after the handshake, and how it ends.
#include "random_seed.hpp"
#include "ssl/byte_queue.hpp"
#include "ssl_fixture.hpp"

#include <algorithm>
#include <random>

using namespace ssl_tests;
using asyncio::SSLEOFError;
using asyncio::SSLError;
using asyncio::SSLObject;

namespace {

class SslData : public SslTest {
protected:
    Pair connected() const {
        Pair pair(*client_context(), *server_context());
        pair.handshake();
        return pair;
    }

    // How many records `data` has, each with a head of five bytes.
    static std::size_t records(std::string_view data) {
        std::size_t count = 0;
        while (data.size() >= 5) {
            const auto size = static_cast<std::size_t>(static_cast<unsigned char>(data[3]) << 8 |
                                                       static_cast<unsigned char>(data[4]));
            data.remove_prefix(std::min(5 + size, data.size()));
            ++count;
        }
        return count;
    }

    static std::string random_text(std::size_t size) {
        std::mt19937_64 random(size);
        std::string text(size, '\0');
        for (char& letter : text) {
            letter = static_cast<char>(random());
        }
        return text;
    }
};

}  // namespace

TEST_F(SslData, every_small_write_is_one_record) {
    const Pair pair = connected();
    for (const std::size_t size : {1u, 64u, 16384u}) {
        tls::write(*pair.client, std::string(size, 'x'));
        EXPECT_EQ(records(tls::take(*pair.client)), 1u) << size;
    }
    tls::write(*pair.client, "");
    EXPECT_EQ(tls::take(*pair.client), "");
    tls::write(*pair.client, std::string(16385, 'x'));
    EXPECT_EQ(records(tls::take(*pair.client)), 2u);
}

TEST_F(SslData, a_huge_write_is_taken_as_it_can_be_sent) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    const Pair pair = connected();
    const std::string text = random_text(3'000'000);
    std::string received;
    for (std::size_t sent = 0; sent < text.size();) {
        const std::size_t taken =
            pair.client->write(tls::bytes_of(std::string_view(text).substr(sent)));
        sent += taken;
        EXPECT_LE(pair.client->outgoing().size(), (64u << 10) + 16384 + 256);
        EXPECT_TRUE(taken > 0 || pair.client->outgoing().size() >= 64u << 10);
        Pair::deliver(*pair.client, *pair.server, random() % 100'000);
        received += tls::read(*pair.server).text;
    }
    pair.deliver();
    received += tls::read(*pair.server).text;
    EXPECT_TRUE(received == text);
}

TEST_F(SslData, data_arrive_whole_in_random_pieces_both_ways) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    const Pair pair = connected();
    struct Way {
        SSLObject& from;
        SSLObject& to;
        std::string sent;
        std::string received;
    };
    Way ways[]{{*pair.client, *pair.server, {}, {}}, {*pair.server, *pair.client, {}, {}}};
    for (int i = 0; i < 1000; ++i) {
        Way& way = ways[random() % 2];
        const std::string text = random_text(random() % (i % 50 == 0 ? 40'000 : 300));
        way.sent += text.substr(0, way.from.write(tls::bytes_of(text)));
        Pair::deliver(way.from, way.to, random() % 3000);
        way.received += tls::read(way.to).text;
    }
    for (Way& way : ways) {
        Pair::deliver(way.from, way.to, tls::everything());
        way.received += tls::read(way.to).text;
        EXPECT_TRUE(way.received == way.sent);
    }
}

TEST_F(SslData, a_small_buffer_gets_a_record_piece_by_piece) {
    const Pair pair = connected();
    tls::write(*pair.client, "hello");
    pair.deliver();
    std::array<std::byte, 2> buffer;
    std::size_t last = 0;
    std::string sizes;
    while (const auto size = pair.server->read(buffer)) {
        last = *size;
        sizes += std::to_string(last);
    }
    EXPECT_EQ(sizes, "221");
}

TEST_F(SslData, nothing_can_be_written_before_the_handshake) {
    const Pair pair(*client_context(), *server_context());
    EXPECT_ERROR(asyncio::RuntimeError, pair.client->write(tls::bytes_of("x")), "do_handshake");
    pair.handshake();
}

TEST_F(SslData, an_announced_end_comes_after_the_data) {
    const Pair pair = connected();
    tls::write(*pair.client, "last words");
    EXPECT_FALSE(pair.client->unwrap()) << "the peer has not answered";
    pair.deliver();
    const tls::Read got = tls::read(*pair.server);
    EXPECT_EQ(got.text, "last words");
    EXPECT_TRUE(got.ended);
    EXPECT_TRUE(tls::read(*pair.server).ended) << "and again";
    // The other way is still open.
    tls::write(*pair.server, "answer");
    pair.deliver();
    EXPECT_EQ(tls::read(*pair.client).text, "answer");
    EXPECT_TRUE(pair.server->unwrap());
    pair.deliver();
    EXPECT_TRUE(pair.client->unwrap());
    EXPECT_EQ(tls::take(*pair.client), "") << "close_notify is sent once";
    EXPECT_ERROR(SSLError, pair.client->write(tls::bytes_of("x")), "after unwrap()");
}

TEST_F(SslData, both_may_end_at_once) {
    const Pair pair = connected();
    EXPECT_FALSE(pair.client->unwrap());
    EXPECT_FALSE(pair.server->unwrap());
    pair.deliver();
    EXPECT_TRUE(pair.client->unwrap());
    EXPECT_TRUE(pair.server->unwrap());
}

TEST_F(SslData, unwrap_throws_away_what_nobody_reads) {
    const Pair pair = connected();
    tls::write(*pair.server, random_text(50'000));
    EXPECT_FALSE(pair.client->unwrap());
    pair.deliver();
    EXPECT_FALSE(pair.client->unwrap());
    tls::write(*pair.server, "more");
    EXPECT_TRUE(tls::read(*pair.server).ended);
    EXPECT_TRUE(pair.server->unwrap());
    pair.deliver();
    EXPECT_TRUE(pair.client->unwrap());
    EXPECT_TRUE(tls::read(*pair.client).ended);
}

TEST_F(SslData, an_end_that_nobody_announced_is_an_error_after_the_data) {
    const Pair pair = connected();
    tls::write(*pair.client, "first");
    tls::write(*pair.client, "second");
    const std::string sent = tls::take(*pair.client);
    tls::feed(*pair.server, tls::bytes_of(sent).first(sent.size() - 1));
    pair.server->feed_eof();
    std::array<std::byte, 100> buffer;
    EXPECT_EQ(pair.server->read(buffer), 5u);
    EXPECT_ERROR(SSLEOFError, pair.server->read(buffer), "without the peer's close_notify");
    EXPECT_ERROR(SSLEOFError, pair.server->unwrap(), "EOF occurred in violation of protocol");
}

TEST_F(SslData, an_end_after_close_notify_is_clean) {
    const Pair pair = connected();
    pair.client->unwrap();
    pair.deliver();
    pair.server->feed_eof();
    EXPECT_TRUE(tls::read(*pair.server).ended);
    EXPECT_TRUE(pair.server->unwrap());
}

TEST_F(SslData, a_changed_record_is_an_error_for_good) {
    const Pair pair = connected();
    tls::write(*pair.client, "hello");
    std::string sent = tls::take(*pair.client);
    sent.back() = static_cast<char>(sent.back() ^ 1);
    tls::feed(*pair.server, tls::bytes_of(sent));
    std::array<std::byte, 100> buffer;
    EXPECT_ERROR(SSLError, pair.server->read(buffer), "damaged or changed on the way");
    EXPECT_ERROR(SSLError, pair.server->read(buffer), "damaged or changed on the way");
    EXPECT_ERROR(SSLError, pair.server->write(buffer), "damaged or changed on the way");
    EXPECT_FALSE(pair.server->outgoing().empty()) << "the alert";
    pair.deliver();
    EXPECT_ERROR(SSLError, pair.client->read(buffer), "bad record mac");
}

TEST_F(SslData, garbage_between_records_is_no_sign_of_another_protocol) {
    const Pair pair = connected();
    tls::feed(*pair.server, tls::bytes_of("HTTP/1.1 200 OK"));
    EXPECT_ERROR(SSLError, tls::read(*pair.server), "damaged or changed on the way");
}

TEST(SslByteQueue, gives_what_it_got) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    asyncio::ssl::detail::ByteQueue queue;
    std::string expected;
    for (int i = 0; i < 5'000; ++i) {
        const std::size_t size = random() % (random() % 100 == 0 ? 50'000 : 200);
        if (random() % 2 == 0) {
            const std::string text(size, static_cast<char>('a' + i % 26));
            queue.append(tls::bytes_of(text));
            expected += text;
        } else {
            const std::size_t taken = std::min(size, queue.size());
            queue.consume(taken);
            expected.erase(0, taken);
        }
        ASSERT_TRUE(std::ranges::equal(queue.data(), tls::bytes_of(expected)));
    }
}
