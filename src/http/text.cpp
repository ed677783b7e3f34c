// Cleaning and cutting text.
#include "http/text.hpp"

#include <algorithm>
#include <cstdint>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

struct Character {
    std::uint32_t code = 0;
    // 0 if the text begins with no character.
    std::size_t size = 0;
};

bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Requires: not empty.
Character first_character(std::string_view text) noexcept {
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const auto first = static_cast<unsigned char>(text.front());
    if (first < 0x80) {
        return {first, 1};
    }
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first >= 0xf8 || text.size() < size) {
        return {};
    }
    std::uint32_t code = first & (0x7fu >> size);
    for (const char c : text.substr(1, size - 1)) {
        if (!continues(c)) {
            return {};
        }
        code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
    }
    const bool is_surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[size] || code > 0x10ffff || is_surrogate ? Character{}
                                                                 : Character{code, size};
}

bool is_harmless(std::uint32_t code) noexcept {
    const auto in = [code](std::uint32_t first, std::uint32_t last) {
        return code >= first && code <= last;
    };
    return !(code < 0x20 || in(0x7f, 0x9f) || code == 0x61c || in(0x200e, 0x200f) ||
             in(0x2028, 0x202e) || in(0x2066, 0x2069));
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const Character character = first_character(text);
        const std::size_t size = std::max<std::size_t>(character.size, 1);
        if (character.size != 0 && is_harmless(character.code)) {
            out += text.substr(0, size);
        } else {
            out += '?';
        }
        text.remove_prefix(size);
    }
    return out;
}

std::string shortened(std::string_view text, std::size_t size_max) {
    if (text.size() <= size_max) {
        return std::string(text);
    }
    while (size_max > 0 && continues(text[size_max])) {
        --size_max;
    }
    return std::string(text.substr(0, size_max)) + "...";
}

std::string without_credentials(std::string_view url) {
    const std::size_t slashes = url.find("//");
    if (slashes == url.npos || (slashes > 0 && url[slashes - 1] != ':')) {
        return std::string(url);
    }
    const std::size_t begin = slashes + 2;
    const std::string_view authority =
        url.substr(begin, std::min(url.find_first_of("/?#", begin), url.size()) - begin);
    const std::size_t at = authority.rfind('@');
    std::string out(url);
    return at == authority.npos ? out : out.erase(begin, at + 1);
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
