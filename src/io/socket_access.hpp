// What the library may do with a Socket.
#pragma once

#include <asyncio/sockets.hpp>

#include <sys/types.h>

namespace asyncio::inline v0 {
namespace detail {

struct SocketAccess {
    // Takes over a descriptor that is non-blocking and not inherited already.
    static Socket adopt(int fd) noexcept {
        Socket socket;
        socket.fd_ = fd;
        return socket;
    }
};

// One datagram, cut to `size`, and where it came from: none if the sender has no address. Returns
// its size, or -1 and errno.
ssize_t receive_from(int fd, void* data, std::size_t size, Address& sender);
// One datagram; to whom the socket is connected if the address is none. Returns its size, or -1 and
// errno.
ssize_t send_to(int fd, const void* data, std::size_t size, const Address& address) noexcept;

// Sets an option that is on or off. Raises: std::system_error, which names it.
void turn_on(const Socket& socket, int level, int option, const char* name);

}  // namespace detail
}  // namespace asyncio::inline v0
