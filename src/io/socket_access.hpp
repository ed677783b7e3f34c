// What the library may do with a Socket.
#pragma once

#include <asyncio/sockets.hpp>

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

}  // namespace detail
}  // namespace asyncio::inline v0
