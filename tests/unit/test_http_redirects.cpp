// Where redirects lead, what goes along, and where they end.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include "http_server.hpp"

#include <gtest/gtest.h>

using namespace http_tests;
using asyncio::Coro;
namespace http = asyncio::http;

namespace {

std::string redirect_to(std::string_view target, std::string_view status = "302 Found") {
    return "HTTP/1.1 " + std::string(status) + "\r\nLocation: " + std::string(target) + "\r\n";
}

http::Error failure_of(http::Request request) {
    try {
        asyncio::run(http::fetch(std::move(request)));
    } catch (const http::Error& error) {
        return error;
    }
    ADD_FAILURE() << "no error";
    return {http::ErrorKind::closed, "", ""};
}

// "/302/POST" redirects with that status; everything else answers with the request it got.
HttpServer::Script echo() {
    return [](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            const std::string target = request->target();
            if (target.size() > 4 && target[1] == '3') {
                connection.answer("ignored", redirect_to("/end#part", target.substr(1, 3)));
            } else {
                connection.answer(request->head + "\n" + request->body);
            }
        }
    };
}

}  // namespace

TEST(HttpRedirects, are_followed_and_remembered) {
    HttpServer server([](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (request->target() == "/a/first") {
                connection.answer("body of a redirect", redirect_to("../b?x=1"));
            } else if (request->target() == "/b?x=1") {
                connection.answer("", redirect_to("//127.0.0.1:" + std::string("PORT")));
            }
        }
    });
    HttpServer entry([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (request->target() == "/start") {
                connection.answer("", redirect_to("hop/two", "301 Moved"));
            } else if (request->target() == "/hop/two") {
                connection.answer("", redirect_to("?q", "308 Permanent"));
            } else {
                connection.answer(request->target());
            }
        }
    });
    const auto response = asyncio::run(http::fetch(entry.url("/start")));
    EXPECT_EQ(response.body, "/hop/two?q");
    EXPECT_EQ(response.url, entry.url("/hop/two?q"));
    EXPECT_EQ(response.history,
              (std::vector<std::string>{entry.url("/start"), entry.url("/hop/two")}));
    EXPECT_EQ(entry.accepted(), 1);
}

TEST(HttpRedirects, the_method_and_the_body_go_on_as_the_standard_says) {
    HttpServer server(echo());
    asyncio::run([](HttpServer& server) -> Coro<void> {
        const auto first_line = [&](std::string method, std::string status) -> Coro<std::string> {
            http::Request request(server.url("/" + status + "x"));
            request.method(std::move(method)).body("data").header("Content-Type", "text/plain");
            const auto response = co_await http::fetch(std::move(request));
            const bool has_body = response.body.ends_with("data");
            const bool has_type = response.body.find("Content-Type") != std::string::npos;
            EXPECT_EQ(has_body, has_type);
            co_return response.body.substr(0, response.body.find(' ')) + (has_body ? "+" : "");
        };
        EXPECT_EQ(co_await first_line("POST", "301"), "GET");
        EXPECT_EQ(co_await first_line("POST", "302"), "GET");
        EXPECT_EQ(co_await first_line("POST", "303"), "GET");
        EXPECT_EQ(co_await first_line("POST", "307"), "POST+");
        EXPECT_EQ(co_await first_line("POST", "308"), "POST+");
        EXPECT_EQ(co_await first_line("PUT", "302"), "PUT+");
        EXPECT_EQ(co_await first_line("PUT", "303"), "GET");
        const auto head = co_await http::fetch(http::Request(server.url("/303x")).method("HEAD"));
        EXPECT_EQ(head.history.size(), 1u);
    }(server));
}

TEST(HttpRedirects, credentials_stay_with_their_origin) {
    HttpServer other(echo());
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            const bool away = request->target() == "/away";
            connection.answer("", redirect_to(away ? other.url("/end") : "/end"));
            if (request->target() == "/end") {
                break;
            }
        }
    });
    HttpServer same(echo());
    const auto request = [](std::string url) {
        return http::Request(std::move(url))
            .header("Authorization", "Bearer secret")
            .header("Cookie", "id=secret")
            .header("X-Kept", "yes");
    };
    const auto kept = asyncio::run(http::fetch(request(same.url("/302x"))));
    EXPECT_NE(kept.body.find("Bearer secret"), std::string::npos);
    EXPECT_NE(kept.body.find("id=secret"), std::string::npos);
    const auto sent_on = asyncio::run(http::fetch(request(server.url("/away"))));
    EXPECT_EQ(sent_on.url, other.url("/end"));
    EXPECT_EQ(sent_on.body.find("secret"), std::string::npos) << sent_on.body;
    EXPECT_NE(sent_on.body.find("X-Kept"), std::string::npos);
}

TEST(HttpRedirects, a_password_in_the_url_is_sent_but_never_shown) {
    HttpServer other(echo());
    std::string head;
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            head = request->head;
            connection.answer("", redirect_to(other.url("/end")));
        }
    });
    const std::string url = "http://user:pass@127.0.0.1:" + std::to_string(server.port()) + "/x";
    const auto response = asyncio::run(http::fetch(url));
    EXPECT_NE(head.find("Authorization: Basic dXNlcjpwYXNz"), std::string::npos) << head;
    EXPECT_EQ(response.body.find("Authorization"), std::string::npos) << response.body;
    EXPECT_EQ(response.history, std::vector<std::string>{server.url("/x")});
    const auto error = failure_of("http://user:pass@127.0.0.1:1/");
    EXPECT_EQ(std::string(error.what()).find("pass"), std::string::npos) << error.what();
}

TEST(HttpRedirects, a_loop_is_named) {
    HttpServer server([](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            connection.answer("", redirect_to(request->target() == "/a" ? "/b" : "/a"));
        }
    });
    const auto error = failure_of(server.url("/start"));
    EXPECT_EQ(error.kind(), http::ErrorKind::redirect);
    EXPECT_EQ(error.url(), server.url("/start"));
    EXPECT_EQ(error.problem(), "redirected 20 times, in a loop: " + server.url("/a") + " -> " +
                                   server.url("/b") + " -> " + server.url("/a"));
}

TEST(HttpRedirects, an_endless_chain_ends_at_the_limit) {
    HttpServer server([](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            connection.answer("", redirect_to(request->target() + "x"));
        }
    });
    const auto error = failure_of(http::Request(server.url("/")).max_redirects(3));
    EXPECT_EQ(error.kind(), http::ErrorKind::redirect);
    EXPECT_NE(error.problem().find("redirected more than 3 times"), std::string::npos);
    EXPECT_NE(error.problem().find(server.url("/xxx")), std::string::npos) << error.problem();
    const auto exact = failure_of(http::Request(server.url("/")).max_redirects(100));
    EXPECT_NE(exact.problem().find("-> ... ->"), std::string::npos) << exact.problem();
    const auto none = asyncio::run(http::fetch(http::Request(server.url("/")).max_redirects(0)));
    EXPECT_EQ(none.status, 302);
    EXPECT_EQ(none.headers.get("Location"), "/x");
}

TEST(HttpRedirects, long_urls_are_cut_in_the_text_of_a_loop) {
    const std::string target = "/" + std::string(5000, 'x');
    HttpServer server([&](ServedConnection& connection) {
        while (connection.read_request()) {
            connection.answer("", redirect_to(target));
        }
    });
    const auto error = failure_of(server.url("/start"));
    EXPECT_NE(error.problem().find("in a loop"), std::string::npos);
    EXPECT_LT(error.problem().size(), 1000u);
}

TEST(HttpRedirects, an_empty_target_is_the_same_page) {
    std::vector<std::string> targets;
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            targets.push_back(request->target());
            connection.answer("done", targets.size() == 1 ? "HTTP/1.1 302 Found\r\nLocation:\r\n"
                                                          : "HTTP/1.1 200 OK\r\n");
        }
    });
    asyncio::run(http::fetch(server.url("/a/b?q=1")));
    EXPECT_EQ(targets, (std::vector<std::string>{"/a/b?q=1", "/a/b?q=1"}));
}

TEST(HttpRedirects, their_bodies_are_not_read_to_the_end) {
    std::atomic<std::uint64_t> sent = 0;
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (request->target() == "/end") {
                connection.answer("arrived");
            } else if (request->target() == "/announced") {
                connection.write(redirect_to("/end") + "Content-Length: 999999999\r\n\r\n");
                connection.wait_for_close();
            } else {
                connection.write(redirect_to("/end") + "\r\n");
                while (connection.write(std::string(8192, 'x'))) {
                    sent += 8192;
                }
            }
        }
    });
    for (const std::string path : {"/endless", "/announced"}) {
        const auto response =
            asyncio::run(http::fetch(http::Request(server.url(path)).max_size(7)));
        EXPECT_EQ(response.body, "arrived") << path;
    }
    EXPECT_LT(sent, 16u << 20);  // what the system's buffers take included
}

TEST(HttpRedirects, keep_their_place_in_line) {
    HttpServer other(always("other"));
    HttpServer server([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            const std::string target = request->target();
            connection.answer("", target == "/start"    ? redirect_to("/second")
                                  : target == "/second" ? redirect_to(other.url())
                                                        : "HTTP/1.1 200 OK\r\n");
        }
    });
    asyncio::run([](HttpServer& server, HttpServer& other) -> Coro<void> {
        http::ClientOptions options;
        options.limit = 1;
        http::Client client(options);
        std::vector<int> order;
        const auto numbered = [&](std::string url, int number) -> Coro<void> {
            co_await client.fetch(std::move(url));
            order.push_back(number);
        };
        std::vector<asyncio::Task<void>> tasks;
        tasks.push_back(asyncio::create_task(numbered(server.url("/start"), 0)));
        for (int i = 1; i < 6; ++i) {
            const auto& next = i % 2 == 0 ? server : other;
            tasks.push_back(asyncio::create_task(numbered(next.url("/x"), i)));
        }
        co_await asyncio::gather(tasks);
        EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
    }(server, other));
}

TEST(HttpRedirects, to_each_others_full_hosts_do_not_wait_for_ever) {
    HttpServer* peer = nullptr;
    const auto script = [&peer](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            connection.answer("", request->target() == "/there" ? redirect_to(peer->url("/end"))
                                                                : "HTTP/1.1 200 OK\r\n");
        }
    };
    HttpServer second(script);
    HttpServer first([&](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            connection.answer("", request->target() == "/there" ? redirect_to(second.url("/end"))
                                                                : "HTTP/1.1 200 OK\r\n");
        }
    });
    peer = &first;
    asyncio::run([](HttpServer& first, HttpServer& second) -> Coro<void> {
        http::ClientOptions options;
        options.limit_per_host = 1;
        http::Client client(options);
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 40; ++i) {
            const auto& server = i % 2 == 0 ? first : second;
            tasks.push_back(asyncio::create_task(client.fetch(server.url("/there"))));
        }
        for (const auto& response : co_await asyncio::gather(tasks)) {
            EXPECT_EQ(response.status, 200);
        }
    }(first, second));
}

TEST(HttpRedirects, an_error_tells_where_it_came_from) {
    HttpServer server(always("", redirect_to("http://user:secret@127.0.0.1:1/x")));
    const auto error = failure_of(server.url("/start"));
    EXPECT_EQ(error.url(), "http://127.0.0.1:1/x");
    EXPECT_EQ(error.history(), std::vector<std::string>{server.url("/start")});
    EXPECT_TRUE(failure_of("http://127.0.0.1:1/x").history().empty());
}

TEST(HttpRedirects, only_http_and_https_are_followed) {
    for (const std::string target :
         {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/x", "javascript:1",
          "http://", "http://[::1", "\\\\host\\share", "http://user@/x", "mailto:a@b"}) {
        HttpServer server(always("never", redirect_to(target)));
        if (target[0] == '\\') {
            // No scheme: a relative path, which the server redirects in turn.
            EXPECT_EQ(failure_of(server.url()).kind(), http::ErrorKind::redirect) << target;
            continue;
        }
        const auto error = failure_of(server.url());
        EXPECT_EQ(error.kind(), http::ErrorKind::redirect) << target;
        EXPECT_NE(error.problem().find("redirects to '" + target.substr(0, 5)), std::string::npos)
            << error.problem();
    }
}

TEST(HttpRedirects, a_redirect_without_a_target_is_an_answer) {
    HttpServer server(always("look", "HTTP/1.1 302 Found\r\n"));
    const auto response = asyncio::run(http::fetch(server.url()));
    EXPECT_EQ(response.status, 302);
    EXPECT_EQ(response.body, "look");
    HttpServer not_modified(raw("HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n"));
    EXPECT_EQ(asyncio::run(http::fetch(not_modified.url())).status, 304);
}
