// What a Server and the connections it accepted share.
#pragma once

#include <asyncio/detail/intrusive_list.hpp>
#include <asyncio/transports.hpp>

namespace asyncio::inline v0 {
namespace detail {

// A connection that a server accepted.
struct ServerMember : ListNode {
    virtual BaseTransport& transport() noexcept = 0;

protected:
    ~ServerMember() = default;
};

// Whom a connection tells that it begins and ends.
class ServerCore {
public:
    ServerCore() = default;
    ServerCore(const ServerCore&) = delete;
    ServerCore& operator=(const ServerCore&) = delete;

    void attach(ServerMember& member) noexcept { members_.push_back(member); }
    void detach(ServerMember& member) noexcept {
        member.unlink();
        if (members_.empty()) {
            last_member_left();
        }
    }

protected:
    ~ServerCore() = default;
    virtual void last_member_left() noexcept = 0;

    IntrusiveList<ServerMember> members_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
