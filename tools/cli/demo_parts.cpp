// What the scenarios of the demo are told with.
#include "demo_parts.hpp"

#include <cstdio>
#include <iostream>

namespace asyncio::cli {

std::string in_seconds(Duration time) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(time).count());
    return text;
}

void print_heading(const Terminal& terminal, std::string_view text) {
    std::cout << '\n' << terminal.paint(Colour::bold, "== " + std::string(text) + " ==") << '\n';
}

void print_way(const Terminal& terminal, Colour colour, std::string_view title,
               std::string_view code) {
    std::cout << '\n' << terminal.paint(colour, title) << '\n' << code << std::endl;
}

void print_took(const Terminal& terminal, Colour colour, Duration time) {
    std::cout << terminal.paint(colour, "took " + in_seconds(time)) << '\n';
}

std::vector<std::string> measured_row(std::string_view work, Duration bad, Duration better) {
    char gain[32];
    std::snprintf(gain, sizeof gain, "%.1f times", std::chrono::duration<double>(bad) / better);
    return {std::string(work), in_seconds(bad), in_seconds(better), gain};
}

}  // namespace asyncio::cli
