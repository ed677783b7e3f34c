// One line for each result, for people and for programs.
#include "fetch_result.hpp"

#include <cstdio>
#include <string_view>

namespace asyncio::cli {

namespace {

// What a server or a list of URLs brings must not move the cursor or start a line.
std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = '?';
        }
    }
    return out;
}

// Length of the UTF-8 sequence that `text` begins with, or 0 if it begins with none.
std::size_t sequence_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(0);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first < 0xe0) {
        return continues(1) ? 2 : 0;
    }
    if (first >= 0xe0 && first < 0xf0) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) >= 0xa0;
        return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first < 0xf5) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool beyond = first == 0xf4 && byte(1) >= 0x90;
        return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const char c = text.front();
        const std::size_t length = sequence_length(text);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            out += escape;
        } else if (length == 0) {
            out += "\\ufffd";
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return out + '"';
}

}  // namespace

std::string text_line(const FetchResult& result) {
    const std::string status = result.status == 0 ? "failed" : std::to_string(result.status);
    const std::string size = result.status == 0 ? "-" : std::to_string(result.body_size);
    char columns[80];
    std::snprintf(columns, sizeof columns, "%-6s %10s %8.3f s  ", status.c_str(), size.c_str(),
                  result.seconds);
    std::string line = columns + printable(result.url);
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
    std::string line = "{\"url\": " + quoted(result.url) + ", \"status\": " +
                       (result.status == 0 ? "null" : std::to_string(result.status)) + ", " +
                       numbers;
    if (!result.file.empty()) {
        line += ", \"file\": " + quoted(result.file);
    }
    if (result.failed()) {
        line += ", \"error\": " + quoted(result.problem);
    }
    return line + "}\n";
}

}  // namespace asyncio::cli
