// Datagrams.
#include "net/datagram_transport.hpp"

#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/receive_buffer.hpp"

namespace asyncio::inline v0 {
namespace detail {

FdDatagramTransport::FdDatagramTransport(EventLoop& loop, Socket socket, bool connected,
                                         Address remote, std::shared_ptr<DatagramProtocol> protocol)
    : SelectorTransport(loop, std::move(socket), connected ? remote : Address(),
                        std::move(protocol), static_cast<Act>(&FdDatagramTransport::on_readable),
                        static_cast<Act>(&FdDatagramTransport::on_writable)),
      connected_(connected), remote_(std::move(remote)) {}

// ---- receiving

void FdDatagramTransport::on_readable() {
    const std::span<std::byte> room = receive_buffer();
    Address sender;
    const ssize_t size = receive_from(fileno(), room.data(), room.size(), sender);
    if (size < 0) {
        if (would_block(errno)) {
            asks_before_try_ = asks_after_miss;
        } else {
            error_received(errno, "cannot receive");
        }
        return;
    }
    const std::string_view data(reinterpret_cast<const char*>(room.data()),
                                static_cast<std::size_t>(size));
    tell(loop_, *this, *protocol_, "protocol.datagram_received() failed",
         [&] { protocol_->datagram_received(data, sender); });
    if (asks_before_try_ > 0) {
        --asks_before_try_;
    } else {
        read_again();
    }
}

void FdDatagramTransport::error_received(int error, const std::string& what) {
    const std::system_error exception(error, std::generic_category(), what);
    tell(loop_, *this, *protocol_, "protocol.error_received() failed",
         [&] { protocol_->error_received(exception); });
}

// ---- sending

void FdDatagramTransport::check_address(const Address& address) const {
    const bool given = address.family() != AddressFamily::none;
    const bool has_remote = connected_ || remote_.family() != AddressFamily::none;
    if (!given && !has_remote) {
        throw ValueError("sendto() needs an address: the endpoint has no remote one");
    }
    if (given && has_remote && address != remote_) {
        throw ValueError("Invalid address: " + address.str() + ", must be none or " +
                         remote_.str());
    }
}

int FdDatagramTransport::send_now(std::string_view data, const Address& address) const noexcept {
    const Address peer;
    const Address& unconnected = address.family() == AddressFamily::none ? remote_ : address;
    const ssize_t sent =
        send_to(fileno(), data.data(), data.size(), connected_ ? peer : unconnected);
    return sent < 0 ? errno : 0;
}

void FdDatagramTransport::sendto(std::string_view data, const Address& address) {
    check_address(address);
    if (lost_) {
        dropped_.add();
        return;
    }
    if (unsent_.empty()) {
        const int error = send_now(data, address);
        if (error == 0) {
            return;
        }
        if (!would_block(error)) {
            error_received(error, "cannot send");
            return;
        }
    }
    unsent_.push_back({std::string(data), address});
    unsent_size_ += data.size() + header_size;
    wait_until_writable();
}

void FdDatagramTransport::on_writable() {
    while (!unsent_.empty()) {
        const int error = send_now(unsent_.front().data, unsent_.front().address);
        if (would_block(error)) {
            break;
        }
        unsent_size_ -= unsent_.front().data.size() + header_size;
        unsent_.pop_front();
        if (error != 0) {
            // The rest has its turn in the next iteration: the protocol may have sent more, which
            // could fail, too.
            error_received(error, "cannot send");
            return;
        }
    }
    all_is_sent();
}

void FdDatagramTransport::drop_unsent(const std::exception_ptr&) noexcept {
    unsent_.clear();
    unsent_size_ = 0;
}

}  // namespace detail
}  // namespace asyncio::inline v0
