// The floor of the network rows: echo servers on bare epoll, without and with OpenSSL on the
// socket, and programs started with posix_spawn.
#include "measure.hpp"
#include "network/announce.hpp"
#include "network/channel.hpp"
#include "network/programs.hpp"

#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <string_view>

namespace {

using bench::check;

// ---- echo

// Level-triggered: one recv and one send for a request, and no call of epoll_ctl as long as the
// peer takes its answers.
template <class Channel>
class EchoServer {
public:
    EchoServer()
        : context_(bench::Side::server),
          listener_(check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket")),
          epoll_(check(::epoll_create1(0), "epoll_create1")) {
        sockaddr_in address = bench::loopback(0);
        socklen_t size = sizeof address;
        check(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), "bind");
        check(::listen(listener_, 4096), "listen");
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        watch(listener_, EPOLL_CTL_ADD, EPOLLIN, nullptr);
        bench::announce(ntohs(address.sin_port));
    }

    [[noreturn]] void serve() {
        std::array<epoll_event, 256> events;
        while (true) {
            const int count =
                ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            for (int index = 0; index < count; ++index) {
                const epoll_event& event = events[static_cast<std::size_t>(index)];
                if (event.data.ptr == nullptr) {
                    accept_all();
                    continue;
                }
                auto* const peer = static_cast<Peer*>(event.data.ptr);
                if (!(peer->unsent.empty() ? echo(*peer) : send_rest(*peer))) {
                    ::close(peer->fd);
                    delete peer;
                }
            }
        }
    }

private:
    struct Peer {
        int fd;
        Channel channel;
        std::string unsent;  // While there is some, nothing is received.
    };

    void watch(int fd, int operation, std::uint32_t happening, Peer* peer) {
        epoll_event event{.events = happening, .data = {.ptr = peer}};
        check(::epoll_ctl(epoll_, operation, fd, &event), "epoll_ctl");
    }

    void accept_all() {
        while (true) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
            if (fd < 0) {
                return;
            }
            bench::set_no_delay(fd);
            watch(fd, EPOLL_CTL_ADD, EPOLLIN,
                  new Peer{fd, Channel(context_, fd, bench::Side::server), {}});
        }
    }

    // False at the end of the connection.
    bool echo(Peer& peer) {
        do {
            const ssize_t received = peer.channel.receive(buffer_.data(), buffer_.size());
            if (received <= 0) {
                return received < 0;
            }
            const auto size = static_cast<std::size_t>(received);
            const std::size_t sent = send(peer, buffer_.data(), size);
            if (sent < size) {
                peer.unsent.assign(buffer_.data() + sent, size - sent);
                watch(peer.fd, EPOLL_CTL_MOD, EPOLLOUT, &peer);
                return true;
            }
        } while (peer.channel.holds_more());
        return true;
    }

    bool send_rest(Peer& peer) {
        peer.unsent.erase(0, send(peer, peer.unsent.data(), peer.unsent.size()));
        if (!peer.unsent.empty()) {
            return true;
        }
        watch(peer.fd, EPOLL_CTL_MOD, EPOLLIN, &peer);
        return !peer.channel.holds_more() || echo(peer);
    }

    // What was not sent at once waits for epoll. A connection that has failed tells when it is
    // read.
    static std::size_t send(Peer& peer, const char* data, std::size_t size) {
        const ssize_t count = peer.channel.send(data, size);
        return count < 0 ? 0 : static_cast<std::size_t>(count);
    }

    typename Channel::Context context_;
    int listener_;
    int epoll_;
    // The kernel copies to the beginning of a page faster than to anywhere else.
    alignas(4096) std::array<char, std::size_t{64} * 1024> buffer_;
};

// ---- programs

void start_programs(long count) {
    long started = 0;
    long ended = 0;
    while (ended < count) {
        if (started < count && started - ended < bench::programs_at_once) {
            pid_t pid = 0;
            std::string program = bench::program;
            std::array<char*, 2> arguments = {program.data(), nullptr};
            const int error =
                ::posix_spawn(&pid, bench::program, nullptr, nullptr, arguments.data(), environ);
            errno = error;
            check(error == 0 ? 0 : -1, "posix_spawn");
            ++started;
        } else {
            check(::waitpid(-1, nullptr, 0), "waitpid");
            ++ended;
        }
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view mode = count > 1 ? arguments[1] : "";
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL.
    if (mode == "echo") {
        std::make_unique<EchoServer<bench::PlainChannel>>()->serve();
    }
    if (mode == "tls") {
        std::make_unique<EchoServer<bench::TlsChannel>>()->serve();
    }
    if (mode == "subprocess") {
        return bench::measure_programs(count, arguments, start_programs);
    }
    std::fprintf(stderr, "usage: %s echo | tls | subprocess COUNT\n", arguments[0]);
    return 2;
}
