// What the scenarios of the demo are told with.
#pragma once

#include <asyncio/clock.hpp>

#include "terminal.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace asyncio::cli {

std::string in_seconds(Duration time);

void print_heading(const Terminal& terminal, std::string_view text);
// What comes before and after a way of doing the work, in its colour.
void print_way(const Terminal& terminal, Colour colour, std::string_view title,
               std::string_view code);
void print_took(const Terminal& terminal, Colour colour, Duration time);

// A row of the table of what was measured.
std::vector<std::string> measured_row(std::string_view work, Duration bad, Duration better);

}  // namespace asyncio::cli
