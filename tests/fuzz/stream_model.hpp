// What a StreamReader must do, in the simplest way: no waiting, no chunks, no care for speed.
#pragma once

#include <asyncio/streams.hpp>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace fuzz {

// The error that a stream fails with.
struct StreamError : std::runtime_error {
    StreamError() : runtime_error("the stream has failed") {}
};

// A call of one of the functions that read; the kinds are the letters of an input's words.
struct Read {
    char kind = 'r';
    std::optional<std::size_t> size;
    std::vector<std::string> separators;
};
// From a word such as "r5" or "uab,n".
Read parse_read(const std::string& word);
// What a word such as "+abn" feeds, where `n` stands for a newline; or "*5000", so many bytes.
std::string fed_by(const std::string& word);

// Where a separator first ends in a text, and where the shortest that ends there begins.
struct Found {
    std::size_t begin;
    std::size_t end;
};
std::optional<Found> find_first(std::string_view text, const std::vector<std::string>& separators);

// Performs a read, and tells what came of it in the words of StreamModel.
asyncio::Coro<std::string> perform(asyncio::StreamReader reader, Read read);

// A reader that is fed directly, and the read that is going on.
class StreamModel {
public:
    explicit StreamModel(std::size_t limit) : limit_(limit) {}

    void feed(const std::string& text);
    void start(const Read& read) { read_ = read; }
    // What the read comes to, if anybody reads and it need not wait any longer.
    std::optional<std::string> attempt();

    bool eof = false;
    bool failed = false;
    bool cancelled = false;
    bool paused = false;

private:
    std::optional<std::string> outcome();
    std::optional<std::string> read_until(const std::vector<std::string>& separators);
    std::optional<std::string> read_line();
    std::optional<std::string> wait();
    std::string take(std::size_t size);

    std::size_t limit_;
    std::string buffer_;
    std::string taken_;  // by a read() that has not come to the end
    std::optional<Read> read_;
};

}  // namespace fuzz
