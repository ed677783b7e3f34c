// SessionCache: what clients remember of their connections, to shorten the next handshake.
#pragma once

#include "ssl/openssl_types.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace asyncio::inline v0 {
namespace ssl::detail {

// Thread safety: any thread may use it.
//
// Invariants:
//  1. At most names_max entries, the one used last at the end; each has a name of its own and 1 to
//     sessions_max sessions, the newest at the end.
class SessionCache {
public:
    static constexpr std::size_t names_max = 256;
    static constexpr std::size_t sessions_max = 4;

    void put(std::string_view name, OwnedSession session);
    // The newest session of that name, or null. TLS 1.3 wants each to be used once; one of TLS 1.2
    // stays, because servers need not send another.
    OwnedSession take(std::string_view name);

private:
    struct Entry {
        std::string name;
        std::vector<OwnedSession> sessions;
    };
    // Moves the name's entry to the end, if there is one.
    bool touch(std::string_view name);

    std::mutex mutex_;
    std::vector<Entry> entries_;
};

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
