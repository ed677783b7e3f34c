// Lines that are finished in any order and printed in that of their numbers, as early as possible.
#pragma once

#include <asyncio/future.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::cli {

// Nobody reads the output any more.
class OutputClosed {};

// Writing never blocks the loop, whoever reads: what a pipe or a terminal does not take at once
// waits, and with it those who ask `enter`.
//
// Invariants:
//  1. `finished_[i]` is the line of number `printed_ + i`, if that is finished; the first one is
//     not.
//  2. `finished_` has at most `lines_max` elements, because nobody is let in who is further ahead.
//  3. `held_back_` is the size of the lines in `finished_`.
class OrderedOutput {
public:
    // Lines that wait for an earlier one. One URL that takes for ever holds up its successors'
    // output, and beyond this number, or these bytes, their start.
    static constexpr std::size_t lines_max = 16'384;
    static constexpr std::size_t held_back_max = 4u << 20;
    // Bytes that wait for a slow reader before nothing more is started.
    static constexpr std::size_t unwritten_max = 64u << 10;

    // For `total` lines.
    OrderedOutput(int fd, std::size_t total);
    OrderedOutput(const OrderedOutput&) = delete;
    OrderedOutput& operator=(const OrderedOutput&) = delete;
    ~OrderedOutput();

    // Waits until `number` is near enough to what is printed.
    Coro<void> enter(std::size_t number);

    // Takes the line of that number.
    void put(std::size_t number, std::string line);

    // Writes the lines as they come, until the last one is written. Raises: OutputClosed, or
    // std::system_error if they cannot be written.
    Coro<void> write_all();

    // Writes what is left and can be written at once. Errors do not matter any more.
    void write_rest() noexcept;

    // Called before and after lines are written, for whoever shares the terminal.
    void set_hooks(std::function<void()> before, std::function<void()> after);

private:
    bool may_enter(std::size_t number) const noexcept;
    void wake_waiting();
    // Whether a write would not block.
    bool is_ready() const noexcept;
    std::size_t unwritten() const noexcept { return lines_.size() - written_; }
    // Returns 0, EAGAIN if the reader must be waited for, or another errno.
    int write_some() noexcept;
    Coro<void> write_lines();

    // Constant after construction. `fd_` may be a description of its own of `given_fd_`'s file.
    const int given_fd_;
    const int fd_;
    const std::size_t total_;
    const bool is_regular_;

    std::function<void()> before_;
    std::function<void()> after_;
    std::size_t printed_ = 0;
    std::deque<std::optional<std::string>> finished_;
    std::size_t held_back_ = 0;
    // What is to be written; its first `written_` bytes have been.
    std::string lines_;
    std::size_t written_ = 0;
    // For whoever waits in `enter`, and for the writer.
    std::vector<Future<void>> waiting_;
    Future<void> more_;
};

}  // namespace asyncio::cli
