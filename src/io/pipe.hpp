// The kernel's pipe.
#pragma once

#include "io/system_call.hpp"
#include "io/unique_fd.hpp"

#include <fcntl.h>

namespace asyncio::inline v0 {
namespace detail {

struct PipeEnds {
    UniqueFd reader;
    UniqueFd writer;
};

/// Both ends block, and no program that is executed gets them. Raises: std::system_error.
inline PipeEnds make_pipe() {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC), "pipe2");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace detail
}  // namespace asyncio::inline v0
