// A scripted server for the http tests: plain blocking sockets, a thread for each connection. The
// test says, byte by byte if it wants, what every connection does.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <latch>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

namespace http_tests {

// The body of a request with `Content-Length` comes behind its head.
struct ServedRequest {
    std::string head;
    std::string body;

    // "/path" of "GET /path HTTP/1.1".
    std::string target() const {
        const std::size_t first = head.find(' ') + 1;
        return head.substr(first, head.find(' ', first) - first);
    }
    std::string method() const { return head.substr(0, head.find(' ')); }
    bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

class ServedConnection {
public:
    explicit ServedConnection(int fd) : fd_(fd) {}

    // Nothing once the client has closed.
    std::optional<ServedRequest> read_request() {
        std::size_t end = std::string::npos;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!fill()) {
                return std::nullopt;
            }
        }
        ServedRequest request{buffer_.substr(0, end + 2), {}};
        std::size_t length = 0;
        if (const std::size_t at = request.head.find("Content-Length: "); at != std::string::npos) {
            length = std::strtoul(request.head.c_str() + at + 16, nullptr, 10);
        }
        while (buffer_.size() < end + 4 + length) {
            if (!fill()) {
                return std::nullopt;
            }
        }
        request.body = buffer_.substr(end + 4, length);
        buffer_.erase(0, end + 4 + length);
        return request;
    }

    // False once the client has closed.
    bool write(std::string_view data) const {
        while (!data.empty()) {
            const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                return false;
            }
            data.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    bool answer(std::string_view body, std::string_view head = "HTTP/1.1 200 OK\r\n") const {
        return write(std::string(head) + "Content-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + std::string(body));
    }

    // Returns when the client closes, or the server is destroyed.
    void wait_for_close() {
        while (fill()) {
        }
    }

    // Closes with a reset instead of an orderly end.
    void reset() const {
        const linger hard{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }

private:
    bool fill() {
        char chunk[4096];
        const ssize_t got = ::recv(fd_, chunk, sizeof chunk, 0);
        if (got <= 0) {
            return false;
        }
        buffer_.append(chunk, static_cast<std::size_t>(got));
        return true;
    }

    int fd_;
    std::string buffer_;
};

class HttpServer {
public:
    using Script = std::function<void(ServedConnection&)>;

    explicit HttpServer(Script script, int backlog = 1024) : script_(std::move(script)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const address = reinterpret_cast<sockaddr*>(&address_);
        socklen_t size = sizeof address_;
        if (::bind(listener_, address, size) != 0 || ::listen(listener_, backlog) != 0 ||
            ::getsockname(listener_, address, &size) != 0) {
            throw std::system_error(errno, std::generic_category(), "test server");
        }
        if (script_) {
            acceptor_ = std::thread([this] { accept_all(); });
            // A sanitizer opens a file while it starts a thread; tests count what is open.
            started_.wait();
        }
    }
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    ~HttpServer() {
        ::shutdown(listener_, SHUT_RDWR);
        if (acceptor_.joinable()) {
            acceptor_.join();
        }
        ::close(listener_);
        {
            const std::lock_guard lock(mutex_);
            for (const Served& served : served_) {
                if (served.fd >= 0) {
                    ::shutdown(served.fd, SHUT_RDWR);
                }
            }
        }
        for (Served& served : served_) {
            served.thread.join();
        }
    }

    int port() const { return ntohs(address_.sin_port); }
    std::string url(const std::string& path = "/") const { return url_of("127.0.0.1", path); }
    std::string url_of(const std::string& host, const std::string& path = "/") const {
        return "http://" + host + ":" + std::to_string(port()) + path;
    }
    const sockaddr_in& address() const { return address_; }
    // Connections so far, and those that are served.
    int accepted() const { return accepted_; }
    int active() const { return active_; }

private:
    struct Served {
        int fd;
        std::thread thread;
    };

    void accept_all() {
        started_.count_down();
        while (true) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ECONNABORTED)) {
                // The system looks for a descriptor before it waits for a connection, so this
                // happens to a thread that gets here while a test has used up all descriptors.
                std::this_thread::yield();
                continue;
            }
            if (fd < 0) {
                return;
            }
            ++accepted_;
            ++active_;
            const std::lock_guard lock(mutex_);
            Served& served = served_.emplace_back(Served{fd, {}});
            served.thread = std::thread([this, &served] { serve(served); });
        }
    }

    void serve(Served& served) {
        ServedConnection connection(served.fd);
        script_(connection);
        const std::lock_guard lock(mutex_);
        ::close(served.fd);
        served.fd = -1;
        --active_;
    }

    Script script_;
    int listener_ = -1;
    sockaddr_in address_{};
    std::latch started_{1};
    std::thread acceptor_;
    std::atomic<int> accepted_{0};
    std::atomic<int> active_{0};
    std::mutex mutex_;
    std::list<Served> served_;  // guarded by mutex_
};

// The same answer for every request.
inline HttpServer::Script always(std::string body, std::string head = "HTTP/1.1 200 OK\r\n") {
    return [body = std::move(body), head = std::move(head)](ServedConnection& connection) {
        while (connection.read_request()) {
            if (!connection.answer(body, head)) {
                return;
            }
        }
    };
}

// These bytes after the first request, then the end.
inline HttpServer::Script raw(std::string bytes) {
    return [bytes = std::move(bytes)](ServedConnection& connection) {
        if (connection.read_request()) {
            connection.write(bytes);
        }
    };
}

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace http_tests
