// Reading the head of a request. What is ambiguous is refused: two readers that understand a
// request differently are how requests are smuggled past one of them.
#include "request_head.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace asyncio::cli {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view head_end = "\r\n\r\n";

bool is_token_char(char c) noexcept {
    constexpr std::string_view punctuation = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           punctuation.find(c) != punctuation.npos;
}

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_field_char(char c) noexcept {
    return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
}

std::string to_lower(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
    }
    return lower;
}

std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view blanks = " \t";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == text.npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Takes the next line, without its end, off the text.
std::string_view take_line(std::string_view& text) noexcept {
    const std::size_t end = text.find(line_end);
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(line.size() + line_end.size());
    return line;
}

// Whether a comma-separated field contains an option.
bool has_option(std::string_view value, std::string_view option) {
    while (!value.empty()) {
        const std::size_t comma = std::min(value.find(','), value.size());
        if (to_lower(trim(value.substr(0, comma))) == option) {
            return true;
        }
        value.remove_prefix(std::min(comma + 1, value.size()));
    }
    return false;
}

std::string path_of(std::string_view target) {
    constexpr std::string_view scheme = "http://";
    if (to_lower(target.substr(0, scheme.size())) == scheme) {
        const std::size_t slash = target.find('/', scheme.size());
        target = slash == target.npos ? std::string_view("/") : target.substr(slash);
    }
    if (!target.starts_with('/')) {
        throw BadRequest(400, "the target must begin with '/'");
    }
    return std::string(target.substr(0, target.find('?')));
}

void parse_request_line(std::string_view line, RequestHead& request) {
    const std::size_t first = std::min(line.find(' '), line.size());
    const std::size_t last = line.rfind(' ');
    if (!is_token(line.substr(0, first)) || last == line.npos || last == first ||
        line.find(' ', first + 1) != last) {
        throw BadRequest(400, "the request line must be: METHOD TARGET HTTP/1.1");
    }
    const std::string_view version = line.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        throw BadRequest(version.starts_with("HTTP/") ? 505 : 400,
                         "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    request.method = line.substr(0, first);
    request.path = path_of(line.substr(first + 1, last - first - 1));
    request.minor_version = version.back() - '0';
}

std::uint64_t parse_body_size(std::string_view value) {
    std::uint64_t size = 0;
    const char* const end = value.data() + value.size();
    const auto [stopped, error] = std::from_chars(value.data(), end, size);
    if (error == std::errc::result_out_of_range || size > request_body_max) {
        throw BadRequest(413, "at most " + std::to_string(request_body_max) +
                                  " bytes of body are accepted");
    }
    if (error != std::errc() || stopped != end) {
        throw BadRequest(400, "Content-Length must be a number");
    }
    return size;
}

// What the fields of one head say that matters here.
class Fields {
public:
    void read(std::string_view line) {
        const std::size_t colon = line.find(':');
        const std::string_view value = trim(line.substr(std::min(colon + 1, line.size())));
        if (colon == line.npos || !is_token(line.substr(0, colon)) ||
            !std::all_of(value.begin(), value.end(), is_field_char)) {
            throw BadRequest(400, "a header field must be: Name: value");
        }
        if (++count_ > request_fields_max) {
            throw BadRequest(431, "at most " + std::to_string(request_fields_max) +
                                      " header fields are accepted");
        }
        const std::string name = to_lower(line.substr(0, colon));
        if (name == "host") {
            ++hosts_;
        } else if (name == "connection") {
            close_ |= has_option(value, "close");
            keep_ |= has_option(value, "keep-alive");
        } else if (name == "transfer-encoding") {
            throw BadRequest(501, "request bodies in chunks are not understood here");
        } else if (name == "content-length") {
            const std::uint64_t size = parse_body_size(value);
            if (body_size_.value_or(size) != size) {
                throw BadRequest(400, "two different values of Content-Length");
            }
            body_size_ = size;
        }
    }

    void apply(RequestHead& request) const {
        const bool is_old = request.minor_version == 0;
        if (hosts_ > 1 || (!is_old && hosts_ == 0)) {
            throw BadRequest(400, "there must be exactly one Host field");
        }
        request.body_size = body_size_.value_or(0);
        request.keep_alive = !close_ && (!is_old || keep_);
    }

private:
    int count_ = 0;
    int hosts_ = 0;
    bool close_ = false;
    bool keep_ = false;
    std::optional<std::uint64_t> body_size_;
};

}  // namespace

std::size_t find_head_end(std::string_view received) {
    const std::size_t end = received.find(head_end);
    const std::size_t size = end == received.npos ? received.size() : end;
    if (std::min(received.find(line_end), size) > request_line_max) {
        throw BadRequest(414, "the request line is longer than " +
                                  std::to_string(request_line_max) + " bytes");
    }
    if (size > request_head_max) {
        throw BadRequest(431, "the header is larger than " + std::to_string(request_head_max) +
                                  " bytes");
    }
    return end == received.npos ? end : end + head_end.size();
}

RequestHead parse_head(std::string_view head) {
    RequestHead request;
    parse_request_line(take_line(head), request);
    Fields fields;
    while (!head.starts_with(line_end)) {
        fields.read(take_line(head));
    }
    fields.apply(request);
    return request;
}

}  // namespace asyncio::cli
