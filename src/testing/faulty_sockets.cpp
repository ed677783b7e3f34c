// The relay between two sockets: a pair of transports in memory, each joined to a socket's.
#include <asyncio/connections.hpp>
#include <asyncio/testing/faulty_sockets.hpp>
#include <asyncio/testing/memory_streams.hpp>

#include <sys/socket.h>

namespace asyncio::inline v0 {
namespace testing {

namespace {

// The protocol of one of two transports that are joined: what the one receives the other sends.
//
// Invariant: `other` is set before the transport receives anything, until the connection is lost.
struct Joint final : Protocol {
    explicit Joint(std::shared_ptr<bool> ended) : half_ended(std::move(ended)) {}

    void connection_made(std::shared_ptr<Transport> transport) override {
        // Who sends too much waits at once, so that little is on its way beyond the capacity.
        transport->set_write_buffer_limits(0);
    }
    void data_received(std::string_view data) override { other->write(data); }
    bool eof_received() override {
        other->write_eof();
        return !std::exchange(*half_ended, true);
    }
    void pause_writing() override { other->pause_reading(); }
    void resume_writing() override { other->resume_reading(); }
    void connection_lost(const std::exception_ptr& error) override {
        const std::shared_ptr<Transport> last = std::move(other);
        if (last == nullptr) {
            return;
        }
        if (error == nullptr) {
            last->close();
            return;
        }
        if (const auto fd = last->get_extra_info(extra_info::socket)) {
            // Closing then resets the connection.
            constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
            ::setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        last->abort();
    }

    std::shared_ptr<Transport> other;
    const std::shared_ptr<bool> half_ended;  // of the two, one has received its end
};

// A socket that is connected to the transport of a Joint.
struct JointSocket {
    Socket socket{AddressFamily::inet};
    std::shared_ptr<Transport> transport;
    std::shared_ptr<Joint> joint;  // of that transport
    std::shared_ptr<Joint> inner;  // of the transport in memory
};

Coro<JointSocket> make_joint_socket() {
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    JointSocket made;
    co_await sock_connect(made.socket, listener.getsockname());
    Accepted accepted = co_await sock_accept(listener);
    while (accepted.address != made.socket.getsockname()) {  // somebody else
        accepted = co_await sock_accept(listener);
    }
    const auto half_ended = std::make_shared<bool>(false);
    auto joined = co_await connect_accepted_socket(
        [&] { return std::make_shared<Joint>(half_ended); }, std::move(accepted.socket));
    made.transport = std::move(joined.transport);
    made.joint = std::move(joined.protocol);
    made.inner = std::make_shared<Joint>(half_ended);
    made.inner->other = made.transport;
    co_return made;
}

}  // namespace

Coro<ConnectedSockets> faulty_sockets(FaultyLink link) {
    JointSocket client = co_await make_joint_socket();
    JointSocket server = co_await make_joint_socket();
    const ConnectedTransports inner = co_await memory_transports(client.inner, server.inner, link);
    client.joint->other = inner.client;
    server.joint->other = inner.server;
    co_return ConnectedSockets{std::move(client.socket), std::move(server.socket)};
}

}  // namespace testing
}  // namespace asyncio::inline v0
