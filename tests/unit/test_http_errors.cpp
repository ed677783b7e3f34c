// Servers that misbehave, and what the errors say about them.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include "http_server.hpp"
#include "sanitizers.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

using namespace std::chrono_literals;
using namespace http_tests;
using asyncio::Coro;
namespace http = asyncio::http;

namespace {

http::Error failure_of(http::Request request) {
    try {
        const auto response = asyncio::run(http::fetch(std::move(request)));
        ADD_FAILURE() << "no error but status " << response.status;
    } catch (const http::Error& error) {
        return error;
    } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
    }
    return {http::ErrorKind::closed, "", ""};
}

void expect_failure(http::Request request, http::ErrorKind kind, const std::string& text) {
    const auto error = failure_of(std::move(request));
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(error.problem().find(text), std::string::npos) << error.what();
}

// Deflate of zeros: after one literal, matches of 258 bytes in 13 bits each.
std::string gzip_bomb(std::size_t compressed_size) {
    std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    unsigned bits = 0;
    int count = 0;
    const auto put = [&](const std::string& code) {
        for (const char bit : code) {
            bits |= (bit == '1' ? 1u : 0u) << count;
            if (++count == 8) {
                out += static_cast<char>(bits);
                bits = 0;
                count = 0;
            }
        }
    };
    put("110");       // the last block, with fixed codes
    put("00110000");  // a zero byte
    while (out.size() < compressed_size) {
        put("11000101"
            "00000");  // length 258, distance 1
    }
    return out;
}

}  // namespace

TEST(HttpErrors, bad_urls_are_refused_with_a_reason) {
    using enum http::ErrorKind;
    expect_failure("example.com", bad_url, "no scheme: write it as http://");
    expect_failure("", bad_url, "no scheme");
    expect_failure("localhost:8080/x", bad_url, "no scheme");
    expect_failure("javascript:alert(1)", bad_url, "'javascript' is not supported");
    expect_failure("http:host/x", bad_url, "no '//'");
    expect_failure("ftp://example.com/", bad_url, "'ftp' is not supported");
    expect_failure("file:///etc/passwd", bad_url, "'file' is not supported");
    expect_failure("http://", bad_url, "cannot be read");
    expect_failure("http://host:99999/", bad_url, "Port");
    expect_failure("http://ho st/", bad_url, "cannot be read");
    expect_failure("http://a\nb/", bad_url, "cannot be read");
    expect_failure(std::string("http://h/\0x", 11), bad_url, "");
    expect_failure("http://[::1/", bad_url, "cannot be read");
    expect_failure("http://\xff\xfe/", bad_url, "no valid name");
    const auto error = failure_of("bad\x1b[31m://");
    EXPECT_EQ(error.url().find('\x1b'), std::string::npos);
    EXPECT_EQ(failure_of("http://user:pass@host:99999/").url(), "'http://host:99999/'");
}

TEST(HttpErrors, text_from_outside_does_nothing_to_a_terminal) {
    // In turn: CSI as one byte and as a character, a change of direction, half a character.
    const std::string evil = "\x9b"
                             "31m \xc2\x9b"
                             "31m \xe2\x80\xae \xe2\x81\xa6 \xe2\x82 \xc3\xbc";
    EXPECT_EQ(failure_of("x" + evil).url(), "'x?31m ?31m ? ? ?? \xc3\xbc'");
    HttpServer server(raw("HTTP/1.1 302 Found\r\nLocation: ftp://x/" + evil + "\r\n\r\n"));
    const std::string text = failure_of(server.url()).what();
    EXPECT_NE(text.find("'ftp://x/?31m ?31m ? ? ?? \xc3\xbc'"), std::string::npos) << text;
    HttpServer refusing(raw("HTTP/1.1 500 " + evil + "\r\nContent-Length: 0\r\n\r\n"));
    try {
        asyncio::run(http::fetch(refusing.url())).raise_for_status();
        ADD_FAILURE();
    } catch (const http::Error& error) {
        EXPECT_EQ(error.problem(), "the server answered 500 ?31m ?31m ? ? ?? \xc3\xbc");
    }
}

TEST(HttpErrors, a_refused_port) {
    HttpServer closed(nullptr, 0);
    int port = 0;
    {
        HttpServer gone(raw(""));
        port = gone.port();
    }
    const std::string url = "http://127.0.0.1:" + std::to_string(port) + "/";
    expect_failure(url, http::ErrorKind::cannot_connect, "connection refused: check");
    EXPECT_EQ(failure_of(url).url(), url);
}

TEST(HttpErrors, garbage_instead_of_http) {
    HttpServer server(raw("SSH-2.0-OpenSSH_9.2\r\nwhat?\r\n\r\n"));
    expect_failure(server.url(), http::ErrorKind::bad_response, "no valid HTTP");
    HttpServer binary(raw(std::string("\x16\x03\x01\0\0\xff\xfe\0", 8)));
    expect_failure(binary.url(), http::ErrorKind::bad_response, "");
    HttpServer status(raw("HTTP/1.1 abc OK\r\n\r\n"));
    expect_failure(status.url(), http::ErrorKind::bad_response, "");
}

TEST(HttpErrors, a_connection_that_ends_early) {
    using enum http::ErrorKind;
    HttpServer silent(raw(""));
    expect_failure(silent.url(), bad_response, "closed the connection without an answer");
    HttpServer rude([](ServedConnection& connection) {
        connection.read_request();
        connection.reset();
    });
    expect_failure(rude.url(), bad_response, "broke");
    HttpServer in_head(raw("HTTP/1.1 200 OK\r\nContent-Le"));
    expect_failure(in_head.url(), bad_response, "");
    HttpServer in_body(raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"));
    expect_failure(in_body.url(), bad_response, "before the answer was complete");
    HttpServer in_chunk(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"));
    expect_failure(in_chunk.url(), bad_response, "before the answer was complete");
    HttpServer bad_chunk(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"));
    expect_failure(bad_chunk.url(), bad_response, "does not come in chunks");
    HttpServer upgrade(raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nbla"));
    expect_failure(upgrade.url(), bad_response, "switches to another protocol");
}

TEST(HttpErrors, a_body_longer_than_announced_is_cut_there) {
    HttpServer server(raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 500 Evil\r\n"));
    const auto response = asyncio::run(http::fetch(server.url()));
    EXPECT_EQ(response.body, "body");
}

TEST(HttpErrors, too_many_headers) {
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 10'000; ++i) {
        head += "A: b\r\n";
    }
    HttpServer server(raw(head + "\r\n"));
    expect_failure(server.url(), http::ErrorKind::too_large, "more than 256 header fields");
    HttpServer endless([](ServedConnection& connection) {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\n");
        while (connection.write("X: " + std::string(8000, 'x') + "\r\n")) {
        }
    });
    expect_failure(endless.url(), http::ErrorKind::too_large, "65536 bytes of header fields");
    HttpServer interim([](ServedConnection& connection) {
        connection.read_request();
        while (connection.write("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n")) {
        }
    });
    expect_failure(interim.url(), http::ErrorKind::too_large, "header fields");
}

TEST(HttpErrors, a_header_line_without_end) {
    HttpServer server([](ServedConnection& connection) {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\nX: ");
        while (connection.write(std::string(8192, 'x'))) {
        }
    });
    expect_failure(server.url(), http::ErrorKind::too_large, "header");
}

TEST(HttpErrors, a_body_over_the_limit) {
    using enum http::ErrorKind;
    HttpServer announced(raw("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"));
    expect_failure(http::Request(announced.url()).max_size(1000), too_large, "limit of 1000 bytes");
    HttpServer endless([](ServedConnection& connection) {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\n\r\n");
        while (connection.write(std::string(8192, 'x'))) {
        }
    });
    expect_failure(http::Request(endless.url()).max_size(100'000), too_large, "100000 bytes");
    HttpServer exact(always(std::string(1000, 'x')));
    const auto response = asyncio::run(http::fetch(http::Request(exact.url()).max_size(1000)));
    EXPECT_EQ(response.body_size, 1000u);
    HttpServer empty(always(""));
    EXPECT_EQ(asyncio::run(http::fetch(http::Request(empty.url()).max_size(0))).status, 200);
    HttpServer one(always("x"));
    expect_failure(http::Request(one.url()).max_size(0), too_large, "limit of 0 bytes");
}

TEST(HttpErrors, a_gzip_bomb_is_stopped_after_decompression) {
    const std::string bomb = gzip_bomb(100'000);
    HttpServer server(always(bomb, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"));
    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    expect_failure(http::Request(server.url()).max_size(1 << 20), http::ErrorKind::too_large,
                   "limit of 1048576 bytes");
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 32 << 10) << "KiB";
    std::uint64_t size = 0;
    try {
        asyncio::run(http::fetch(http::Request(server.url())
                                     .max_size(10 << 20)
                                     .sink([&size](const http::Response&, std::string_view piece) {
                                         size += piece.size();
                                     })));
        ADD_FAILURE();
    } catch (const http::Error& error) {
        EXPECT_EQ(error.kind(), http::ErrorKind::too_large);
    }
    EXPECT_LE(size, 10u << 20);
    EXPECT_GT(size, 9u << 20);
}

TEST(HttpErrors, a_body_that_is_not_compressed_as_it_says) {
    HttpServer server(always("plain", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"));
    expect_failure(server.url(), http::ErrorKind::bad_response, "not compressed as its header");
}

TEST(HttpErrors, no_descriptor_left) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    HttpServer server(always("x"));
    const auto error = asyncio::run([](std::string url) -> Coro<http::Error> {
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        http::Client client;
        rlimit tight = before;
        tight.rlim_cur = 64;
        ::setrlimit(RLIMIT_NOFILE, &tight);
        std::vector<int> fillers;
        for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
            fillers.push_back(fd);
        }
        std::optional<http::Error> error;
        try {
            co_await client.fetch(url);
        } catch (const http::Error& caught) {
            error = caught;
        }
        for (const int fd : fillers) {
            ::close(fd);
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
        EXPECT_TRUE(error);
        EXPECT_EQ((co_await client.fetch(url)).status, 200);
        co_return *error;
    }(server.url()));
    EXPECT_EQ(error.kind(), http::ErrorKind::cannot_connect);
    EXPECT_NE(error.problem().find("ulimit -n"), std::string::npos) << error.what();
}

TEST(HttpErrors, a_client_that_is_closed) {
    // It accepts nothing: its own descriptors would be counted, too.
    HttpServer server(nullptr);
    asyncio::run([](std::string url) -> Coro<void> {
        const std::size_t before = open_descriptors();
        std::optional<http::Client> client(std::in_place);
        const auto task = asyncio::create_task(client->fetch(url));
        const auto waiting = asyncio::create_task(client->fetch(url));
        for (int i = 0; i < 10; ++i) {
            co_await asyncio::sleep(0);
        }
        auto late = client->fetch(url);
        client.reset();
        const auto outcomes =
            co_await asyncio::gather(asyncio::return_exceptions, task, waiting, std::move(late));
        EXPECT_EQ(open_descriptors(), before);
        const auto check = [](const asyncio::Outcome<http::Response>& outcome) {
            try {
                (void)outcome.value();
                ADD_FAILURE();
            } catch (const http::Error& error) {
                EXPECT_EQ(error.kind(), http::ErrorKind::closed) << error.what();
            }
        };
        check(std::get<0>(outcomes));
        check(std::get<1>(outcomes));
        check(std::get<2>(outcomes));
    }(server.url()));
}

TEST(HttpErrors, a_client_may_outlive_its_loop) {
    HttpServer server(always("x"));
    std::optional<http::Client> client;
    asyncio::run([](std::optional<http::Client>& client, std::string url) -> Coro<void> {
        client.emplace();
        EXPECT_EQ((co_await client->fetch(url)).status, 200);
    }(client, server.url()));
    client->close();
    EXPECT_THROW(asyncio::run(client->fetch(server.url())), http::Error);
}
