// The transport over a socket for datagrams.
#pragma once

#include "net/selector_transport.hpp"

#include <deque>
#include <string>

namespace asyncio::inline v0 {
namespace detail {

// As _SelectorDatagramTransport of CPython's selector_events.py.
//
// It receives one datagram in an iteration, so what a protocol schedules for one happens before the
// next one comes, as in CPython. In a burst it does not ask the poller for the next one, but tries:
// that costs one system call for each datagram. Where they come one by one, as answers to
// questions, trying would cost one in vain each time; so after a miss it asks a few times before it
// tries again.
//
// Invariant: `unsent_size_` is the sum of the sizes in `unsent_`, each with `header_size`.
class FdDatagramTransport final
    : public SelectorTransport<DatagramTransport, ProtocolSlotOf<DatagramProtocol>> {
public:
    // `remote` is the one address to send to: that of the peer if the socket is `connected`, which
    // may have no address; or none.
    FdDatagramTransport(EventLoop& loop, Socket socket, bool connected, Address remote,
                        std::shared_ptr<DatagramProtocol> protocol);

    using DatagramTransport::sendto;
    void sendto(std::string_view data, const Address& address) override;
    std::size_t get_write_buffer_size() const noexcept override { return unsent_size_; }

private:
    struct Unsent {
        std::string data;
        Address address;
    };
    // What the kernel needs for a datagram besides its bytes, roughly; so that empty ones count.
    static constexpr std::size_t header_size = 8;
    static constexpr int asks_after_miss = 8;

    void drop_unsent(const std::exception_ptr&) noexcept override;
    void on_readable();
    void on_writable();

    // Raises: ValueError for an address that datagrams cannot be sent to.
    void check_address(const Address& address) const;
    // 0, or the error.
    int send_now(std::string_view data, const Address& address) const noexcept;
    void error_received(int error, const std::string& what);

    // Constant after construction.
    const bool connected_;
    const Address remote_;

    // Loop thread only.
    std::deque<Unsent> unsent_;
    std::size_t unsent_size_ = 0;
    int asks_before_try_ = 0;  // how many datagrams come before the next try
};

}  // namespace detail
}  // namespace asyncio::inline v0
