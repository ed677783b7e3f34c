// The pages of the demonstration site: what each path answers. Knows nothing of connections.
#pragma once

#include <asyncio/clock.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace asyncio::cli {

struct Answer {
    int status = 200;
    // Header fields, each with its line end, besides those that every answer has.
    std::string fields;
    std::string body;
    // Instead of `body`: so many bytes of a fixed pattern.
    std::uint64_t pattern_size = 0;
    // How long to wait before answering.
    Duration delay{};

    std::uint64_t size() const noexcept { return body.size() + pattern_size; }
};

// "OK", "Not Found"; "Unknown" for numbers that mean nothing.
std::string_view reason_of(int status) noexcept;

// Whether answers of this status have no body by definition.
bool has_no_body(int status) noexcept;

// A piece of the pattern that /bytes answers with, repeated as often as needed.
std::string_view pattern() noexcept;

// A short text as the answer.
Answer plain_answer(int status, std::string text);

// Invariant: the answers depend on the seed and on the paths asked for so far, and on nothing else.
class SitePages {
public:
    explicit SitePages(std::uint64_t seed) noexcept : seed_(seed) {}

    Answer get(std::string_view path);

private:
    Answer flaky(std::uint64_t percent);

    std::uint64_t seed_;
    std::uint64_t flaky_count_ = 0;
};

}  // namespace asyncio::cli
