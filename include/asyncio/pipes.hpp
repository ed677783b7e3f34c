// Pipes that exist already: standard input, a FIFO, a terminal, as transports and as streams.
#pragma once

#include <asyncio/connections.hpp>

#include <cstdio>

namespace asyncio::inline v0 {

namespace detail {

struct PipeAccess;

enum class PipeUse : std::uint8_t { read, write };

}  // namespace detail

/// One end of a pipe, that of a FIFO, a terminal or another character device, or a socket. It owns
/// its descriptor, and is given to one of the functions below.
class ASYNCIO_API PipeEnd {
public:
    /// Takes the descriptor over.
    PipeEnd(int fd) noexcept;        // NOLINT(google-explicit-constructor)
    PipeEnd(Socket socket) noexcept  // NOLINT(google-explicit-constructor)
        : owner_(std::move(socket)) {}
    /// Another descriptor of a file, such as `stdin`, which stays open: let nobody read it or write
    /// it meanwhile. Raises: std::system_error.
    PipeEnd(std::FILE* file);  // NOLINT(google-explicit-constructor)

private:
    friend struct detail::PipeAccess;
    Socket owner_;
};

namespace detail {

ASYNCIO_API Coro<std::shared_ptr<Transport>> connect_pipe(ProtocolFactory factory, PipeEnd end,
                                                          PipeUse use);

template <class F>
Coro<Connection<ProtocolOf<F>>> typed_pipe(F factory, PipeEnd end, PipeUse use) {
    return typed_connection(std::move(factory), [end = std::move(end), use](auto make) mutable {
        return connect_pipe(std::move(make), std::move(end), use);
    });
}

}  // namespace detail

// What holds for all of these:
//
// While the transport is open, the descriptor does not block, nor do others of the same open file,
// perhaps of other programs at the same terminal; if it blocked before, it does so again at the
// end.
//
// Raises: ValueError for a regular file or a directory, which a loop cannot wait for: read them
// with asyncio::fs. A device that cannot be waited for, such as /dev/null, is lost with EPERM.
//
// Cancel safety: nothing stays open. Thread safety: loop thread only. Source: CPython's
// unix_events._UnixReadPipeTransport and _UnixWritePipeTransport.

/// Reads from a pipe: the transport tells the protocol what is written at the other end, and is
/// lost when that is closed. Its methods for writing raise RuntimeError.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>>> connect_read_pipe(F factory, PipeEnd end) {
    return detail::typed_pipe(std::move(factory), std::move(end), detail::PipeUse::read);
}
/// Writes to a pipe: the protocol is told when to pause, and the transport is lost when nobody is
/// left to read, with EPIPE if something waited to be sent.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>>> connect_write_pipe(F factory, PipeEnd end) {
    return detail::typed_pipe(std::move(factory), std::move(end), detail::PipeUse::write);
}

/// A stream that reads from a pipe: `co_await open_read_pipe(stdin)`. When its last handle goes,
/// the pipe is closed. Raises also: ValueError for a limit of 0.
ASYNCIO_API Coro<StreamReader> open_read_pipe(PipeEnd end,
                                              std::size_t limit = default_stream_limit);
/// A stream that writes to a pipe: `co_await open_write_pipe(stdout)`.
ASYNCIO_API Coro<StreamWriter> open_write_pipe(PipeEnd end);

}  // namespace asyncio::inline v0
