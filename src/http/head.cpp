// Status lines and header fields.
#include "http/head.hpp"

#include "http/text.hpp"

#include <charconv>
#include <limits>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// A server may send any number of bytes there; a few words are of use.
constexpr std::size_t reason_size_max = 200;

std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view blank = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

}  // namespace

Head::Head(std::string url, std::size_t fields_max, std::size_t size_max)
    : fields_max_(fields_max), size_max_(size_max) {
    response.url = std::move(url);
}

void Head::take_line(std::string_view line) {
    size_ += line.size();
    if (size_ > size_max_) {
        throw_too_large(std::to_string(size_max_) + " bytes of header fields");
    }
    if (!in_fields_ && !complete_) {
        take_status(trimmed(line));
    } else if (trimmed(line).empty()) {
        in_fields_ = false;
        complete_ = response.status >= 200;
    } else {
        if (++fields_ > fields_max_) {
            throw_too_large(std::to_string(fields_max_) + " header fields");
        }
        if (!complete_) {
            take_field(line);
        }
    }
}

void Head::take_status(std::string_view line) {
    in_fields_ = true;
    response.headers = Headers();
    line.remove_prefix(std::min(line.size(), std::string_view("HTTP/").size()));
    const std::size_t space = std::min(line.find(' '), line.size());
    response.http_version = line.substr(0, space);
    line = trimmed(line.substr(space));
    response.status = 0;
    const auto end = std::from_chars(line.data(), line.data() + line.size(), response.status).ptr;
    response.reason = shortened(trimmed(line.substr(static_cast<std::size_t>(end - line.data()))),
                                reason_size_max);
}

void Head::take_field(std::string_view line) {
    auto& fields = response.headers.fields_;
    if ((line.front() == ' ' || line.front() == '\t') && !fields.empty()) {
        // The obsolete folding of RFC 9112, section 5.2: the line goes on with the one before.
        fields.back().second.append(" ").append(trimmed(line));
        return;
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
        fields.emplace_back(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
}

bool Head::is_redirect(const Response& response) noexcept {
    switch (response.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return response.headers.contains("Location");
    default:
        return false;
    }
}

std::uint64_t Head::announced_size(const Response& response) noexcept {
    // The announcement does not hold for answers without a body, nor beside chunks.
    if (response.status == 204 || response.status == 304 ||
        response.headers.contains("Transfer-Encoding")) {
        return 0;
    }
    const std::string_view text = response.headers.get("Content-Length");
    std::uint64_t size = 0;
    const auto outcome = std::from_chars(text.data(), text.data() + text.size(), size);
    return outcome.ec == std::errc::result_out_of_range ? std::numeric_limits<std::uint64_t>::max()
                                                        : size;
}

void Head::throw_too_large(const std::string& what) const {
    throw Error(ErrorKind::too_large, response.url,
                "the server sends more than " + what +
                    ": raise max_headers or max_header_size in ClientOptions if that is wanted");
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
