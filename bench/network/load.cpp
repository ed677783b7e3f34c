// The load for the servers of this folder: a closed loop in which every connection has one message
// under way, with the next one sent when its echo is complete.
//
//     bench_load echo|tls SERVER [ARGUMENT...]
//
// starts the server, which prints "port N", measures every cell and ends the server. The server
// gets one core and this program another, if there are two.
#include "measure.hpp"
#include "network/channel.hpp"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <bit>
#include <csignal>
#include <ctime>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using bench::check;
using bench::now_ns;

struct Cell {
    std::size_t size;
    std::size_t connections;
    double seconds;
};

// The cells that have a budget get the most time.
constexpr std::array echo_cells = {
    Cell{64, 1, 0.15},        Cell{64, 100, 0.4},        Cell{64, 1000, 0.2},
    Cell{1024, 1, 0.15},      Cell{1024, 100, 0.4},      Cell{1024, 1000, 0.2},
    Cell{64 * 1024, 1, 0.15}, Cell{64 * 1024, 100, 0.4}, Cell{64 * 1024, 1000, 0.2},
};
constexpr std::array tls_cells = {Cell{64, 100, 0.4}, Cell{1024, 100, 0.4},
                                  Cell{64 * 1024, 100, 0.4}};
constexpr double warm_up_seconds = 0.08;
constexpr std::size_t receive_size = std::size_t{256} * 1024;

// ---- the server

// A process with a core of its own, which ends with this one.
class ServerProcess {
public:
    ServerProcess(char** command, int core) {
        std::array<int, 2> pipe{};
        check(::pipe(pipe.data()), "pipe");
        pid_ = check(::fork(), "fork");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            pin_to(core);
            ::dup2(pipe[1], STDOUT_FILENO);
            ::close(pipe[0]);
            ::close(pipe[1]);
            ::execvp(command[0], command);
            std::perror(command[0]);
            ::_exit(127);
        }
        ::close(pipe[1]);
        std::FILE* const output = ::fdopen(pipe[0], "r");
        if (std::fscanf(output, "port %hu", &port_) != 1) {
            std::fprintf(stderr, "%s has printed no port\n", command[0]);
            std::exit(1);
        }
        std::fclose(output);
        check(::clock_getcpuclockid(pid_, &clock_) == 0 ? 0 : -1, "clock_getcpuclockid");
    }
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;
    ~ServerProcess() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    static void pin_to(int core) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(static_cast<std::size_t>(core), &cores);
        check(::sched_setaffinity(0, sizeof cores, &cores), "sched_setaffinity");
    }

    std::uint16_t port() const { return port_; }

    // User and system time of all its threads.
    std::uint64_t cpu_ns() const {
        timespec time{};
        check(::clock_gettime(clock_, &time), "clock_gettime");
        return static_cast<std::uint64_t>(time.tv_sec) * bench::second_ns +
               static_cast<std::uint64_t>(time.tv_nsec);
    }

private:
    pid_t pid_ = -1;
    std::uint16_t port_ = 0;
    clockid_t clock_ = 0;
};

// ---- latencies

// Counts by size: a power of two has 64 steps, so a value is known to 1.6 %.
class Histogram {
public:
    void add(std::uint64_t value) {
        ++counts_[index_of(value)];
        ++total_;
    }
    std::uint64_t total() const { return total_; }

    // The value that this part of all does not exceed.
    std::uint64_t quantile(double part) const {
        const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(total_));
        std::uint64_t passed = 0;
        for (std::size_t index = 0; index < counts_.size(); ++index) {
            passed += counts_[index];
            if (passed > wanted) {
                return value_of(index);
            }
        }
        return 0;
    }

private:
    static constexpr unsigned step_bits = 6;
    static constexpr std::uint64_t steps = 1U << step_bits;

    static std::size_t index_of(std::uint64_t value) {
        if (value < steps) {
            return value;
        }
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - step_bits - 1;
        return (shift + 1) * steps + (value >> shift) - steps;
    }
    static std::uint64_t value_of(std::size_t index) {
        if (index < steps) {
            return index;
        }
        const auto shift = index / steps - 1;
        return (index % steps + steps) << shift;
    }

    std::array<std::uint64_t, steps * (64 - step_bits + 1)> counts_{};
    std::uint64_t total_ = 0;
};

// ---- the load

template <class Channel>
class Load {
public:
    Load(const ServerProcess& server, Cell cell, typename Channel::Context& context)
        : server_(server), cell_(cell), message_(cell.size, 'x'), received_(receive_size),
          clients_(cell.connections), epoll_(check(::epoll_create1(0), "epoll_create1")) {
        for (Client& client : clients_) {
            client.fd = connect();
            client.channel.emplace(context, client.fd, bench::Side::client);
            client.channel->handshake();
            bench::set_nonblocking(client.fd);
            watch(client, EPOLL_CTL_ADD, EPOLLIN);
        }
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
        for (Client& client : clients_) {
            client.channel->end();
            ::close(client.fd);
        }
        ::close(epoll_);
    }

    void run() {
        for (Client& client : clients_) {
            begin(client, now_ns());
        }
        turn_for(warm_up_seconds);
        latencies_ = std::make_unique<Histogram>();
        const std::uint64_t cpu_before = server_.cpu_ns();
        turn_for(cell_.seconds);
        const std::uint64_t cpu = server_.cpu_ns() - cpu_before;
        const std::string prefix =
            std::to_string(cell_.size) + "_" + std::to_string(cell_.connections) + "_";
        if (latencies_->total() == 0) {
            std::fprintf(stderr, "not one echo of %s\n", prefix.c_str());
            std::exit(1);
        }
        bench::report((prefix + "cpu_us").c_str(),
                      us(cpu) / static_cast<double>(latencies_->total()));
        bench::report((prefix + "p50_us").c_str(), us(latencies_->quantile(0.5)));
        bench::report((prefix + "p99_us").c_str(), us(latencies_->quantile(0.99)));
        // Connections that are closed in the middle of an answer are errors to the server.
        goes_on_ = false;
        while (under_way_ > 0) {
            turn();
        }
    }

private:
    struct Client {
        int fd = -1;
        std::optional<Channel> channel;
        std::size_t sent = 0;
        std::size_t echoed = 0;
        std::uint64_t begun_ns = 0;
        bool waits_to_send = false;
    };

    static double us(std::uint64_t ns) { return static_cast<double>(ns) / 1000; }

    int connect() const {
        const int fd = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        const sockaddr_in address = bench::loopback(server_.port());
        check(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address),
              "connect");
        bench::set_no_delay(fd);
        return fd;
    }

    void watch(Client& client, int operation, std::uint32_t events) const {
        epoll_event event{.events = events, .data = {.ptr = &client}};
        check(::epoll_ctl(epoll_, operation, client.fd, &event), "epoll_ctl");
    }

    void begin(Client& client, std::uint64_t now) {
        ++under_way_;
        client.sent = 0;
        client.echoed = 0;
        client.begun_ns = now;
        send(client);
    }

    void send(Client& client) {
        while (client.sent < message_.size()) {
            const ssize_t count =
                client.channel->send(message_.data() + client.sent, message_.size() - client.sent);
            if (count <= 0) {
                break;
            }
            client.sent += static_cast<std::size_t>(count);
        }
        if (const bool waits = client.sent < message_.size(); waits != client.waits_to_send) {
            client.waits_to_send = waits;
            watch(client, EPOLL_CTL_MOD, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
        }
    }

    void receive(Client& client) {
        do {
            const ssize_t count = client.channel->receive(received_.data(), received_.size());
            if (count < 0) {
                return;
            }
            if (count == 0) {
                std::fprintf(stderr, "the server has closed a connection\n");
                std::exit(1);
            }
            client.echoed += static_cast<std::size_t>(count);
            if (client.echoed == message_.size()) {
                const std::uint64_t now = now_ns();
                latencies_->add(now - client.begun_ns);
                --under_way_;
                if (goes_on_) {
                    begin(client, now);
                }
            }
        } while (client.channel->holds_more());
    }

    void turn_for(double seconds) {
        const std::uint64_t end =
            now_ns() + static_cast<std::uint64_t>(seconds * static_cast<double>(bench::second_ns));
        while (now_ns() < end) {
            turn();
        }
    }

    void turn() {
        std::array<epoll_event, 1024> events;
        const int count =
            ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 5000);
        if (count == 0) {
            std::fprintf(stderr, "the server has not answered for 5 s\n");
            std::exit(1);
        }
        for (int index = 0; index < count; ++index) {
            const epoll_event& event = events[static_cast<std::size_t>(index)];
            Client& client = *static_cast<Client*>(event.data.ptr);
            if ((event.events & EPOLLOUT) != 0) {
                send(client);
            }
            if ((event.events & ~EPOLLOUT) != 0) {
                receive(client);
            }
        }
    }

    const ServerProcess& server_;
    const Cell cell_;
    const std::string message_;
    std::vector<char> received_;
    std::vector<Client> clients_;
    int epoll_;
    bool goes_on_ = true;
    std::size_t under_way_ = 0;
    std::unique_ptr<Histogram> latencies_ = std::make_unique<Histogram>();
};

template <class Channel, class Cells>
void measure(const ServerProcess& server, const Cells& cells) {
    typename Channel::Context context(bench::Side::client);
    for (const Cell& cell : cells) {
        Load<Channel>(server, cell, context).run();
        // The server takes leave of the connections of this cell before the next one.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view row = count > 2 ? arguments[1] : "";
    if (row != "echo" && row != "tls") {
        std::fprintf(stderr, "usage: %s echo|tls SERVER [ARGUMENT...]\n", arguments[0]);
        return 2;
    }
    cpu_set_t cores;
    check(::sched_getaffinity(0, sizeof cores, &cores), "sched_getaffinity");
    std::vector<int> available;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(static_cast<std::size_t>(core), &cores)) {
            available.push_back(core);
        }
    }
    const ServerProcess server(arguments + 2, available.back());
    ServerProcess::pin_to(available.front());
    if (row == "echo") {
        measure<bench::PlainChannel>(server, echo_cells);
    } else {
        measure<bench::TlsChannel>(server, tls_cells);
    }
    return 0;
}
