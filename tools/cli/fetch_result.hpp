// What `asyncio fetch` says about one URL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace asyncio::cli {

struct FetchResult {
    std::string url;
    // 0 if there was no answer.
    int status = 0;
    std::uint64_t body_size = 0;
    double seconds = 0;
    int attempts = 1;
    // Why it failed, or "".
    std::string problem;
    // Where the body went, or "".
    std::string file;
    // Where redirects led, or "".
    std::string final_url;

    bool failed() const noexcept { return !problem.empty(); }
};

// At most `size_max` bytes of text and then "...", cut between two characters: servers choose how
// long their words are, and results are held in memory.
std::string shortened(std::string_view text, std::size_t size_max);

// "200       1234   0.035 s  http://example.org/", in columns. One line with its end, whatever the
// URL and the problem contain, that does nothing to a terminal but show text. Passwords in the URL
// are left out.
std::string text_line(const FetchResult& result);

// The same as a JSON object.
std::string json_line(const FetchResult& result);

}  // namespace asyncio::cli
