// A list is searched, which takes microseconds for 256 names; a handshake takes hundreds.
#include "ssl/session_cache.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace ssl::detail {

bool SessionCache::touch(std::string_view name) {
    const auto found = std::ranges::find(entries_, name, &Entry::name);
    if (found == entries_.end()) {
        return false;
    }
    std::rotate(found, found + 1, entries_.end());
    return true;
}

void SessionCache::put(std::string_view name, OwnedSession session) {
    const std::lock_guard lock(mutex_);
    if (!touch(name)) {
        if (entries_.size() == names_max) {
            entries_.erase(entries_.begin());
        }
        entries_.push_back({std::string(name), {}});
    }
    std::vector<OwnedSession>& sessions = entries_.back().sessions;
    if (sessions.size() == sessions_max) {
        sessions.erase(sessions.begin());
    }
    sessions.push_back(std::move(session));
}

OwnedSession SessionCache::take(std::string_view name) {
    const std::lock_guard lock(mutex_);
    if (!touch(name)) {
        return nullptr;
    }
    std::vector<OwnedSession>& sessions = entries_.back().sessions;
    if (SSL_SESSION_get_protocol_version(sessions.back().get()) < TLS1_3_VERSION) {
        return OwnedSession(SSL_SESSION_dup(sessions.back().get()));
    }
    OwnedSession session = std::move(sessions.back());
    sessions.pop_back();
    if (sessions.empty()) {
        entries_.pop_back();
    }
    return session;
}

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
