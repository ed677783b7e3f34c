// What the programs here have in common: options, and lines for the driver.
#pragma once

#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace peers {

using Arguments = std::span<char* const>;

// The value of `--name=value`; nullopt if it is not given.
inline std::optional<std::string> option(Arguments arguments, std::string_view name) {
    const std::string prefix = "--" + std::string(name) + "=";
    for (const std::string_view argument : arguments) {
        if (argument.starts_with(prefix)) {
            return std::string(argument.substr(prefix.size()));
        }
    }
    return std::nullopt;
}

inline std::size_t number(std::string_view text) {
    std::size_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) {
        throw std::invalid_argument("not a number: '" + std::string(text) + "'");
    }
    return value;
}

// A line that the driver sees at once.
inline void say(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

}  // namespace peers
