// The names whose addresses libcurl was told with CURLOPT_RESOLVE. Such entries never expire, which
// is what keeps libcurl from looking a name up by itself; so they must be taken back, or a program
// that visits ever new hosts would fill the memory.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// Invariant: a "name:port" that libcurl may know is in `pins_`, with the number of transfers that
/// need it, or in `stale_`.
class PinnedNames {
public:
    void pin(const std::string& name) { ++pins_[name]; }

    void unpin(const std::string& name) {
        const auto found = pins_.find(name);
        if (--found->second == 0) {
            stale_.push_back(name);
            pins_.erase(found);
        }
    }

    /// What libcurl shall forget, for the next transfer to tell it.
    std::vector<std::string> take_stale() {
        std::erase_if(stale_, [this](const std::string& name) { return pins_.contains(name); });
        return std::move(stale_);
    }
    /// That transfer never ran.
    void put_back(std::vector<std::string> stale) {
        for (std::string& name : stale) {
            stale_.push_back(std::move(name));
        }
    }

private:
    std::unordered_map<std::string, std::size_t> pins_;
    std::vector<std::string> stale_;
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
