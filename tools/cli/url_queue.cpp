// Which URL is next.
#include "url_queue.hpp"

#include <algorithm>

namespace asyncio::cli {

std::optional<UrlQueue::Item> UrlQueue::take() {
    while (next_ < urls_.size()) {
        const std::string& url = urls_[next_];
        Item item{next_++, with_names_ ? names_.enter(file_name_of(url)) : std::string()};
        if (per_host_ == 0) {
            return item;
        }
        Host& host = hosts_[host_of(url)];
        if (host.active < per_host_) {
            ++host.active;
            return item;
        }
        host.passed_over.push_back(std::move(item));
    }
    return std::nullopt;
}

std::optional<UrlQueue::Item> UrlQueue::take_after(std::size_t number) {
    if (per_host_ == 0) {
        return take();
    }
    const auto found = hosts_.find(host_of(urls_[number]));
    Host& host = found->second;
    if (!host.passed_over.empty()) {
        Item item = std::move(host.passed_over.front());
        host.passed_over.pop_front();
        return item;
    }
    if (--host.active == 0) {
        hosts_.erase(found);
    }
    return take();
}

std::string host_of(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == url.npos ? 0 : scheme + 3;
    const std::string_view authority =
        url.substr(begin, std::min(url.find_first_of("/?#", begin), url.size()) - begin);
    const std::size_t at = authority.rfind('@');
    std::string host(url.substr(0, begin));
    host += at == authority.npos ? authority : authority.substr(at + 1);
    std::transform(host.begin(), host.end(), host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return host;
}

}  // namespace asyncio::cli
