// What the load and the floor share: sockets, and channels over them, bare and with OpenSSL.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

namespace bench {

// Ends the program if a system call has failed.
inline int check(int result, const char* what) {
    if (result < 0) {
        std::perror(what);
        std::exit(1);
    }
    return result;
}

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline void set_no_delay(int fd) {
    const int on = 1;
    check(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
}

inline void set_nonblocking(int fd) { check(::fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl"); }

enum class Side { client, server };

// send() and receive() return the number of bytes, -1 if the channel must wait, and receive() 0 at
// the end, be it a proper one or not.
class PlainChannel {
public:
    struct Context {
        explicit Context(Side) {}
    };

    PlainChannel(Context&, int fd, Side) : fd_(fd) {}

    // Whether bytes are left that epoll does not tell of.
    static constexpr bool holds_more() { return false; }

    void handshake() {}
    void end() {}
    ssize_t send(const char* data, std::size_t size) {
        const ssize_t count = ::send(fd_, data, size, MSG_NOSIGNAL);
        return count < 0 && errno != EAGAIN ? 0 : count;
    }
    ssize_t receive(char* data, std::size_t size) {
        const ssize_t count = ::recv(fd_, data, size, 0);
        return count < 0 && errno != EAGAIN ? 0 : count;
    }

private:
    int fd_;
};

// OpenSSL directly on the socket.
class TlsChannel {
public:
    class Context {
    public:
        // A server has its certificate and key in this file, which the environment names.
        explicit Context(Side side)
            : context_(
                  SSL_CTX_new(side == Side::server ? TLS_server_method() : TLS_client_method())) {
            const char* const file = std::getenv("BENCH_CERTIFICATE");
            SSL_CTX_set_mode(context_.get(),
                             SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
            // One recv for a record instead of one for its header and one for the rest.
            SSL_CTX_set_read_ahead(context_.get(), 1);
            if (side == Side::server &&
                (file == nullptr || SSL_CTX_use_certificate_chain_file(context_.get(), file) != 1 ||
                 SSL_CTX_use_PrivateKey_file(context_.get(), file, SSL_FILETYPE_PEM) != 1)) {
                std::fprintf(stderr, "BENCH_CERTIFICATE names no certificate with its key\n");
                std::exit(1);
            }
        }
        SSL_CTX* get() const { return context_.get(); }

    private:
        struct Free {
            void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
        };
        std::unique_ptr<SSL_CTX, Free> context_;
    };

    TlsChannel(Context& context, int fd, Side side) : ssl_(SSL_new(context.get())) {
        SSL_set_fd(ssl_.get(), fd);
        if (side == Side::server) {
            SSL_set_accept_state(ssl_.get());
        } else {
            SSL_set_connect_state(ssl_.get());
        }
    }

    bool holds_more() const { return SSL_has_pending(ssl_.get()) == 1; }
    // On a blocking socket. A server's handshake is a part of its first receive().
    void handshake() {
        if (SSL_do_handshake(ssl_.get()) != 1) {
            ERR_print_errors_fp(stderr);
            std::exit(1);
        }
    }
    void end() { SSL_shutdown(ssl_.get()); }
    ssize_t send(const char* data, std::size_t size) {
        std::size_t count = 0;
        return done(SSL_write_ex(ssl_.get(), data, size, &count), count);
    }
    ssize_t receive(char* data, std::size_t size) {
        std::size_t count = 0;
        return done(SSL_read_ex(ssl_.get(), data, size, &count), count);
    }

private:
    struct Free {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };

    ssize_t done(int result, std::size_t count) {
        if (result == 1) {
            return static_cast<ssize_t>(count);
        }
        const int error = SSL_get_error(ssl_.get(), result);
        ERR_clear_error();
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
    }

    std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace bench
