// Sending files: by the kernel, without a copy, where that is possible.
#pragma once

#include <asyncio/coro.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/streams.hpp>

#include <cstdint>
#include <optional>

namespace asyncio::inline v0 {

/// Which part of a file, and how.
struct SendfileOptions {
    std::uint64_t offset = 0;
    /// How many bytes, at least one; without a value: up to the end of the file.
    std::optional<std::uint64_t> count{};
    /// Reads and writes where the kernel cannot send by itself: in TLS, to a pipe, from some files.
    bool fallback = true;
};

// What holds for all of these:
//
// They return how many bytes were sent, fewer than `count` only if the file ends before. `file` is
// open for reading and can be sought in, and stays open until then; its own position is not used,
// and at the end it is behind what was sent.
//
// Raises: std::system_error of the connection or the file; ValueError for a count of 0;
// SendfileNotAvailableError if the kernel cannot and `fallback` is false.
//
// Cancel safety: stops at once; the position of `file` is behind what the connection has taken, and
// unchanged if that is nothing. Thread safety: loop thread only. Cost: at most 256 KiB between two
// turns of others; a part of a file that is not in memory blocks the loop while the disk is read,
// but not with the fallback, which reads in a thread of the default executor. Source: CPython's
// base_events.sendfile and sock_sendfile.

/// Sends a file to a stream socket that is connected and does not block.
ASYNCIO_API Coro<std::uint64_t> sock_sendfile(FileDescriptorLike socket, FileDescriptorLike file,
                                              SendfileOptions options = {});

/// Sends a file after what was written before. Meanwhile reading is paused, and nobody may write:
/// to a plain socket that raises RuntimeError. A `close` waits for the end of the file. Raises
/// also: RuntimeError if the transport is closing.
ASYNCIO_API Coro<std::uint64_t> sendfile(std::shared_ptr<Transport> transport,
                                         FileDescriptorLike file, SendfileOptions options = {});
ASYNCIO_API Coro<std::uint64_t> sendfile(StreamWriter writer, FileDescriptorLike file,
                                         SendfileOptions options = {});

}  // namespace asyncio::inline v0
