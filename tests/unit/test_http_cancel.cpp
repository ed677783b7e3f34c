// Ending a fetch early, in every phase: at once, and without leaving anything behind.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include "http_server.hpp"
#include "scripted_poller.hpp"

#include <gtest/gtest.h>

#include <semaphore>

using namespace std::chrono_literals;
using namespace http_tests;
using asyncio::Coro;
namespace http = asyncio::http;

namespace {

// Says what was asked, then nothing more.
class Stalling {
public:
    explicit Stalling(std::string answer)
        : answer_(std::move(answer)), server_([this](ServedConnection& connection) {
              connection.read_request();
              connection.write(answer_);
              ++stalled_;
              connection.wait_for_close();
          }) {}

    int stalled() const { return stalled_; }
    Coro<void> until_stalled(int count) {
        while (stalled_ < count) {
            co_await asyncio::sleep(1ms);
        }
    }
    // The server has seen all its connections end.
    Coro<void> until_idle() {
        while (server_.active() > 0) {
            co_await asyncio::sleep(1ms);
        }
    }
    HttpServer& server() { return server_; }

private:
    std::string answer_;
    std::atomic<int> stalled_ = 0;
    HttpServer server_;
};

// A port that is open but whose queue of connections is full: a connect to it waits.
class FullPort {
public:
    FullPort() : server_(nullptr, 0) {
        for (int i = 0; i < 4; ++i) {
            const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            const auto* const address = reinterpret_cast<const sockaddr*>(&server_.address());
            ::connect(fd, address, sizeof server_.address());
            fillers_.push_back(fd);
        }
    }
    FullPort(const FullPort&) = delete;
    FullPort& operator=(const FullPort&) = delete;
    ~FullPort() {
        for (const int fd : fillers_) {
            ::close(fd);
        }
    }
    std::string url() const { return server_.url(); }

private:
    HttpServer server_;
    std::vector<int> fillers_;
};

Coro<void> few_turns() {
    for (int i = 0; i < 20; ++i) {
        co_await asyncio::sleep(0);
    }
}

// One fetch has opened what stays open: libcurl's pair of wake-up sockets.
Coro<std::size_t> warm_descriptors() {
    static HttpServer server(raw("HTTP/1.0 200 OK\r\n\r\n"));
    co_await http::fetch(server.url());
    while (server.active() > 0) {
        co_await asyncio::sleep(1ms);
    }
    co_return open_descriptors();
}

Coro<std::string> timeout_of(http::Request request, http::Client* client = nullptr) {
    try {
        co_await (client != nullptr ? client->fetch(std::move(request))
                                    : http::fetch(std::move(request)));
    } catch (const asyncio::TimeoutError& error) {
        co_return error.what();
    }
    co_return "no timeout";
}

// Time stands still unless the test says that it passes: however slow the machine is, a fetch gets
// as far as the test wants before it times out.
class HttpTimeouts : public ::testing::Test {
protected:
    std::unique_ptr<http::Client> make_client(http::ClientOptions options) {
        std::unique_ptr<http::Client> client;
        loop->run_until_complete([&]() -> Coro<void> {
            client = std::make_unique<http::Client>(options);
            co_return;
        }());
        return client;
    }
    asyncio::Task<std::string> start(http::Request request) {
        return loop->create_task(timeout_of(std::move(request)));
    }
    asyncio::Task<std::string> start(http::Client& client, http::Request request) {
        return loop->create_task(timeout_of(std::move(request), &client));
    }
    // The servers' threads need no loop; what they see is looked at again after a moment.
    template <class Condition>
    void run_until(Condition condition) {
        while (!condition()) {
            loop->run_once(1ms);
        }
    }
    // All that needs neither time nor a server.
    void iterate() {
        for (int i = 0; i < 20; ++i) {
            loop->run_once(0s);
        }
    }
    void pass(asyncio::Duration time) {
        clock.time += time;
        iterate();
    }

    ManualClock clock;
    asyncio::EventLoopPtr loop = asyncio::new_event_loop({.clock = &clock});
};

}  // namespace

TEST(HttpCancel, before_it_has_begun) {
    asyncio::run([]() -> Coro<void> {
        const std::size_t before = co_await warm_descriptors();
        auto task = asyncio::create_task(http::fetch, "http://127.0.0.1:1/");
        task.cancel();
        co_await asyncio::gather(asyncio::return_exceptions, task);
        EXPECT_TRUE(task.cancelled());
        EXPECT_EQ(open_descriptors(), before);
    }());
}

TEST(HttpCancel, while_connecting) {
    FullPort port;
    asyncio::run([](std::string url) -> Coro<void> {
        const std::size_t before = co_await warm_descriptors();
        auto task = asyncio::create_task(http::fetch, url);
        co_await few_turns();
        EXPECT_EQ(open_descriptors(), before + 1);
        task.cancel();
        EXPECT_EQ(open_descriptors(), before);
        co_await asyncio::gather(asyncio::return_exceptions, task);
        EXPECT_TRUE(task.cancelled());
    }(port.url()));
}

TEST(HttpCancel, while_waiting_for_the_answer_and_in_the_body) {
    for (const std::string answer :
         {"", "HTTP/1.1 200 OK\r\nX: y\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbod",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
        Stalling stalling(answer);
        asyncio::run([](Stalling& stalling) -> Coro<void> {
            const std::size_t before = co_await warm_descriptors();
            auto task = asyncio::create_task(http::fetch, stalling.server().url());
            co_await stalling.until_stalled(1);
            co_await few_turns();
            task.cancel();
            co_await asyncio::gather(asyncio::return_exceptions, task);
            EXPECT_TRUE(task.cancelled());
            co_await stalling.until_idle();
            EXPECT_EQ(open_descriptors(), before);
        }(stalling));
    }
}

TEST(HttpCancel, while_waiting_for_a_free_connection) {
    Stalling stalling("");
    asyncio::run([](Stalling& stalling) -> Coro<void> {
        http::ClientOptions options;
        options.limit = 2;
        http::Client client(options);
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 6; ++i) {
            tasks.push_back(asyncio::create_task(client.fetch(stalling.server().url())));
        }
        co_await stalling.until_stalled(2);
        tasks[2].cancel();
        tasks[4].cancel();
        co_await few_turns();
        EXPECT_TRUE(tasks[2].cancelled() && tasks[4].cancelled());
        EXPECT_EQ(stalling.server().accepted(), 2);
        // Their places go to the next in line, also if that was woken and cancelled in one turn.
        tasks[0].cancel();
        tasks[3].cancel();
        co_await stalling.until_stalled(3);
        EXPECT_EQ(stalling.server().accepted(), 3);
        EXPECT_FALSE(tasks[1].done() || tasks[5].done());
        tasks[1].cancel();
        tasks[5].cancel();
        co_await asyncio::gather(asyncio::return_exceptions, tasks);
        co_await stalling.until_idle();
        // Nothing was lost: the limit is free again.
        HttpServer quick(always("x"));
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ((co_await client.fetch(quick.url())).status, 200);
        }
    }(stalling));
}

TEST(HttpCancel, a_thousand_at_once) {
    Stalling stalling("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nb");
    asyncio::run([](Stalling& stalling) -> Coro<void> {
        const std::size_t before = co_await warm_descriptors();
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.push_back(asyncio::create_task(http::fetch, stalling.server().url()));
        }
        co_await stalling.until_stalled(100);
        for (const auto& task : tasks) {
            task.cancel();
        }
        co_await asyncio::gather(asyncio::return_exceptions, tasks);
        co_await stalling.until_idle();
        EXPECT_EQ(open_descriptors(), before);
    }(stalling));
}

TEST(HttpCancel, a_loop_that_ends_takes_its_fetches_along) {
    Stalling stalling("");
    const std::size_t before = open_descriptors();
    asyncio::run([](Stalling& stalling) -> Coro<void> {
        auto task = asyncio::create_task(http::fetch, stalling.server().url());
        co_await stalling.until_stalled(1);
    }(stalling));
    while (stalling.server().active() > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST(HttpCancel, a_loop_that_is_closed_with_fetches_in_flight) {
    Stalling stalling("");
    const std::size_t before = open_descriptors();
    {
        const auto loop = asyncio::new_event_loop();
        loop->set_exception_handler([](asyncio::EventLoop&, const asyncio::ErrorContext&) {});
        auto task = loop->create_task(http::fetch(stalling.server().url()));
        loop->run_until_complete(stalling.until_stalled(1));
        EXPECT_FALSE(task.done());
        loop->close();
    }
    while (stalling.server().active() > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(HttpTimeouts, name_the_phase) {
    Stalling silent("");
    auto head = start(http::Request(silent.server().url()).timeout(50ms));
    run_until([&] { return silent.stalled() == 1; });
    pass(50ms);
    ASSERT_TRUE(head.done());
    EXPECT_EQ(head.result(),
              silent.server().url() + ": timed out after 0.05 s while waiting for the answer");

    Stalling stuck("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbod");
    bool begun = false;
    auto body = start(http::Request(stuck.server().url())
                          .sink([&](const http::Response&, std::string_view) { begun = true; })
                          .timeout(50ms));
    run_until([&] { return begun; });
    pass(50ms);
    ASSERT_TRUE(body.done());
    EXPECT_EQ(body.result(),
              stuck.server().url() + ": timed out after 0.05 s while receiving the body");

    const FullPort full;
    auto connecting = start(http::Request(full.url()).timeout(50ms));
    iterate();
    pass(50ms);
    ASSERT_TRUE(connecting.done());
    EXPECT_EQ(connecting.result(), full.url() + ": timed out after 0.05 s while connecting");
}

// libcurl watches over it, on a clock of its own.
TEST_F(HttpTimeouts, of_connecting_name_their_option) {
    const FullPort full;
    const std::string text =
        asyncio::run(timeout_of(http::Request(full.url()).connect_timeout(50ms)));
    EXPECT_EQ(text, full.url() + ": no connection within 0.05 s: the host does not answer, or "
                                 "needs a longer connect_timeout");
}

TEST_F(HttpTimeouts, hold_for_all_hops_together) {
    std::atomic<int> hops = 0;
    std::counting_semaphore<> answers(0);
    HttpServer slow([&](ServedConnection& connection) {
        while (connection.read_request()) {
            ++hops;
            answers.acquire();
            connection.answer("", "HTTP/1.1 302 Found\r\nLocation: /\r\n");
        }
    });
    const auto task = start(http::Request(slow.url()).timeout(100ms).max_redirects(1000));
    for (int hop = 1; hop <= 10; ++hop) {  // 10 ms for each
        run_until([&] { return hops == hop; });
        EXPECT_FALSE(task.done());
        pass(10ms);
        if (hop < 10) {
            answers.release();
        }
    }
    answers.release(1000);  // the server ends, whatever the fetch does
    ASSERT_TRUE(task.done());
    EXPECT_EQ(task.result(), slow.url() + ": timed out after 0.1 s while waiting for the answer");
}

TEST_F(HttpTimeouts, do_not_run_while_waiting_for_a_free_connection) {
    Stalling stalling("");
    HttpServer quick(always("x"));
    http::ClientOptions options;
    options.limit = 1;
    const auto client = make_client(options);
    auto first = start(*client, http::Request(stalling.server().url()));
    run_until([&] { return stalling.stalled() == 1; });
    auto second = start(*client, http::Request(quick.url()).timeout(5s));
    auto third = start(*client, http::Request(stalling.server().url()).timeout(30ms));
    iterate();
    pass(1min);
    ASSERT_FALSE(second.done() || third.done());
    first.cancel();
    EXPECT_EQ(loop->run_until_complete(second), "no timeout");
    run_until([&] { return stalling.stalled() == 2; });
    pass(30ms);
    ASSERT_TRUE(third.done());
    EXPECT_EQ(third.result(),
              stalling.server().url() + ": timed out after 0.03 s while waiting for the answer");
}

TEST_F(HttpTimeouts, stand_still_while_a_redirect_waits_for_another_host) {
    Stalling stalling("");
    HttpServer entry([&](ServedConnection& connection) {
        connection.read_request();
        connection.answer("", "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: " +
                                  stalling.server().url() + "\r\n");
        connection.wait_for_close();
    });
    http::ClientOptions options;
    options.limit_per_host = 1;
    const auto client = make_client(options);
    auto first = start(*client, http::Request(stalling.server().url()));
    run_until([&] { return stalling.stalled() == 1; });
    auto redirected = start(*client, http::Request(entry.url()).timeout(200ms));
    // It closes the first connection when it has been told where to go.
    run_until([&] { return entry.accepted() == 1 && entry.active() == 0; });
    iterate();
    pass(1min);
    ASSERT_FALSE(redirected.done());
    first.cancel();
    run_until([&] { return stalling.stalled() == 2; });
    pass(199ms);
    ASSERT_FALSE(redirected.done());
    pass(1ms);
    ASSERT_TRUE(redirected.done());
    EXPECT_EQ(redirected.result(),
              stalling.server().url() + ": timed out after 0.2 s while waiting for the answer");
}

// ---- sinks

TEST(HttpSinks, get_the_body_piece_by_piece) {
    HttpServer server([](ServedConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (request->target() == "/") {
                connection.answer("not for the sink", "HTTP/1.1 302 Found\r\nLocation: /end\r\n");
            } else {
                connection.answer(std::string(1 << 20, 'x'), "HTTP/1.1 203 Other\r\nA: b\r\n");
            }
        }
    });
    std::size_t pieces = 0;
    std::uint64_t size = 0;
    const auto response = asyncio::run(http::fetch(
        http::Request(server.url()).sink([&](const http::Response& head, std::string_view piece) {
            EXPECT_EQ(head.status, 203);
            EXPECT_EQ(head.headers.get("A"), "b");
            ++pieces;
            size += piece.size();
        })));
    EXPECT_GT(pieces, 10u);
    EXPECT_EQ(size, 1u << 20);
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(response.body_size, 1u << 20);
}

TEST(HttpSinks, what_a_sink_throws_comes_out_of_the_fetch) {
    HttpServer server(always(std::string(1 << 20, 'x')));
    int calls = 0;
    EXPECT_THROW(asyncio::run(http::fetch(
                     http::Request(server.url()).sink([&](const http::Response&, std::string_view) {
                         ++calls;
                         throw std::domain_error("enough");
                     }))),
                 std::domain_error);
    EXPECT_EQ(calls, 1);
}

TEST(HttpSinks, may_cancel_and_start_fetches) {
    HttpServer server(always(std::string(1 << 20, 'x')));
    Stalling stalling("");
    asyncio::run([](HttpServer& server, Stalling& stalling) -> Coro<void> {
        auto other = asyncio::create_task(http::fetch, stalling.server().url());
        co_await stalling.until_stalled(1);
        asyncio::Task<http::Response> own;
        asyncio::Task<http::Response> started;
        int calls = 0;
        own = asyncio::create_task(
            http::fetch,
            http::Request(server.url()).sink([&](const http::Response&, std::string_view) {
                ++calls;
                other.cancel();
                own.cancel();
                started = asyncio::create_task({.eager_start = true}, http::fetch(server.url()));
            }));
        co_await asyncio::gather(asyncio::return_exceptions, own, other);
        EXPECT_TRUE(own.cancelled());
        EXPECT_TRUE(other.cancelled());
        EXPECT_EQ(calls, 1);
        EXPECT_EQ((co_await started).body.size(), 1u << 20);
        own = {};
    }(server, stalling));
}

TEST(HttpSinks, may_close_the_client) {
    HttpServer server(always(std::string(1 << 20, 'x')));
    asyncio::run([](std::string url) -> Coro<void> {
        const std::size_t before = open_descriptors();
        auto client = std::make_unique<http::Client>();
        http::ErrorKind kind{};
        try {
            co_await client->fetch(http::Request(url).sink(
                [&client](const http::Response&, std::string_view) { client.reset(); }));
        } catch (const http::Error& error) {
            kind = error.kind();
        }
        EXPECT_EQ(kind, http::ErrorKind::closed);
        EXPECT_LE(open_descriptors(), before + 1);  // the server's end
    }(server.url()));
}
