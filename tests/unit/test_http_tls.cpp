// TLS and HTTP/2, against OpenSSL's and nginx's servers.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include "http_server.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <fstream>

using namespace std::chrono_literals;
using namespace http_tests;
using asyncio::Coro;
namespace fs = std::filesystem;
namespace http = asyncio::http;

namespace {

bool has_program(const std::string& name) {
    return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

// A program that writes to a pipe, until it goes out of scope.
class Process {
public:
    explicit Process(std::vector<std::string> command) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            throw std::system_error(errno, std::generic_category(), "pipe");
        }
        std::vector<char*> arguments;
        for (std::string& argument : command) {
            arguments.push_back(argument.data());
        }
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
        const int error =
            ::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        output_ = ends[0];
        if (error != 0) {
            throw std::system_error(error, std::generic_category(), command[0]);
        }
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process() {
        ::kill(pid_, SIGTERM);  // not SIGKILL: it would leave the workers of nginx behind
        ::waitpid(pid_, nullptr, 0);
        ::close(output_);
    }

    // The rest of the line that contains `text`, once the program has written it.
    std::string wait_for(const std::string& text) {
        while (true) {
            const std::size_t at = seen_.find(text);
            if (at != seen_.npos && seen_.find('\n', at) != seen_.npos) {
                const std::size_t begin = at + text.size();
                return seen_.substr(begin, seen_.find('\n', begin) - begin);
            }
            char piece[4096];
            const ssize_t got = ::read(output_, piece, sizeof piece);
            if (got <= 0) {
                throw std::runtime_error("the program ended: " + seen_);
            }
            seen_.append(piece, static_cast<std::size_t>(got));
        }
    }

private:
    pid_t pid_ = -1;
    int output_ = -1;
    std::string seen_;
};

// A directory with a certificate for `name`, signed by itself.
class Certificate {
public:
    explicit Certificate(const std::string& name) {
        std::string pattern = (fs::temp_directory_path() / "asyncio-tls-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
        const std::string command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout " +
                                    key() + " -out " + file() + " -subj /CN=" + name +
                                    " -addext subjectAltName=DNS:" + name + " 2>/dev/null";
        if (std::system(command.c_str()) != 0) {
            throw std::runtime_error("openssl makes no certificate");
        }
    }
    Certificate(const Certificate&) = delete;
    Certificate& operator=(const Certificate&) = delete;
    ~Certificate() { fs::remove_all(directory_); }

    std::string file() const { return directory_ / "certificate.pem"; }
    std::string key() const { return directory_ / "key.pem"; }
    const fs::path& directory() const { return directory_; }

private:
    fs::path directory_;
};

// `openssl s_server`, which answers every request with a page about the connection.
class TlsServer {
public:
    explicit TlsServer(const Certificate& certificate)
        : process_({"openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-cert",
                    certificate.file(), "-key", certificate.key()}),
          port_(process_.wait_for("ACCEPT 127.0.0.1:")) {}

    std::string url(const std::string& scheme = "https") const {
        return scheme + "://localhost:" + port_ + "/";
    }

private:
    Process process_;
    std::string port_;
};

// nginx with HTTP/2, on a port that was free a moment ago.
class Nginx {
public:
    explicit Nginx(const Certificate& certificate)
        : port_(std::to_string(HttpServer(nullptr).port())),
          process_({"nginx", "-c", configure(certificate), "-p", certificate.directory()}) {
        process_.wait_for("start worker process");
    }

    std::string url(const std::string& path) const { return "https://localhost:" + port_ + path; }

private:
    std::string configure(const Certificate& certificate) const {
        const fs::path directory = certificate.directory();
        std::ofstream(directory / "page") << std::string(100'000, 'x');
        const std::string path = directory / "nginx.conf";
        std::ofstream(path) << "daemon off;\n"
                               "error_log stderr notice;\n"
                               "pid nginx.pid;\n"
                               "worker_processes 1;\n"
                               "user root;\n"
                               "events {}\n"
                               "http {\n"
                               "  access_log off;\n"
                               "  gzip on; gzip_types *; gzip_min_length 1;\n"
                               "  server {\n"
                               "    listen 127.0.0.1:"
                            << port_ << " ssl http2;\n    ssl_certificate " << certificate.file()
                            << ";\n    ssl_certificate_key " << certificate.key() << ";\n    root "
                            << directory.string() << ";\n  }\n}\n";
        return path;
    }

    std::string port_;
    Process process_;
};

Coro<http::Response> fetch_trusting(std::string url, std::string ca_file) {
    http::ClientOptions options;
    options.ca_file = std::move(ca_file);
    http::Client client(std::move(options));
    co_return co_await client.fetch(std::move(url));
}

void expect_tls_error(Coro<http::Response> fetch, const std::string& text) {
    try {
        asyncio::run(std::move(fetch));
        ADD_FAILURE() << "no error";
    } catch (const http::Error& error) {
        EXPECT_EQ(error.kind(), http::ErrorKind::tls) << error.what();
        EXPECT_NE(error.problem().find(text), std::string::npos) << error.what();
    }
}

class HttpTls : public ::testing::Test {
protected:
    void SetUp() override {
        if (!has_program("openssl")) {
            GTEST_SKIP() << "needs openssl";
        }
    }
};

}  // namespace

TEST_F(HttpTls, a_self_signed_certificate_is_refused_unless_it_is_named) {
    const Certificate certificate("localhost");
    const TlsServer server(certificate);
    expect_tls_error(http::fetch(server.url()), "certificate cannot be trusted");
    const auto response = asyncio::run(fetch_trusting(server.url(), certificate.file()));
    EXPECT_EQ(response.status, 200);
    EXPECT_NE(response.body.find("TLSv1.3"), std::string::npos);
    EXPECT_GT(response.timings.tls, 0s);
}

TEST_F(HttpTls, a_certificate_for_another_name_is_refused) {
    const Certificate certificate("other.example");
    const TlsServer server(certificate);
    expect_tls_error(fetch_trusting(server.url(), certificate.file()), "localhost");
}

TEST_F(HttpTls, a_missing_file_of_certificates_is_named) {
    const Certificate certificate("localhost");
    const TlsServer server(certificate);
    expect_tls_error(fetch_trusting(server.url(), "/nonexistent.pem"), "/nonexistent.pem");
}

TEST_F(HttpTls, the_wrong_scheme_is_explained) {
    HttpServer plain([](ServedConnection& connection) { connection.write("HTTP/1.1 400 No\r\n"); });
    expect_tls_error(http::fetch("https://127.0.0.1:" + std::to_string(plain.port()) + "/"),
                     "speaks https on this port");
}

TEST_F(HttpTls, a_handshake_that_stalls_ends_with_the_deadline_or_a_cancellation) {
    HttpServer silent([](ServedConnection& connection) { connection.wait_for_close(); });
    asyncio::run([](HttpServer& silent) -> Coro<void> {
        const std::string url = "https://127.0.0.1:" + std::to_string(silent.port()) + "/";
        std::string text;
        try {
            co_await http::fetch(http::Request(url).connect_timeout(100ms));
        } catch (const asyncio::TimeoutError& error) {
            text = error.what();
        }
        EXPECT_NE(text.find("no connection within 0.1 s"), std::string::npos) << text;
        auto task = asyncio::create_task(http::fetch, url);
        while (silent.active() == 0) {
            co_await asyncio::sleep(1ms);
        }
        task.cancel();
        co_await asyncio::gather(asyncio::return_exceptions, task);
        EXPECT_TRUE(task.cancelled());
        while (silent.active() > 0) {
            co_await asyncio::sleep(1ms);
        }
    }(silent));
}

TEST_F(HttpTls, http_2_with_compression_and_many_at_once) {
    if (!has_program("nginx")) {
        GTEST_SKIP() << "needs nginx";
    }
    const Certificate certificate("localhost");
    const Nginx server(certificate);
    asyncio::run([](const Nginx& server, std::string ca_file) -> Coro<void> {
        http::ClientOptions options;
        options.ca_file = std::move(ca_file);
        http::Client client(options);
        const auto first = co_await client.fetch(server.url("/page"));
        EXPECT_EQ(first.status, 200);
        EXPECT_EQ(first.http_version, "2");
        EXPECT_EQ(first.reason, "");
        EXPECT_EQ(first.headers.get("Content-Encoding"), "gzip");
        EXPECT_EQ(first.body, std::string(100'000, 'x'));
        const std::size_t before = open_descriptors();
        std::vector<asyncio::Task<http::Response>> tasks;
        for (int i = 0; i < 200; ++i) {
            tasks.push_back(asyncio::create_task(client.fetch(server.url("/page"))));
        }
        tasks[50].cancel();
        const auto outcomes = co_await asyncio::gather(asyncio::return_exceptions, tasks);
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            EXPECT_EQ(outcomes[i].has_value(), i != 50);
            EXPECT_TRUE(i == 50 || outcomes[i].value().body_size == 100'000);
        }
        EXPECT_LE(open_descriptors(), before + 2) << "all on one connection";
        EXPECT_EQ((co_await client.fetch(server.url("/absent"))).status, 404);
    }(server, certificate.file()));
}
