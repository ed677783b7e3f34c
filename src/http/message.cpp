// Requests and responses: what the public classes check and look up.
#include <asyncio/http.hpp>

#include "http/text.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace http {

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

// RFC 9110, section 5.6.2.
bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        const char l = lower(c);
        return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

// What gets into a request unchecked becomes a second request of somebody else's making.
void check_field(std::string_view name, std::string_view value) {
    if (!is_token(name)) {
        throw ValueError("'" + std::string(name) +
                         "' is no name for a header field: use letters, digits and '-'");
    }
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
        throw ValueError("the value of the header field '" + std::string(name) +
                         "' has a line break or a zero byte: remove or encode it");
    }
}

}  // namespace

// ---- header fields

std::string_view Headers::get(std::string_view name, std::string_view fallback) const noexcept {
    for (const Field& field : fields_) {
        if (same_name(field.first, name)) {
            return field.second;
        }
    }
    return fallback;
}

std::vector<std::string_view> Headers::getall(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const Field& field : fields_) {
        if (same_name(field.first, name)) {
            values.emplace_back(field.second);
        }
    }
    return values;
}

bool Headers::contains(std::string_view name) const noexcept {
    return std::any_of(fields_.begin(), fields_.end(),
                       [name](const Field& field) { return same_name(field.first, name); });
}

void Headers::add(std::string name, std::string value) {
    check_field(name, value);
    fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::set(std::string name, std::string value) {
    check_field(name, value);
    erase(name);
    fields_.emplace_back(std::move(name), std::move(value));
}

std::size_t Headers::erase(std::string_view name) noexcept {
    return std::erase_if(fields_,
                         [name](const Field& field) { return same_name(field.first, name); });
}

// ---- requests

Request::Request(std::string url) { parameters_.url = std::move(url); }
Request::Request(std::string_view url) : Request(std::string(url)) {}
Request::Request(const char* url) : Request(std::string(url)) {}

Request& Request::method(std::string method) & {
    if (!is_token(method)) {
        throw ValueError("'" + method + "' is no HTTP method: use a word such as GET or POST");
    }
    parameters_.method = std::move(method);
    return *this;
}

Request& Request::header(std::string name, std::string value) & {
    parameters_.headers.add(std::move(name), std::move(value));
    return *this;
}

Request& Request::body(std::string body) & {
    parameters_.body = std::move(body);
    return *this;
}

Request& Request::timeout(Duration timeout) & {
    parameters_.timeout = timeout;
    return *this;
}

Request& Request::connect_timeout(Duration timeout) & {
    parameters_.connect_timeout = timeout;
    return *this;
}

Request& Request::max_size(std::uint64_t bytes) & {
    parameters_.max_size = bytes;
    return *this;
}

Request& Request::max_redirects(int redirects) & {
    parameters_.max_redirects = redirects;
    return *this;
}

Request& Request::sink(BodySink sink) & {
    parameters_.sink = std::move(sink);
    return *this;
}

// ---- responses

void Response::raise_for_status() const {
    if (!ok()) {
        throw Error(ErrorKind::bad_status, url,
                    "the server answered " + std::to_string(status) +
                        (reason.empty() ? std::string() : " " + detail::printable(reason)));
    }
}

}  // namespace http
}  // namespace asyncio::inline v0
