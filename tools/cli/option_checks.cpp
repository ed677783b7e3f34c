// Reading numbers exactly.
#include "option_checks.hpp"

#include <cctype>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

namespace asyncio::cli {

namespace {

constexpr double seconds_min = 0.001;
constexpr double seconds_max = 365 * 86'400;

// Returns the rest of the text behind the number, or the whole text if it begins with none.
template <class Number>
std::string_view read(std::string_view text, Number& number) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() ? text.substr(static_cast<std::size_t>(end - text.data())) : text;
}

bool is_number_between(const std::string& text, std::uint64_t least, std::uint64_t most) noexcept {
    std::uint64_t number = 0;
    return !text.empty() && read(text, number).empty() && number >= least && number <= most;
}

bool is_duration(const std::string& text) noexcept {
    double seconds = 0;
    // A comparison with "nan" is false.
    return !text.empty() && read(text, seconds).empty() && seconds >= seconds_min &&
           seconds <= seconds_max;
}

// The power of 1,024 that a unit stands for, or -1.
int power_of(std::string_view unit) {
    std::string lower;
    for (const char c : unit) {
        lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (lower.empty() || lower == "b") {
        return 0;
    }
    const std::size_t power = std::string_view("kmgt").find(lower.front());
    const std::string rest = lower.substr(1);
    const bool known =
        power != std::string_view::npos && (rest.empty() || rest == "b" || rest == "ib");
    return known ? static_cast<int>(power) + 1 : -1;
}

// Replaces the text by the number of bytes. False if it is none.
bool convert_size(std::string& text) {
    constexpr std::uint64_t size_max = std::numeric_limits<std::int64_t>::max();
    std::uint64_t size = 0;
    const std::string_view unit = read(text, size);
    const int power = power_of(unit);
    if (unit.size() == text.size() || power < 0 || size > size_max >> (10 * power)) {
        return false;
    }
    text = std::to_string(size << (10 * power));
    return true;
}

}  // namespace

CLI::Validator number_between(std::uint64_t least, std::uint64_t most) {
    return CLI::Validator(
        [least, most](std::string& text) {
            return is_number_between(text, least, most)
                       ? std::string()
                       : "'" + text + "' is not understood: give a whole number from " +
                             std::to_string(least) + " to " + std::to_string(most);
        },
        "");
}

CLI::Validator duration_in_seconds() {
    return CLI::Validator(
        [](std::string& text) {
            return is_duration(text) ? std::string()
                                     : "'" + text +
                                           "' is not understood: give seconds, from 0.001 to "
                                           "31536000, which is a year";
        },
        "");
}

CLI::Validator size_in_bytes() {
    return CLI::Validator(
        [](std::string& text) {
            return convert_size(text) ? std::string()
                                      : "'" + text +
                                            "' is not understood: give a number of bytes, such as "
                                            "5000, 10MB or 1GB";
        },
        "");
}

}  // namespace asyncio::cli
