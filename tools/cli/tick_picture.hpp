// A picture of ticks in the terminal, drawn while they come: where they are missing, something
// held them up.
#pragma once

#include <asyncio/clock.hpp>

#include "terminal.hpp"

#include <cstddef>
#include <ostream>

namespace asyncio::cli {

// A character for each time at which there should be a tick, fifty in a row:
//
//        ms  . a tick every 10 ms, # none came
//         0  .####################.#####################.......
//       500  ..................
class TickPicture {
public:
    TickPicture(std::ostream& out, Terminal terminal, Duration interval);

    void print_header();
    // A tick, and how many did not come before it.
    void add(std::size_t missing);
    // Ends the last row.
    void finish();

private:
    void put(std::string_view glyph, Colour colour);

    std::ostream& out_;
    Terminal terminal_;
    Duration interval_;
    std::size_t count_ = 0;
};

}  // namespace asyncio::cli
