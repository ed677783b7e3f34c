// A table in the terminal.
#include "text_table.hpp"

#include <algorithm>

namespace asyncio::cli {

namespace {

struct Frame {
    std::string_view horizontal, vertical, cross;
};

Frame frame_of(const Terminal& terminal) noexcept {
    return terminal.has_unicode ? Frame{"─", "│", "┼"} : Frame{"-", "|", "+"};
}

std::string repeated(std::string_view glyph, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += glyph;
    }
    return text;
}

std::string format_row(const std::vector<std::string>& cells,
                       const std::vector<std::size_t>& widths, const Terminal& terminal,
                       Colour colour) {
    std::vector<std::vector<std::string>> columns;
    std::size_t height = 0;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        columns.push_back(wrap(cells[i], widths[i]));
        height = std::max(height, columns.back().size());
    }
    std::string text;
    for (std::size_t line = 0; line < height; ++line) {
        for (std::size_t i = 0; i < widths.size(); ++i) {
            const std::string cell = line < columns[i].size() ? columns[i][line] : "";
            text += i == 0 ? " " : std::string(frame_of(terminal).vertical) + " ";
            text += terminal.paint(colour, cell);
            if (i + 1 < widths.size()) {
                text += std::string(widths[i] - std::min(widths[i], width_of(cell)) + 1, ' ');
            }
        }
        text.erase(text.find_last_not_of(' ') + 1);
        text += '\n';
    }
    return text;
}

}  // namespace

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
    std::vector<std::string> lines;
    std::string line;
    while (!text.empty()) {
        const std::size_t space = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, space);
        text.remove_prefix(std::min(space + 1, text.size()));
        if (!line.empty() && width_of(line) + 1 + width_of(word) > width) {
            lines.push_back(std::move(line));
            line.clear();
        }
        line += line.empty() ? "" : " ";
        line += word;
    }
    lines.push_back(std::move(line));
    return lines;
}

std::string TextTable::str(const Terminal& terminal) const {
    const Frame frame = frame_of(terminal);
    std::string rule;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        rule += i == 0 ? "" : std::string(frame.cross);
        rule += repeated(frame.horizontal, widths[i] + 2);
    }
    rule += '\n';
    std::string text = format_row(titles, widths, terminal, Colour::bold);
    for (const auto& row : rows) {
        text += rule + format_row(row, widths, terminal, Colour::none);
    }
    return text;
}

}  // namespace asyncio::cli
