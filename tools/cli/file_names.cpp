// Names of files for the bodies of URLs.
#include "file_names.hpp"

#include <cstdint>
#include <cstdio>

namespace asyncio::cli {

namespace {

// File systems allow 255; a number and the mark of an unfinished file come behind.
constexpr std::size_t name_size_max = 200;

bool is_alphanumeric(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// The URL without its scheme and without a user's name and password.
std::string_view without_credentials(std::string_view url) noexcept {
    if (const std::size_t scheme = url.find("://"); scheme != url.npos) {
        url.remove_prefix(scheme + 3);
    }
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    if (const std::size_t at = authority.rfind('@'); at != authority.npos) {
        url.remove_prefix(at + 1);
    }
    return url.substr(0, url.find('#'));
}

// FNV-1a: long names that are cut stay different.
std::string fingerprint(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
    return hex;
}

}  // namespace

std::string file_name_of(std::string_view url) {
    std::string name(without_credentials(url));
    while (!name.empty() && name.back() == '/') {
        name.pop_back();
    }
    for (char& c : name) {
        if (!is_alphanumeric(c) && std::string_view("._-=+,%~").find(c) == std::string_view::npos) {
            c = '_';
        }
    }
    if (name.size() > name_size_max) {
        const std::string mark = "~" + fingerprint(url);
        name.replace(name_size_max - mark.size(), name.npos, mark);
    }
    if (name.empty()) {
        return "_";
    }
    if (!is_alphanumeric(name.front())) {
        name.front() = '_';
    }
    return name;
}

std::string NameBook::enter(const std::string& name) {
    std::string candidate = name;
    while (true) {
        const auto [place, is_new] = names_.try_emplace(candidate, 1);
        if (is_new) {
            return candidate;
        }
        candidate = name + "." + std::to_string(names_[name]++);
    }
}

}  // namespace asyncio::cli
