// What `asyncio fetch` says about one URL.
#pragma once

#include <cstdint>
#include <string>

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

    bool failed() const noexcept { return !problem.empty(); }
};

// "200       1234   0.035 s  http://example.org/", in columns. One line with its end, whatever the
// URL and the problem contain.
std::string text_line(const FetchResult& result);

// The same as a JSON object.
std::string json_line(const FetchResult& result);

}  // namespace asyncio::cli
