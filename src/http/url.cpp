// URLs.
#include "http/url.hpp"

#include <asyncio/http.hpp>

#include "http/text.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <new>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

using Handle = std::unique_ptr<CURLU, void (*)(CURLU*)>;

// Spaces and bytes beyond ASCII are encoded, as people write them all the time.
constexpr unsigned lenient = CURLU_URLENCODE;

Handle checked(CURLU* url) {
    if (url == nullptr) {
        throw std::bad_alloc();
    }
    return Handle(url, &curl_url_cleanup);
}

// "" for a part that is not there.
std::string part(CURLU* url, CURLUPart which, unsigned flags) {
    char* text = nullptr;
    const CURLUcode code = curl_url_get(url, which, &text, flags);
    const std::unique_ptr<char, void (*)(void*)> owned(text, &curl_free);
    if (code == CURLUE_OUT_OF_MEMORY) {
        throw std::bad_alloc();
    }
    return code == CURLUE_OK ? std::string(text) : std::string();
}

// libcurl reads names beyond ASCII in the thread's locale, which need not be of UTF-8.
class Utf8Scope {
public:
    Utf8Scope()
        : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)),
          before_(utf8_ != nullptr ? ::uselocale(utf8_) : nullptr) {}
    Utf8Scope(const Utf8Scope&) = delete;
    Utf8Scope& operator=(const Utf8Scope&) = delete;
    ~Utf8Scope() {
        if (utf8_ != nullptr) {
            ::uselocale(before_);
            ::freelocale(utf8_);
        }
    }

private:
    locale_t utf8_;
    locale_t before_;
};

bool is_ascii(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
}

// Writes the host in ASCII. False if it cannot be.
bool encode_host(CURLU* url) {
    const std::string given = part(url, CURLUPART_HOST, 0);
    if (is_ascii(given)) {
        return true;
    }
    const Utf8Scope scope;
    char* ascii = nullptr;
    const CURLUcode code = curl_url_get(url, CURLUPART_HOST, &ascii, CURLU_PUNYCODE);
    const std::unique_ptr<char, void (*)(void*)> owned(ascii, &curl_free);
    return code == CURLUE_OK && is_ascii(ascii) &&
           curl_url_set(url, CURLUPART_HOST, ascii, 0) == CURLUE_OK;
}

// A text that was no URL may hold anything; what is shown of it is printable and short.
std::string quoted(std::string_view text) {
    constexpr std::size_t shown_max = 200;
    return "'" + shortened(printable(without_credentials(text)), shown_max) + "'";
}

std::string unsupported(std::string_view scheme) {
    return "the scheme '" + std::string(scheme) + "' is not supported: only http and https are";
}

// Why a text without "://" is no URL.
std::string scheme_problem(std::string_view text) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const std::size_t colon = text.find(':');
    const std::string_view scheme = text.substr(0, colon);
    const std::string_view rest = colon == text.npos ? "" : text.substr(colon + 1);
    // "localhost:8080" is a name with its port, "mailto:me" is not.
    const bool has_scheme = !scheme.empty() && !rest.empty() &&
                            std::all_of(scheme.begin(), scheme.end(), is_letter) &&
                            (rest.front() < '0' || rest.front() > '9');
    if (has_scheme && scheme != "http" && scheme != "https") {
        return unsupported(scheme);
    }
    return has_scheme ? "the URL has no '//' behind its scheme: write it as http://host/path"
                      : "the URL has no scheme: write it as http://host/path";
}

// The parts of a URL that has been read.
Url take_apart(CURLU* url) {
    Url parts;
    if (!encode_host(url)) {
        throw Error(ErrorKind::bad_url, part(url, CURLUPART_URL, 0),
                    "the host is no valid name: check its spelling");
    }
    const std::string scheme = part(url, CURLUPART_SCHEME, 0);
    std::string host = part(url, CURLUPART_HOST, 0);
    std::transform(host.begin(), host.end(), host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    parts.port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    parts.origin = scheme + "://" + host + ":" + parts.port;
    curl_url_set(url, CURLUPART_FRAGMENT, nullptr, 0);
    parts.href = part(url, CURLUPART_URL, 0);
    curl_url_set(url, CURLUPART_USER, nullptr, 0);
    curl_url_set(url, CURLUPART_PASSWORD, nullptr, 0);
    parts.shown = part(url, CURLUPART_URL, 0);

    in_addr address;
    if (host.front() != '[' && ::inet_pton(AF_INET, host.c_str(), &address) != 1) {
        parts.lookup_name = std::move(host);
    }
    return parts;
}

}  // namespace

Url Url::parse(const std::string& text) {
    const Handle url = checked(curl_url());
    if (text.find("://") == std::string::npos) {
        throw Error(ErrorKind::bad_url, quoted(text), scheme_problem(text));
    }
    const CURLUcode code =
        curl_url_set(url.get(), CURLUPART_URL, text.c_str(), lenient | CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) {
        throw std::bad_alloc();
    }
    if (code != CURLUE_OK || text.find('\0') != std::string::npos) {
        throw Error(ErrorKind::bad_url, quoted(text),
                    std::string("the URL cannot be read: ") +
                        (code == CURLUE_OK ? "it has a zero byte" : curl_url_strerror(code)));
    }
    const std::string scheme = part(url.get(), CURLUPART_SCHEME, 0);
    if (scheme != "http" && scheme != "https") {
        throw Error(ErrorKind::bad_url, quoted(text), unsupported(scheme));
    }
    return take_apart(url.get());
}

Url Url::resolve(const std::string& location) const {
    if (location.empty()) {
        return *this;  // the same document, by RFC 3986, section 5.2; libcurl drops the query
    }
    const Handle url = checked(curl_url());
    curl_url_set(url.get(), CURLUPART_URL, href.c_str(), 0);
    const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, location.c_str(),
                                        lenient | CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) {
        throw std::bad_alloc();
    }
    if (code != CURLUE_OK) {
        throw Error(ErrorKind::redirect, shown,
                    "redirects to " + quoted(location) +
                        ", which is no URL: " + curl_url_strerror(code));
    }
    const std::string scheme = part(url.get(), CURLUPART_SCHEME, 0);
    if (scheme != "http" && scheme != "https") {
        throw Error(ErrorKind::redirect, shown,
                    "redirects to " + quoted(location) +
                        ", which is not followed: " + unsupported(scheme));
    }
    try {
        return take_apart(url.get());
    } catch (const Error& error) {
        throw Error(ErrorKind::redirect, shown,
                    "redirects to " + quoted(location) + ": " + error.problem());
    }
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
