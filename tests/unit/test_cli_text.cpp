// The pictures of the command: the sequence diagram and the table, without any program behind them.
#include "../../tools/cli/sequence_diagram.hpp"
#include "../../tools/cli/terminal.hpp"
#include "../../tools/cli/text_table.hpp"
#include "../../tools/cli/tick_picture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

using namespace std::chrono_literals;
using asyncio::cli::Colour;
using asyncio::cli::SequenceDiagram;
using asyncio::cli::Terminal;
using asyncio::cli::TextTable;
using asyncio::cli::TickPicture;

namespace {

Terminal unicode_terminal() {
    Terminal terminal;
    terminal.has_unicode = true;
    return terminal;
}

std::size_t widest_line(const std::string& text) {
    std::istringstream lines(text);
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) {
        widest = std::max(widest, asyncio::cli::width_of(line));
    }
    return widest;
}

TEST(SequenceDiagrams, arrows_go_from_line_to_line) {
    std::ostringstream out;
    SequenceDiagram diagram(out, unicode_terminal(), {"Main", "Event loop", "Task 1"});
    diagram.print_header();
    diagram.add(0ms, 0, 1, "create_task(Task 1)");
    diagram.add(1250us, 1, 2, "first step");
    diagram.add(1300us, 2, 0, "result");
    diagram.add(2ms, 0, 0, "alone");
    EXPECT_EQ(out.str(), "    ms      Main      Event loop     Task 1\n"
                         "   0.0        ├───────────>│            │       create_task(Task 1)\n"
                         "   1.2        │            ├───────────>│       first step\n"
                         "   1.3        │<────────────────────────┤       result\n"
                         "   2.0        ●            │            │       alone\n");
}

TEST(SequenceDiagrams, a_gap_is_folded_into_one_row) {
    std::ostringstream out;
    SequenceDiagram diagram(out, Terminal{}, {"A", "B"});
    diagram.add(1ms, 0, 1, "go");
    diagram.add(999ms, 1, 0, "done");
    EXPECT_EQ(out.str(), "   1.0        |----------->|       go\n"
                         "              :            :       ... idle 998 ms ...\n"
                         " 999.0        |<-----------|       done\n");
}

TEST(SequenceDiagrams, eight_participants_fit_into_eighty_columns) {
    std::vector<std::string> names{"Main", "Event loop"};
    for (int i = 1; i <= 6; ++i) {
        names.push_back("Task " + std::to_string(i));
    }
    std::ostringstream out;
    SequenceDiagram diagram(out, unicode_terminal(), names);
    diagram.print_header();
    diagram.add(123'456ms, 0, 7, "create_task(Task 6)");
    EXPECT_LE(widest_line(out.str()), 80U);
    EXPECT_TRUE(out.str().starts_with(
        "               Event Task  Task  Task  Task  Task  Task\n"
        "    ms   Main  loop    1     2     3     4     5     6\n"
        "           ┊     ┊     ┊     ┊     ┊     ┊     ┊     ┊   ... idle 123456 ms ...\n"))
        << out.str();
}

TEST(SequenceDiagrams, colours_are_used_only_where_they_are_wanted) {
    std::ostringstream plain;
    SequenceDiagram(plain, Terminal{}, {"A", "B"}).add(0ms, 0, 1, "x");
    EXPECT_EQ(plain.str().find('\033'), std::string::npos);
    Terminal terminal;
    terminal.has_colours = true;
    std::ostringstream coloured;
    SequenceDiagram(coloured, terminal, {"A", "B"}).add(0ms, 0, 1, "x");
    EXPECT_NE(coloured.str().find("\033[36m"), std::string::npos);
}

TEST(TickPictures, show_where_ticks_are_missing) {
    std::ostringstream out;
    TickPicture picture(out, Terminal{}, 10ms);
    picture.print_header();
    picture.add(0);
    picture.add(3);
    picture.add(0);
    picture.finish();
    EXPECT_EQ(out.str(), "    ms  . a tick every 10 ms, # none came\n"
                         "     0  .###..\n");
}

TEST(TickPictures, begin_a_row_after_fifty) {
    std::ostringstream out;
    TickPicture picture(out, unicode_terminal(), 20ms);
    picture.add(98);
    picture.add(0);
    picture.add(0);
    picture.finish();
    std::string bar;
    for (int i = 0; i < 48; ++i) {
        bar += "█";
    }
    EXPECT_EQ(out.str(), "     0  ██" + bar + "\n  1000  " + bar + "··\n  2000  ·\n");
}

TEST(TextTables, words_are_wrapped_inside_their_cells) {
    const TextTable table{{"way", "use"}, {6, 10}, {{"first", "one two three four"}, {"b", "c"}}};
    EXPECT_EQ(table.str(Terminal{}), " way    | use\n"
                                     "--------+------------\n"
                                     " first  | one two\n"
                                     "        | three four\n"
                                     "--------+------------\n"
                                     " b      | c\n");
}

TEST(TextTables, a_word_that_is_too_long_stays_whole) {
    EXPECT_EQ(asyncio::cli::wrap("a incomprehensible b", 5),
              (std::vector<std::string>{"a", "incomprehensible", "b"}));
    EXPECT_EQ(asyncio::cli::wrap("", 5), std::vector<std::string>{""});
}

TEST(Terminals, what_is_no_terminal_has_eighty_columns_and_no_colours) {
    ::setenv("LC_ALL", "C.UTF-8", 1);
    const Terminal terminal = Terminal::of(-1);
    EXPECT_EQ(terminal.columns, 80U);
    EXPECT_FALSE(terminal.has_colours);
    EXPECT_TRUE(terminal.has_unicode);
    EXPECT_EQ(terminal.paint(Colour::red, "text"), "text");
    ::setenv("LC_ALL", "C", 1);
    EXPECT_FALSE(Terminal::of(-1).has_unicode);
}

TEST(Terminals, the_width_of_text_counts_characters) {
    EXPECT_EQ(asyncio::cli::width_of("a├─>é"), 5U);
}

}  // namespace
