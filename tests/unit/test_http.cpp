// What a fetch sends and what it makes of the answer.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include "http_server.hpp"

#include <gtest/gtest.h>

using namespace std::chrono_literals;
using namespace http_tests;
using asyncio::Coro;
namespace http = asyncio::http;

TEST(Http, returns_status_headers_and_body) {
    HttpServer server(raw("HTTP/1.1 404 Not Here\r\nX-One: 1\r\nset-cookie: a\r\nSet-Cookie: b\r\n"
                          "Empty:\r\nContent-Length: 5\r\n\r\nhello"));
    const auto response = asyncio::run(http::fetch(server.url("/a?b=c#d")));
    EXPECT_EQ(response.status, 404);
    EXPECT_FALSE(response.ok());
    EXPECT_EQ(response.reason, "Not Here");
    EXPECT_EQ(response.http_version, "1.1");
    EXPECT_EQ(response.body, "hello");
    EXPECT_EQ(response.body_size, 5u);
    EXPECT_EQ(response.url, server.url("/a?b=c"));
    EXPECT_TRUE(response.history.empty());
    EXPECT_EQ(response.headers.get("x-ONE"), "1");
    EXPECT_EQ(response.headers.get("absent", "fallback"), "fallback");
    EXPECT_TRUE(response.headers.contains("EMPTY"));
    EXPECT_EQ(response.headers.getall("Set-Cookie"), (std::vector<std::string_view>{"a", "b"}));
    EXPECT_EQ(response.headers.begin()->first, "X-One");
    EXPECT_GT(response.timings.total, 0s);
    EXPECT_GT(response.timings.first_byte, 0s);
    EXPECT_THROW(response.raise_for_status(), http::Error);
}

TEST(Http, sends_what_the_request_says) {
    std::string head;
    std::string body;
    HttpServer server([&](ServedConnection& connection) {
        const auto request = connection.read_request();
        head = request->head;
        body = request->body;
        connection.answer("");
    });
    asyncio::run([](std::string url) -> Coro<void> {
        co_await http::fetch(http::Request(url)
                                 .method("PATCH")
                                 .header("X-Token", "abc")
                                 .header("X-Empty", "")
                                 .body(std::string("zero\0byte", 9)));
    }(server.url("/p q/%41?x=1 2")));
    EXPECT_EQ(head.substr(0, head.find('\r')), "PATCH /p%20q/%41?x=1+2 HTTP/1.1");
    EXPECT_NE(head.find("X-Token: abc\r\n"), std::string::npos) << head;
    EXPECT_NE(head.find("X-Empty:\r\n"), std::string::npos) << head;
    EXPECT_NE(head.find("User-Agent: asyncio-cpp/"), std::string::npos) << head;
    EXPECT_NE(head.find("Accept-Encoding: "), std::string::npos) << head;
    EXPECT_EQ(head.find("Content-Type"), std::string::npos) << head;
    EXPECT_EQ(head.find("Expect"), std::string::npos) << head;
    EXPECT_EQ(body, std::string("zero\0byte", 9));
}

TEST(Http, a_body_makes_it_a_post_and_a_head_has_none) {
    std::vector<std::string> methods;
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            methods.push_back(request->method());
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
            if (request->method() != "HEAD") {
                connection.write("abc");
            }
        }
    });
    asyncio::run([](std::string url) -> Coro<void> {
        EXPECT_EQ((co_await http::fetch(http::Request(url).body(""))).body, "abc");
        const auto head = co_await http::fetch(http::Request(url).method("HEAD"));
        EXPECT_EQ(head.headers.get("content-length"), "3");
        EXPECT_EQ(head.body, "");
        EXPECT_EQ((co_await http::fetch(url)).body, "abc");
    }(server.url()));
    EXPECT_EQ(methods, (std::vector<std::string>{"POST", "HEAD", "GET"}));
    EXPECT_EQ(server.accepted(), 1);
}

TEST(Http, a_head_request_cannot_have_a_body) {
    EXPECT_THROW(
        asyncio::run(http::fetch(http::Request("http://127.0.0.1:1/").method("HEAD").body("x"))),
        asyncio::ValueError);
}

TEST(Http, the_answer_to_head_may_announce_more_than_the_limit) {
    HttpServer server(raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"));
    const auto response =
        asyncio::run(http::fetch(http::Request(server.url()).method("HEAD").max_size(1000)));
    EXPECT_EQ(response.headers.get("Content-Length"), "1000000");
    HttpServer unchanged(raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000000\r\n\r\n"));
    EXPECT_EQ(asyncio::run(http::fetch(http::Request(unchanged.url()).max_size(1000))).status, 304);
}

TEST(Http, a_field_of_blanks_is_sent_empty) {
    std::string head;
    HttpServer server([&](ServedConnection& connection) {
        head = connection.read_request()->head;
        connection.answer("");
    });
    asyncio::run(http::fetch(http::Request(server.url()).header("X-Blank", " \t ")));
    EXPECT_NE(head.find("X-Blank:\r\n"), std::string::npos) << head;
}

TEST(Http, a_reason_is_cut_between_two_characters) {
    std::string reason;
    for (int i = 0; i < 10'000; ++i) {
        reason += "\xe2\x82\xac";
    }
    HttpServer server(raw("HTTP/1.1 500 " + reason + "\r\nContent-Length: 0\r\n\r\n"));
    const auto response = asyncio::run(http::fetch(server.url()));
    EXPECT_EQ(response.reason, reason.substr(0, 198) + "...");
}

TEST(Http, refuses_fields_that_would_smuggle) {
    EXPECT_THROW(http::Request("http://h/").header("X", "a\r\nEvil: b"), asyncio::ValueError);
    EXPECT_THROW(http::Request("http://h/").header("X: y", "a"), asyncio::ValueError);
    EXPECT_THROW(http::Request("http://h/").header("", "a"), asyncio::ValueError);
    EXPECT_THROW(http::Request("http://h/").method("GET / HTTP/1.1\r\n"), asyncio::ValueError);
    http::Headers headers;
    EXPECT_THROW(headers.set("X", std::string("a\0b", 3)), asyncio::ValueError);
    headers.add("A", "1");
    headers.add("a", "2");
    headers.set("A", "3");
    EXPECT_EQ(headers.size(), 1u);
    EXPECT_EQ(headers.erase("a"), 1u);
    EXPECT_TRUE(headers.empty());
}

TEST(Http, connections_are_used_again) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ((co_await http::fetch(server.url())).status, 200);
        }
        EXPECT_EQ(server.accepted(), 1);
        http::Client client;
        EXPECT_EQ((co_await client.fetch(server.url())).status, 200);
        EXPECT_EQ(server.accepted(), 2);
    }(server));
}

TEST(Http, a_connection_that_the_server_closed_meanwhile_is_no_error) {
    HttpServer server([](ServedConnection& connection) {
        connection.read_request();
        connection.answer("once");
    });
    asyncio::run([](HttpServer& server) -> Coro<void> {
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ((co_await http::fetch(server.url())).body, "once");
        }
        EXPECT_EQ(server.accepted(), 5);
    }(server));
}

TEST(Http, interim_answers_and_trailers_do_not_count_as_the_answer) {
    HttpServer server(raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n0\r\nLocation: /evil\r\n\r\n"));
    const auto response = asyncio::run(http::fetch(server.url()));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "abc");
    EXPECT_FALSE(response.headers.contains("Link"));
    EXPECT_FALSE(response.headers.contains("Location"));
    EXPECT_EQ(response.headers.get("A"), "1 folded");
}

TEST(Http, a_thousand_at_once_come_back_in_order_and_keep_to_the_limit) {
    std::atomic<int> most = 0;
    HttpServer* self = nullptr;
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            most = std::max<int>(most, self->active());
            connection.answer(request->target());
        }
    });
    self = &server;
    asyncio::run([](HttpServer& server) -> Coro<void> {
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.push_back(asyncio::create_task(http::fetch, server.url("/" + std::to_string(i))));
        }
        const auto responses = co_await asyncio::gather(tasks);
        for (std::size_t i = 0; i < responses.size(); ++i) {
            EXPECT_EQ(responses[i].body, "/" + std::to_string(i));
        }
    }(server));
    EXPECT_LE(most, 100);
    EXPECT_LE(server.accepted(), 100);
}

TEST(Http, the_limit_per_host_holds_and_lets_other_hosts_pass) {
    std::atomic<int> most = 0;
    std::latch other_has_answered(1);
    HttpServer* self = nullptr;
    HttpServer busy([&](ServedConnection& connection) {
        while (connection.read_request()) {
            most = std::max<int>(most, self->active());
            other_has_answered.wait();
            connection.answer("busy");
        }
    });
    self = &busy;
    HttpServer other(always("other"));
    asyncio::run([](HttpServer& busy, HttpServer& other, std::latch& answered) -> Coro<void> {
        http::ClientOptions options;
        options.limit_per_host = 3;
        http::Client client(options);
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 60; ++i) {
            tasks.push_back(asyncio::create_task(client.fetch(busy.url())));
        }
        tasks.push_back(asyncio::create_task(client.fetch(other.url())));
        co_await tasks.back();
        EXPECT_FALSE(tasks[0].done());
        answered.count_down();
        co_await asyncio::gather(tasks);
    }(busy, other, other_has_answered));
    EXPECT_LE(most, 3);
    EXPECT_LE(busy.accepted(), 3);
}

TEST(Http, a_client_needs_a_loop_and_a_limit) {
    EXPECT_THROW(http::Client(), asyncio::RuntimeError);
    asyncio::run([]() -> Coro<void> {
        http::ClientOptions options;
        options.limit = 0;
        EXPECT_THROW(http::Client(std::move(options)), asyncio::ValueError);
        co_return;
    }());
}

TEST(Http, works_on_a_virtual_clock) {
    HttpServer server(always("real"));
    asyncio::testing::VirtualClock clock;
    asyncio::RunOptions options;
    options.loop_factory = [&clock] { return asyncio::new_event_loop({.clock = &clock}); };
    const auto response = asyncio::run(http::fetch(server.url()), options);
    EXPECT_EQ(response.body, "real");
    EXPECT_EQ(clock.seconds(), 0);
}
