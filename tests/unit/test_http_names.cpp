// Looking names up: off the loop, once for equal ones, and never by libcurl.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include "http_server.hpp"
#include "scripted_names.hpp"

#include <gtest/gtest.h>

using namespace std::chrono_literals;
using namespace http_tests;
using asyncio::Coro;
using scripted_names::NameScript;
namespace http = asyncio::http;

namespace {

class HttpNames : public ::testing::Test {
protected:
    void SetUp() override { NameScript::reset(); }
    // Threads that are still inside a look-up belong to the test that made them.
    void TearDown() override {
        NameScript::release_slow_names();
        while (NameScript::waiting() > 0) {
            std::this_thread::yield();
        }
    }
};

// Returns when so many look-ups wait for the script.
Coro<void> until_waiting(std::size_t count) {
    while (NameScript::waiting() < count) {
        co_await asyncio::sleep(1ms);
    }
}

void expect_only_own_threads() {
    for (const std::string& thread : NameScript::threads()) {
        EXPECT_TRUE(thread.starts_with("asyncio-dns")) << thread;
    }
}

Coro<std::string> problem_of(http::Request request) {
    try {
        co_await http::fetch(std::move(request));
    } catch (const http::Error& error) {
        EXPECT_EQ(error.kind(), http::ErrorKind::name_not_found) << error.what();
        co_return error.problem();
    } catch (const asyncio::TimeoutError& error) {
        co_return error.what();
    }
    co_return "no error";
}

}  // namespace

TEST_F(HttpNames, equal_look_ups_are_made_once_and_remembered) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 100; ++i) {
            tasks.push_back(asyncio::create_task(http::fetch, server.url_of("Many.test")));
        }
        co_await asyncio::gather(tasks);
        const auto again = co_await http::fetch(server.url_of("many.TEST"));
        EXPECT_EQ(again.status, 200);
        EXPECT_EQ(NameScript::asked(), std::vector<std::string>{"many.test"});
    }(server));
    expect_only_own_threads();
}

TEST_F(HttpNames, without_a_time_to_live_every_fetch_asks_again) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        http::ClientOptions options;
        options.name_ttl = 0s;
        http::Client client(options);
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ((co_await client.fetch(server.url_of("new.test"))).status, 200);
        }
        EXPECT_EQ(NameScript::asked().size(), 3u);
    }(server));
    EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpNames, libcurl_never_looks_up_a_name) {
    HttpServer server([](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (request->target() == "/to-other") {
                connection.answer("",
                                  "HTTP/1.1 302 Found\r\nLocation: //other.test:" +
                                      request->head.substr(request->head.find(".test:") + 6, 5) +
                                      "/there\r\n");
            } else {
                connection.answer(request->head);
            }
        }
    });
    asyncio::run([](HttpServer& server) -> Coro<void> {
        const auto redirected = co_await http::fetch(server.url_of("first.test", "/to-other"));
        EXPECT_EQ(redirected.url, server.url_of("other.test", "/there"));
        EXPECT_NE(redirected.body.find("Host: other.test:"), std::string::npos);
        for (const char* const name : {"UPPER.test", "dot.test.", "%70ercent.test", "a.b-c.test",
                                       "b\xc3\xbc"
                                       "cher.test",
                                       "under_score.test"}) {
            EXPECT_EQ((co_await http::fetch(server.url_of(name))).status, 200) << name;
        }
        for (const char* const address : {"127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1"}) {
            EXPECT_EQ((co_await http::fetch(server.url_of(address))).status, 200) << address;
        }
    }(server));
    expect_only_own_threads();
    EXPECT_EQ(NameScript::asked(),
              (std::vector<std::string>{"first.test", "other.test", "upper.test", "dot.test.",
                                        "percent.test", "a.b-c.test", "xn--bcher-kva.test",
                                        "under_score.test"}));
}

TEST_F(HttpNames, names_are_forgotten_again) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        http::ClientOptions options;
        options.limit = 10;
        http::Client client(options);
        for (int i = 0; i < 500; ++i) {
            const std::string name = "n" + std::to_string(i) + ".test";
            EXPECT_EQ((co_await client.fetch(server.url_of(name))).status, 200);
        }
        // A name that libcurl was told to forget is told to it again.
        EXPECT_EQ((co_await client.fetch(server.url_of("n1.test"))).status, 200);
    }(server));
    expect_only_own_threads();
}

TEST_F(HttpNames, the_second_address_is_tried_when_the_first_refuses) {
    HttpServer server(always("second"));
    const auto response = asyncio::run(http::fetch(server.url_of("two.test")));
    EXPECT_EQ(response.body, "second");
    expect_only_own_threads();
}

TEST_F(HttpNames, names_that_do_not_exist) {
    asyncio::run([]() -> Coro<void> {
        EXPECT_EQ(co_await problem_of("http://missing.test/"),
                  "the name 'missing.test' has no address: check its spelling");
        EXPECT_NE((co_await problem_of("http://again.test/")).find("no name server answered"),
                  std::string::npos);
        EXPECT_EQ(co_await problem_of("http://missing.test/"),
                  "the name 'missing.test' has no address: check its spelling");
        EXPECT_EQ(NameScript::asked().size(), 3u) << "failures are not remembered";
    }());
}

TEST_F(HttpNames, a_slow_name_server_delays_nothing_but_its_own_fetches) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        auto slow = asyncio::create_task(http::fetch, server.url_of("slow.test"));
        co_await until_waiting(1);
        EXPECT_EQ((co_await http::fetch(server.url_of("quick.test"))).status, 200);
        EXPECT_FALSE(slow.done());
        NameScript::release_slow_names();
        EXPECT_EQ((co_await slow).status, 200);
    }(server));
}

TEST_F(HttpNames, cancelling_a_look_up_does_not_wait_for_it) {
    asyncio::run([]() -> Coro<void> {
        const std::size_t before = open_descriptors();
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 20; ++i) {
            const std::string name = "slow" + std::to_string(i) + ".test";
            tasks.push_back(asyncio::create_task(http::fetch, "http://" + name + "/"));
        }
        co_await until_waiting(4);
        for (const auto& task : tasks) {
            task.cancel();
        }
        co_await asyncio::gather(asyncio::return_exceptions, tasks);
        for (const auto& task : tasks) {
            EXPECT_TRUE(task.cancelled());
        }
        EXPECT_EQ(NameScript::waiting(), 4u) << "four threads, and they are still inside";
        EXPECT_LE(open_descriptors(), before + 2);  // libcurl's own pair
    }());
    // The loop is closed while the threads are inside getaddrinfo; then they come back.
    NameScript::release_slow_names();
    while (NameScript::waiting() > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(NameScript::asked().size(), 4u) << "what nobody wants any more is not looked up";
}

TEST_F(HttpNames, one_of_two_who_wait_for_the_same_name_may_leave) {
    HttpServer server(always("x"));
    asyncio::run([](HttpServer& server) -> Coro<void> {
        auto first = asyncio::create_task(http::fetch, server.url_of("slow.test"));
        auto second = asyncio::create_task(http::fetch, server.url_of("slow.test"));
        co_await until_waiting(1);
        first.cancel();
        NameScript::release_slow_names();
        EXPECT_EQ((co_await second).status, 200);
        EXPECT_TRUE(first.cancelled());
    }(server));
}

TEST_F(HttpNames, a_look_up_ends_with_the_deadline) {
    asyncio::run([]() -> Coro<void> {
        const auto total = co_await problem_of(http::Request("http://slow.test/").timeout(30ms));
        EXPECT_EQ(total, "http://slow.test/: timed out after 0.03 s while looking up the name");
        const auto connect =
            co_await problem_of(http::Request("http://slow.test/").connect_timeout(20ms));
        EXPECT_EQ(connect, "http://slow.test/: timed out after 0.02 s while looking up the name");
    }());
    NameScript::release_slow_names();
}
