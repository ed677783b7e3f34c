// What the output may look like.
#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace asyncio::cli {

namespace {

// Pictures are drawn for this width at least; wider ones than that are no easier to read.
constexpr std::size_t columns_min = 80;
constexpr std::size_t columns_max = 110;

std::string_view environment(const char* name) noexcept {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

bool locale_is_utf8() noexcept {
    std::string_view locale;
    for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        locale = environment(name);
        if (!locale.empty()) {
            break;
        }
    }
    constexpr std::string_view spellings[] = {"UTF-8", "utf-8", "UTF8", "utf8"};
    return std::any_of(std::begin(spellings), std::end(spellings),
                       [&](std::string_view name) { return locale.find(name) != locale.npos; });
}

std::string_view escape_of(Colour colour) noexcept {
    switch (colour) {
    case Colour::dim:
        return "\033[2m";
    case Colour::bold:
        return "\033[1m";
    case Colour::red:
        return "\033[31m";
    case Colour::green:
        return "\033[32m";
    case Colour::yellow:
        return "\033[33m";
    case Colour::blue:
        return "\033[34m";
    case Colour::cyan:
        return "\033[36m";
    case Colour::none:
        break;
    }
    return {};
}

}  // namespace

Terminal Terminal::of(int fd) {
    Terminal terminal;
    terminal.has_unicode = locale_is_utf8();
    if (::isatty(fd) == 0) {
        return terminal;
    }
    terminal.has_colours = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
        terminal.columns = std::clamp<std::size_t>(size.ws_col, columns_min, columns_max);
    }
    return terminal;
}

std::string Terminal::paint(Colour colour, std::string_view text) const {
    if (!has_colours || colour == Colour::none || text.empty()) {
        return std::string(text);
    }
    return std::string(escape_of(colour)) + std::string(text) + "\033[0m";
}

std::size_t width_of(std::string_view text) noexcept {
    // The bytes that continue a character begin with the bits 10.
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

}  // namespace asyncio::cli
