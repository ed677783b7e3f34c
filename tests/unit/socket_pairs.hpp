// What the tests of sockets share: peers that write and fill by plain system calls.
#pragma once

#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace socket_tests {

inline constexpr auto no_time = asyncio::Duration::zero();

inline std::size_t watched() { return asyncio::get_running_loop().poller().watched(); }

// Gives the other tasks, and the poller, a few turns.
inline asyncio::Coro<void> turns(int count = 3) {
    for (int i = 0; i < count; ++i) {
        co_await asyncio::sleep(no_time);
    }
}

// Gives turns until that holds, but not for ever. Of a connection over TCP, the kernel tells the
// end to the other side in its own time.
template <class Condition>
asyncio::Coro<void> turns_until(Condition condition) {
    for (int i = 0; i < 10'000 && !condition(); ++i) {
        co_await asyncio::sleep(no_time);
        if (i >= 100) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

inline void write_all(const asyncio::Socket& socket, std::string_view text) {
    ASSERT_EQ(::write(socket.fileno(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
}

// Sends until the kernel takes no more.
inline void fill(const asyncio::Socket& socket) {
    const std::vector<char> block(65536);
    while (::send(socket.fileno(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
}

inline std::error_code error_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::system_error& error) {
        return error.code();
    }
}

}  // namespace socket_tests
