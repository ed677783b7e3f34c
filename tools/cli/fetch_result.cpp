// One line for each result, for people and for programs.
#include "fetch_result.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace asyncio::cli {

namespace {

struct Character {
    std::uint32_t code = 0;
    // 0 if the text begins with no character.
    std::size_t size = 0;
};

bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Reads UTF-8. Requires: not empty.
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

// Whether a terminal shows the character and does nothing else. Control characters give it orders;
// marks of direction make it show text in another order than it is in.
bool is_harmless(std::uint32_t code) noexcept {
    const auto in = [code](std::uint32_t first, std::uint32_t last) {
        return code >= first && code <= last;
    };
    return !(code < 0x20 || in(0x7f, 0x9f) || code == 0x61c || in(0x200e, 0x200f) ||
             in(0x2028, 0x202e) || in(0x2066, 0x2069));
}

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

std::string quoted(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const Character character = first_character(text);
        const std::size_t size = std::max<std::size_t>(character.size, 1);
        if (character.size == 0) {
            out += "\\ufffd";
        } else if (!is_harmless(character.code)) {
            char escape[8];  // all of them have four digits at most
            std::snprintf(escape, sizeof escape, "\\u%04x", character.code & 0xffffu);
            out += escape;
        } else {
            if (character.code == '"' || character.code == '\\') {
                out += '\\';
            }
            out += text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    return out + '"';
}

// Results are kept in logs, where passwords do not belong.
std::string without_credentials(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == url.npos ? 0 : scheme + 3;
    const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
    const std::size_t at = url.substr(begin, end - begin).rfind('@');
    std::string out(url);
    return at == url.npos ? out : out.erase(begin, at + 1);
}

}  // namespace

std::string shortened(std::string_view text, std::size_t size_max) {
    if (text.size() <= size_max) {
        return std::string(text);
    }
    while (size_max > 0 && continues(text[size_max])) {
        --size_max;
    }
    return std::string(text.substr(0, size_max)) + "...";
}

std::string text_line(const FetchResult& result) {
    const std::string status = result.status == 0 ? "failed" : std::to_string(result.status);
    const std::string size = result.status == 0 ? "-" : std::to_string(result.body_size);
    char columns[80];
    std::snprintf(columns, sizeof columns, "%-6s %10s %8.3f s  ", status.c_str(), size.c_str(),
                  result.seconds);
    std::string line = columns + printable(without_credentials(result.url));
    if (!result.file.empty()) {
        line += " -> " + printable(result.file);
    }
    if (result.failed()) {
        line += "  " + printable(result.problem);
    }
    return line + '\n';
}

std::string json_line(const FetchResult& result) {
    char numbers[120];
    std::snprintf(numbers, sizeof numbers, "\"bytes\": %llu, \"seconds\": %.6f, \"attempts\": %d",
                  static_cast<unsigned long long>(result.body_size), result.seconds,
                  result.attempts);
    std::string line = "{\"url\": " + quoted(without_credentials(result.url)) + ", \"status\": " +
                       (result.status == 0 ? "null" : std::to_string(result.status)) + ", " +
                       numbers;
    if (!result.final_url.empty()) {
        line += ", \"final_url\": " + quoted(result.final_url);
    }
    if (!result.file.empty()) {
        line += ", \"file\": " + quoted(result.file);
    }
    if (result.failed()) {
        line += ", \"error\": " + quoted(result.problem);
    }
    return line + "}\n";
}

}  // namespace asyncio::cli
