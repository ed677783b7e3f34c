// ContextState: what a Context holds, and what its connections use of it.
#pragma once

#include <asyncio/openssl.hpp>

#include "ssl/pipe.hpp"
#include "ssl/session_cache.hpp"

#include <atomic>
#include <string>

namespace asyncio::inline v0 {
namespace ssl::detail {

// Shared by the context and its connections, which may outlive it.
//
// Invariants:
//  1. Once `used`, nothing changes but the cache: threads share it without locks.
//  2. OpenSSL calls back with this object only on behalf of connections that own it.
struct ContextState {
    explicit ContextState(Purpose purpose);
    ContextState(const ContextState&) = delete;
    ContextState& operator=(const ContextState&) = delete;
    ~ContextState();

    bool is_server() const noexcept { return purpose == Purpose::client_auth; }

    const Purpose purpose;
    const OwnedBioMethod method;
    const OwnedContext context;
    VerifyMode verify_mode = VerifyMode::none;
    VerifyFlags verify_flags = VerifyFlags::none;
    bool check_hostname = false;
    bool session_resumption = true;
    std::string alpn;  // each with its length in front, as it is sent
    SNICallback sni_callback;
    int keylog_fd = -1;
    mutable SessionCache sessions;
    mutable std::atomic<bool> used = false;
};

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
