// Lines that are finished in any order and printed in that of their numbers, as early as possible.
#pragma once

#include <asyncio/future.hpp>

#include <cstddef>
#include <cstdio>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::cli {

// Invariants:
//  1. `finished_[i]` is the line of number `printed_ + i`, if that is finished; the first one is
//     not.
//  2. `finished_` has at most `lines_max` elements, because nobody is let in who is further ahead.
class OrderedOutput {
public:
    // Lines that wait for an earlier one. One URL that takes for ever holds up its successors'
    // output, and beyond this number their start.
    static constexpr std::size_t lines_max = 16'384;

    explicit OrderedOutput(std::FILE* out) : out_(out) {}
    OrderedOutput(const OrderedOutput&) = delete;
    OrderedOutput& operator=(const OrderedOutput&) = delete;
    ~OrderedOutput() { flush(); }

    // Waits until `number` is near enough to what is printed.
    Coro<void> enter(std::size_t number);

    // Takes the line of that number. Raises: std::system_error if the lines cannot be written.
    void put(std::size_t number, std::string line);

    // Writes at once what can be printed.
    void flush() noexcept;

    // Called before and after lines are written, for whoever shares the terminal.
    void set_hooks(std::function<void()> before, std::function<void()> after);

private:
    std::FILE* const out_;
    std::function<void()> before_;
    std::function<void()> after_;
    std::size_t printed_ = 0;
    std::deque<std::optional<std::string>> finished_;
    std::string unwritten_;
    bool flush_scheduled_ = false;
    int write_error_ = 0;
    std::vector<Future<void>> waiting_;
};

}  // namespace asyncio::cli
