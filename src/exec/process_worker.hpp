// What a process of a pool does.
#pragma once

#include <asyncio/process_pool.hpp>

#include "io/unique_fd.hpp"

#include <sys/types.h>

namespace asyncio::inline v0 {
namespace detail {

/// Tells the other side that a message of so many bytes lies in the shared memory. It goes through
/// a pipe, which takes half of the time that a socket does.
struct Doorbell {
    std::uint64_t size;
};
/// Tells a process to end: closing the pipe does not, if a fork of the program has copies.
constexpr Doorbell last_bell{0};

/// A message to a process begins with this, and the arguments of each call follow.
struct CallsHeader {
    const RemoteFunction* function;
    std::uint64_t count;
};

/// Before the arguments of each call, so that one whose arguments cannot be read harms no other.
struct alignas(std::max_align_t) ArgumentsHeader {
    std::uint64_t size;
};

/// A message from a process has this for each call, and the result or the error after it.
struct alignas(std::max_align_t) ResultHeader {
    std::uint64_t size;
    std::uint64_t failed;
};

/// What a call came to: `contents` are of its result, or of its error.
struct Reply {
    bool failed;
    Reader contents;
};
/// The next one of a message. Raises: DecodeError.
Reply read_reply(Reader& message);

struct Mailboxes {
    UniqueFd inbox;
    UniqueFd outbox;
};

/// Runs calls until the last bell. `server`: the process to die with.
[[noreturn]] void run_worker(pid_t server, UniqueFd bell, UniqueFd answers,
                             Mailboxes memory) noexcept;

/// The functions from the one that has thrown to the one that was called.
/// Requires: a ThrowObserver saw it.
std::string thrown_by(const RemoteFunction& function);

/// An exception as bytes, and back. `where` is the RemoteError's.
void write_error(Writer& writer, const std::exception_ptr& error, const std::string& where);
/// The one of a process that has no memory left: takes none.
void write_bad_alloc(Writer& writer);
std::exception_ptr read_error(Reader& reader);

}  // namespace detail
}  // namespace asyncio::inline v0
