// A sequence diagram in the terminal, printed row by row while the events happen.
#pragma once

#include <asyncio/clock.hpp>

#include "terminal.hpp"

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace asyncio::cli {

// Time goes downwards; every participant is a vertical line, every event one row:
//
//        ms      Main      Event loop    Task 1
//       0.1       ├───────────>│           │        create_task(Task 1)
//       0.2       │            ├──────────>│        first step
//     ... idle 998 ms ...
//
// Invariant: rows are in the order of their times.
class SequenceDiagram {
public:
    SequenceDiagram(std::ostream& out, Terminal terminal, std::vector<std::string> participants);

    void print_header();
    // Something passes from one participant to another, or stays with one (`from == to`), at a
    // time since the beginning. A gap before it is shown as one row.
    void add(Duration at, std::size_t from, std::size_t to, std::string_view label);

private:
    // One column of the screen.
    struct Cell {
        std::string_view glyph;
        Colour colour;
    };
    using Row = std::vector<Cell>;

    std::size_t position_of(std::size_t participant) const noexcept;
    Colour colour_of(std::size_t participant) const noexcept;
    Row life_lines(std::string_view glyph) const;
    void draw_arrow(Row& row, std::size_t from, std::size_t to) const;
    void print(std::string_view time, const Row& row, std::string_view label);
    void print_gap(Duration gap);

    std::ostream& out_;
    Terminal terminal_;
    std::vector<std::string> participants_;
    std::size_t spacing_;
    Duration last_{};
};

}  // namespace asyncio::cli
