// The pages of the demonstration site.
#include "site_pages.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace asyncio::cli {

namespace {

constexpr std::uint64_t delay_ms_max = 600'000;
constexpr std::uint64_t bytes_max = std::uint64_t{1} << 30;
constexpr std::uint64_t redirects_max = 1'000;
constexpr std::uint64_t fields_max = 1'000;

constexpr std::string_view index_text =
    "/delay/MS       answers after MS milliseconds\n"
    "/bytes/N        N bytes\n"
    "/status/CODE    an answer with this status\n"
    "/flaky/P        fails with status 500 in P percent of the requests\n"
    "/redirect/N     redirects N times, then answers\n"
    "/headers/N      N additional header fields\n";

// 64 KiB of lines of 64 bytes.
using Pattern = std::array<char, std::size_t{64} * 1024>;

Pattern make_pattern() noexcept {
    Pattern pattern{};
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        pattern[i] = i % 64 == 63 ? '\n' : static_cast<char>('0' + i % 64);
    }
    return pattern;
}

// A well-mixed number of 64 bits (SplitMix64).
std::uint64_t mixed(std::uint64_t n) noexcept {
    n += 0x9e3779b97f4a7c15;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
    n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
    return n ^ (n >> 31);
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end) {
        return std::nullopt;
    }
    return number;
}

Answer delayed(std::uint64_t ms) {
    Answer answer = plain_answer(200, "waited " + std::to_string(ms) + " ms\n");
    answer.delay = std::chrono::milliseconds(ms);
    return answer;
}

Answer bytes(std::uint64_t size) {
    Answer answer;
    answer.pattern_size = size;
    return answer;
}

Answer status(std::uint64_t code) {
    const int number = static_cast<int>(code);
    std::string text = std::to_string(code) + " " + std::string(reason_of(number)) + "\n";
    return plain_answer(number, has_no_body(number) ? std::string() : std::move(text));
}

Answer redirect(std::uint64_t left) {
    if (left == 0) {
        return plain_answer(200, "arrived\n");
    }
    Answer answer = plain_answer(302, std::to_string(left) + " redirects to go\n");
    answer.fields = "Location: /redirect/" + std::to_string(left - 1) + "\r\n";
    return answer;
}

Answer headers(std::uint64_t count) {
    Answer answer = plain_answer(200, std::to_string(count) + " additional header fields\n");
    for (std::uint64_t i = 1; i <= count; ++i) {
        answer.fields += "X-Field-" + std::to_string(i) + ": value-" + std::to_string(i) + "\r\n";
    }
    return answer;
}

}  // namespace

std::string_view reason_of(int status) noexcept {
    static constexpr std::pair<int, std::string_view> reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {418, "I'm a teapot"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (const auto& [code, reason] : reasons) {
        if (code == status) {
            return reason;
        }
    }
    return "Unknown";
}

bool has_no_body(int status) noexcept { return status == 204 || status == 304; }

std::string_view pattern() noexcept {
    static const Pattern instance = make_pattern();
    return {instance.data(), instance.size()};
}

Answer plain_answer(int status, std::string text) {
    Answer answer;
    answer.status = status;
    answer.body = std::move(text);
    return answer;
}

Answer SitePages::flaky(std::uint64_t percent) {
    const bool fails = mixed(seed_ ^ mixed(flaky_count_++)) % 100 < percent;
    return fails ? plain_answer(500, "failed, as it does now and then\n")
                 : plain_answer(200, "worked this time\n");
}

Answer SitePages::get(std::string_view path) {
    if (path == "/") {
        return plain_answer(200, std::string(index_text));
    }
    const std::size_t slash = path.find('/', 1);
    const std::string_view page = path.substr(0, slash);
    const std::string_view argument = slash == path.npos ? "" : path.substr(slash + 1);
    const auto number = parse_number(argument);
    const auto answer_within = [&](std::uint64_t min, std::uint64_t max, auto page_of) {
        if (!number || *number < min || *number > max) {
            return plain_answer(400, std::string(page) + "/ takes a number from " +
                                         std::to_string(min) + " to " + std::to_string(max) + "\n");
        }
        return page_of(*number);
    };
    if (page == "/delay") {
        return answer_within(0, delay_ms_max, delayed);
    }
    if (page == "/bytes") {
        return answer_within(0, bytes_max, bytes);
    }
    if (page == "/status") {
        return answer_within(200, 599, status);
    }
    if (page == "/flaky") {
        return answer_within(0, 100, [this](std::uint64_t percent) { return flaky(percent); });
    }
    if (page == "/redirect") {
        return answer_within(0, redirects_max, redirect);
    }
    if (page == "/headers") {
        return answer_within(0, fields_max, headers);
    }
    return plain_answer(404, "no such page; there are:\n" + std::string(index_text));
}

}  // namespace asyncio::cli
