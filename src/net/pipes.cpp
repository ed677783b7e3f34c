// Pipes as transports and as streams. Follows CPython's asyncio/unix_events.py.
#include "net/pipes.hpp"

#include <asyncio/event_loop.hpp>
#include <asyncio/pipes.hpp>

#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/close_unless_done.hpp"
#include "net/stream_protocol.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace asyncio::inline v0 {
namespace detail {

struct PipeAccess {
    static Socket take(PipeEnd& end) noexcept { return std::move(end.owner_); }
};

namespace {

void require_pipe(int fd) {
    struct stat status{};
    check(::fstat(fd, &status), "fstat");
    const mode_t mode = status.st_mode;
    if (!S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode)) {
        throw ValueError(std::string(S_ISREG(mode) ? "a regular file" : "this kind of file") +
                         " is no pipe, socket or character device, for which a loop could wait: "
                         "read and write it with asyncio::fs");
    }
}

// Returns whether it blocked before.
bool stop_blocking(int fd) {
    const int flags = check(::fcntl(fd, F_GETFL), "fcntl");
    if ((flags & O_NONBLOCK) != 0) {
        return false;
    }
    check(::fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl");
    return true;
}

}  // namespace

std::shared_ptr<FdTransport> begin_pipe(EventLoop& loop, Socket end, FdTransport::Kind kind,
                                        std::shared_ptr<Protocol> protocol,
                                        Future<void> connected) {
    auto transport =
        std::make_shared<FdTransport>(loop, std::move(end), kind, Address(), std::move(protocol));
    transport->begin(std::move(connected));
    return transport;
}

Coro<std::shared_ptr<Transport>> connect_pipe(ProtocolFactory factory, PipeEnd end, PipeUse use) {
    EventLoop& loop = get_running_loop();
    Socket owner = PipeAccess::take(end);
    require_pipe(owner.fileno());
    std::shared_ptr<Protocol> protocol = factory();
    const bool blocked = stop_blocking(owner.fileno());
    const Future<void> connected = loop.create_future<void>();
    const auto transport = begin_pipe(loop, std::move(owner),
                                      use == PipeUse::read ? FdTransport::Kind::read_pipe
                                                           : FdTransport::Kind::write_pipe,
                                      std::move(protocol), connected);
    if (blocked) {
        transport->block_at_the_end();
    }
    CloseUnlessDone closing(*transport);
    co_await connected;
    closing.done();
    co_return transport;
}

}  // namespace detail

PipeEnd::PipeEnd(int fd) noexcept : owner_(detail::SocketAccess::adopt(fd)) {}

PipeEnd::PipeEnd(std::FILE* file)
    : PipeEnd(detail::check(::fcntl(::fileno(file), F_DUPFD_CLOEXEC, 0), "fcntl")) {}

Coro<StreamReader> open_read_pipe(PipeEnd end, std::size_t limit) {
    auto protocol = std::make_shared<detail::StreamProtocol>(detail::checked_limit(limit), nullptr);
    co_await detail::connect_pipe([&] { return protocol; }, std::move(end), detail::PipeUse::read);
    co_return protocol->closing_reader();
}

Coro<StreamWriter> open_write_pipe(PipeEnd end) {
    auto protocol = std::make_shared<detail::StreamProtocol>(default_stream_limit, nullptr);
    co_await detail::connect_pipe([&] { return protocol; }, std::move(end), detail::PipeUse::write);
    co_return protocol->writer();
}

}  // namespace asyncio::inline v0
