// The lines of those who wait for a name, and what is remembered of names.
#include "http/resolver.hpp"

#include <asyncio/http.hpp>
#include <asyncio/task.hpp>

#include "http/error.hpp"
#include "net/names.hpp"

#include <sys/socket.h>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// A name may have hundreds of addresses; nobody tries more than a few.
constexpr std::size_t addresses_max = 16;
// Bounds the memory of a program that visits ever new names.
constexpr std::size_t names_max = 1024;

using AddressList = std::vector<AddressInfo>;

std::string joined(const AddressList& list) {
    std::string addresses;
    for (std::size_t i = 0; i < std::min(list.size(), addresses_max); ++i) {
        const std::string ip = list[i].address.ip();
        addresses += addresses.empty() ? "" : ",";
        // libcurl knows no scopes ("%eth0") here.
        addresses += list[i].address.family() == AddressFamily::inet6
                         ? "[" + ip.substr(0, ip.find('%')) + "]"
                         : ip;
    }
    return addresses;
}

}  // namespace

struct Resolver::Name {
    explicit Name(std::string name) : text(std::move(name)) {}

    bool known() const noexcept { return !pending; }
    // Nobody wants to know any more.
    void abandon() noexcept {
        abandoned = true;
        std::exchange(pending, {}).cancel();
    }

    const std::string text;
    Future<AddressList> pending;  // empty once it is known
    bool abandoned = false;
    std::string addresses;
    std::exception_ptr error;
    TimePoint expires;
    asyncio::detail::IntrusiveList<Lookup> line;
};

void Resolver::close() noexcept {
    for (const auto& [text, name] : names_) {
        if (!name->known()) {
            name->abandon();
        }
    }
    names_.clear();
}

bool Resolver::remembers(Lookup& lookup) {
    const auto found = names_.find(lookup.name_);
    if (found == names_.end() || !found->second->known()) {
        return false;
    }
    if (found->second->expires <= loop_.time()) {
        names_.erase(found);
        return false;
    }
    lookup.entry_ = found->second;
    return true;
}

void Resolver::join(Lookup& lookup) {
    const auto found = names_.find(lookup.name_);
    if (found != names_.end()) {
        lookup.entry_ = found->second;
    } else {
        make_room();
        auto name = std::make_shared<Name>(lookup.name_);
        const auto place = names_.emplace(lookup.name_, name).first;
        try {
            begin(name);
        } catch (...) {
            names_.erase(place);
            throw;
        }
        lookup.entry_ = std::move(name);
    }
    lookup.entry_->line.push_back(lookup);
}

void Resolver::make_room() {
    if (names_.size() < names_max) {
        return;
    }
    const TimePoint now = loop_.time();
    std::erase_if(names_, [now](const auto& entry) {
        return entry.second->known() && entry.second->expires <= now;
    });
    if (names_.size() >= names_max) {
        std::erase_if(names_, [](const auto& entry) { return entry.second->known(); });
    }
}

void Resolver::begin(const std::shared_ptr<Name>& name) {
    name->pending =
        asyncio::detail::look_up(loop_, name->text, "", AddressInfoOptions{.type = SOCK_STREAM});
    name->pending.add_done_callback([this, name] {
        if (!name->abandoned) {
            finished(*name);
        }
    });
}

void Resolver::abandon(Name& name) noexcept {
    name.abandon();
    names_.erase(names_.find(name.text));
}

void Resolver::finished(Name& name) noexcept {
    const Future<AddressList> looked_up = std::exchange(name.pending, {});
    name.error = looked_up.exception();
    if (name.error == nullptr) {
        name.addresses = joined(looked_up.result());
    }
    name.expires = loop_.time() + ttl_;
    while (!name.line.empty()) {
        name.line.pop_front().finish();
    }
    if (name.error != nullptr || ttl_ <= Duration::zero()) {
        names_.erase(names_.find(name.text));
    }
}

// ---- the awaiter

Resolver::Lookup::~Lookup() {
    if (!done()) {
        leave();
    }
}

void Resolver::Lookup::leave() noexcept {
    unlink();
    if (entry_->line.empty()) {
        resolver_.abandon(*entry_);
    }
}

std::string Resolver::Lookup::await_resume() {
    resumed();
    if (entry_->error != nullptr) {
        rethrow_lookup_error(exchange().url(), name_, entry_->error);
    }
    return entry_->addresses;
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
