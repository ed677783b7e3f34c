// The process that makes the processes of pools: a copy of the program from before it had threads.
//
// Forking a program with threads copies locks that nobody will release. So one process is forked
// while that is safe, does nothing but fork, and every process of every pool comes from it.
#pragma once

#include "io/unique_fd.hpp"

#include <cstdint>

namespace asyncio::inline v0 {
namespace detail {

/// What a pool asks of the server, by one packet through its connection.
struct ServerRequest {
    enum class Kind : std::uint32_t {
        connect,  // by the program: the descriptor is a pool's connection
        spawn,    // a process; the descriptors are its bell, answers, inbox and outbox
        signal,   // a process
    };
    Kind kind;
    std::uint32_t worker = 0;
    std::int32_t signal = 0;
};

/// What the server tells a pool.
struct ServerEvent {
    enum class Kind : std::uint32_t { started, exited, failed };
    Kind kind;
    std::uint32_t worker;
    std::int32_t pid;
    std::int32_t status;  // of an exited process, as from waitpid; errno for one that has failed
};

/// A pool's connection with the server, which ends the pool's processes when it is closed. Starts
/// the server if there is none.
///
/// Raises: RuntimeError if the program has more than one thread; std::system_error.
UniqueFd connect_to_server();

/// Sends a request with up to four descriptors. False, and errno, if the server has gone.
bool send_request(int connection, const ServerRequest& request, const int* fds = nullptr,
                  std::size_t fd_count = 0) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
