// Drawing ticks with characters.
#include "tick_picture.hpp"

#include <cstdio>
#include <string>
#include <string_view>

namespace asyncio::cli {

namespace {

constexpr std::size_t ticks_a_row = 50;

struct Glyphs {
    std::string_view tick, missing;
};
constexpr Glyphs unicode_glyphs{"·", "█"};
constexpr Glyphs ascii_glyphs{".", "#"};

const Glyphs& glyphs_of(const Terminal& terminal) noexcept {
    return terminal.has_unicode ? unicode_glyphs : ascii_glyphs;
}

long in_ms(Duration time) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

}  // namespace

TickPicture::TickPicture(std::ostream& out, Terminal terminal, Duration interval)
    : out_(out), terminal_(terminal), interval_(interval) {}

void TickPicture::print_header() {
    const Glyphs& glyphs = glyphs_of(terminal_);
    out_ << terminal_.paint(Colour::bold, "    ms  ") << glyphs.tick << " a tick every "
         << in_ms(interval_) << " ms, " << terminal_.paint(Colour::red, glyphs.missing)
         << " none came" << std::endl;
}

void TickPicture::add(std::size_t missing) {
    const Glyphs& glyphs = glyphs_of(terminal_);
    for (std::size_t i = 0; i < missing; ++i) {
        put(glyphs.missing, Colour::red);
    }
    put(glyphs.tick, Colour::none);
    out_ << std::flush;
}

void TickPicture::put(std::string_view glyph, Colour colour) {
    if (count_ % ticks_a_row == 0) {
        char time[16];
        std::snprintf(time, sizeof time, "%6ld", in_ms(interval_ * count_));
        out_ << (count_ == 0 ? "" : "\n") << terminal_.paint(Colour::dim, time) << "  ";
    }
    ++count_;
    out_ << terminal_.paint(colour, glyph);
}

void TickPicture::finish() { out_ << std::endl; }

}  // namespace asyncio::cli
