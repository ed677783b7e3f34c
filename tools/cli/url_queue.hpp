// The order in which `asyncio fetch` starts its URLs.
#pragma once

#include "file_names.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace asyncio::cli {

// Gives out the URLs of a list in their order, except that those of a host which has its fill are
// passed over until it has room again. Otherwise, one slow host could occupy all workers, most of
// them waiting for it.
//
// Invariants:
//  1. URLs get the names of their files in the order of the list, so that these depend on nothing
//     else.
//  2. A host has URLs in `passed_over` only while `active` is `per_host_`: whoever ends one of them
//     is the one to take the next.
class UrlQueue {
public:
    struct Item {
        std::size_t number;
        // For its file; empty if there are none.
        std::string name;
    };

    // `per_host` 0 is no limit.
    UrlQueue(const std::vector<std::string>& urls, std::size_t per_host, bool with_names)
        : urls_(urls), per_host_(per_host), with_names_(with_names) {}
    UrlQueue(const UrlQueue&) = delete;
    UrlQueue& operator=(const UrlQueue&) = delete;

    // The next URL, if there is one for this worker; none will be later.
    std::optional<Item> take();
    // Like `take`, for the worker that is done with this one.
    std::optional<Item> take_after(std::size_t number);

private:
    struct Host {
        std::size_t active = 0;
        std::deque<Item> passed_over;
    };

    const std::vector<std::string>& urls_;
    const std::size_t per_host_;
    const bool with_names_;
    std::size_t next_ = 0;
    NameBook names_;
    std::unordered_map<std::string, Host> hosts_;
};

// "http://host:80" of "http://user@HOST:80/path". Only a guess for what is no URL.
std::string host_of(std::string_view url);

}  // namespace asyncio::cli
