// Drawing a sequence diagram with characters.
#include "sequence_diagram.hpp"

#include <algorithm>
#include <cstdio>

namespace asyncio::cli {

namespace {

// The columns of the time, with the space behind it, and of the label, with the space before it.
constexpr std::size_t time_width = 8;
constexpr std::size_t label_width = 23;
constexpr std::size_t spacing_max = 13;

// A gap of this length is told from the time that the computer itself takes.
constexpr Duration gap_min = std::chrono::milliseconds(20);

struct Glyphs {
    std::string_view line, waiting_line, leaves_right, leaves_left, shaft, to_right, to_left, stays;
};
constexpr Glyphs unicode_glyphs{"│", "┊", "├", "┤", "─", ">", "<", "●"};
constexpr Glyphs ascii_glyphs{"|", ":", "|", "|", "-", ">", "<", "*"};

const Glyphs& glyphs_of(const Terminal& terminal) noexcept {
    return terminal.has_unicode ? unicode_glyphs : ascii_glyphs;
}

std::string format_ms(Duration time, int decimals) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", decimals,
                  std::chrono::duration<double, std::milli>(time).count());
    return text;
}

std::string right_aligned(std::string_view text, std::size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + std::string(text);
}

}  // namespace

SequenceDiagram::SequenceDiagram(std::ostream& out, Terminal terminal,
                                 std::vector<std::string> participants)
    : out_(out), terminal_(terminal), participants_(std::move(participants)),
      spacing_(std::min((terminal_.columns - time_width - label_width) / participants_.size(),
                        spacing_max)) {}

std::size_t SequenceDiagram::position_of(std::size_t participant) const noexcept {
    return participant * spacing_ + spacing_ / 2;
}

Colour SequenceDiagram::colour_of(std::size_t participant) const noexcept {
    constexpr Colour colours[] = {Colour::cyan, Colour::yellow, Colour::green};
    return colours[std::min(participant, std::size(colours) - 1)];
}

// Names that are too long for their columns take two rows: "Event" above "loop".
void SequenceDiagram::print_header() {
    std::string rows[2];
    bool is_split = false;
    for (std::size_t i = 0; i < participants_.size(); ++i) {
        const std::string& name = participants_[i];
        std::string lines[] = {"", name};
        const std::size_t space = name.rfind(' ');
        if (name.size() >= spacing_ && space != name.npos) {
            lines[0] = name.substr(0, space);
            lines[1] = name.substr(space + 1);
            is_split = true;
        }
        for (int row = 0; row < 2; ++row) {
            // Centred on the line, as far as the name before it allows.
            const std::size_t middle = time_width + position_of(i);
            const std::size_t start = middle - std::min(middle, lines[row].size() / 2);
            const std::size_t used = rows[row].size() + (rows[row].empty() ? 0 : 1);
            rows[row].resize(std::max(start, used), ' ');
            rows[row] += lines[row];
        }
    }
    if (is_split) {
        out_ << terminal_.paint(Colour::bold, rows[0]) << '\n';
    }
    const std::string unit = right_aligned("ms", time_width - 2);
    std::copy(unit.begin(), unit.end(), rows[1].begin());
    out_ << terminal_.paint(Colour::bold, rows[1]) << '\n';
}

SequenceDiagram::Row SequenceDiagram::life_lines(std::string_view glyph) const {
    Row row(participants_.size() * spacing_, Cell{" ", Colour::none});
    for (std::size_t i = 0; i < participants_.size(); ++i) {
        row[position_of(i)] = {glyph, Colour::dim};
    }
    return row;
}

void SequenceDiagram::draw_arrow(Row& row, std::size_t from, std::size_t to) const {
    const Glyphs& glyphs = glyphs_of(terminal_);
    const Colour colour = colour_of(from);
    const std::size_t start = position_of(from);
    const std::size_t end = position_of(to);
    if (start == end) {
        row[start] = {glyphs.stays, colour};
        return;
    }
    for (std::size_t i = std::min(start, end) + 1; i < std::max(start, end); ++i) {
        row[i] = {glyphs.shaft, colour};
    }
    row[start] = {start < end ? glyphs.leaves_right : glyphs.leaves_left, colour};
    row[start < end ? end - 1 : end + 1] = {start < end ? glyphs.to_right : glyphs.to_left, colour};
}

void SequenceDiagram::print(std::string_view time, const Row& row, std::string_view label) {
    std::string text = terminal_.paint(Colour::dim, right_aligned(time, time_width - 2)) + "  ";
    for (std::size_t i = 0; i < row.size();) {
        const Colour colour = row[i].colour;
        std::string run;
        for (; i < row.size() && row[i].colour == colour; ++i) {
            run += row[i].glyph;
        }
        text += terminal_.paint(colour, run);
    }
    out_ << text << ' ' << label << std::endl;
}

void SequenceDiagram::print_gap(Duration gap) {
    print("", life_lines(glyphs_of(terminal_).waiting_line),
          terminal_.paint(Colour::dim, "... idle " + format_ms(gap, 0) + " ms ..."));
}

void SequenceDiagram::add(Duration at, std::size_t from, std::size_t to, std::string_view label) {
    if (at - last_ >= gap_min) {
        print_gap(at - last_);
    }
    last_ = at;
    Row row = life_lines(glyphs_of(terminal_).line);
    draw_arrow(row, from, to);
    print(format_ms(at, 1), row, label);
}

}  // namespace asyncio::cli
