// What the output may look like: its width, colours, and characters beyond ASCII.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace asyncio::cli {

enum class Colour { none, dim, bold, red, green, yellow, blue, cyan };

struct Terminal {
    std::size_t columns = 80;
    bool has_colours = false;
    bool has_unicode = false;

    // Asks the descriptor, and the environment: NO_COLOR, TERM, and the locale's variables.
    static Terminal of(int fd);

    std::string paint(Colour colour, std::string_view text) const;
};

// Number of columns that UTF-8 text of single-width characters takes.
std::size_t width_of(std::string_view text) noexcept;

}  // namespace asyncio::cli
