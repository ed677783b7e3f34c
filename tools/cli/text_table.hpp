// A table in the terminal, with words wrapped inside its cells.
#pragma once

#include "terminal.hpp"

#include <string>
#include <vector>

namespace asyncio::cli {

struct TextTable {
    // As many as `widths`, which count characters without the frame.
    std::vector<std::string> titles;
    std::vector<std::size_t> widths;
    std::vector<std::vector<std::string>> rows;

    std::string str(const Terminal& terminal) const;
};

// Breaks text at spaces into lines of at most `width` columns; longer words stay whole.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

}  // namespace asyncio::cli
