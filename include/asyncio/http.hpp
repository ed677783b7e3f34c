// http: fetch what a URL names, over HTTP/1.1, HTTP/2 and TLS, without ever blocking the loop.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/coro.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {
namespace http {

namespace detail {
class Head;
class Session;
}  // namespace detail

/// What went wrong. A deadline is no kind of its own: it is a TimeoutError.
enum class ErrorKind : std::uint8_t {
    bad_url,         ///< the URL cannot be read, or is neither http nor https
    name_not_found,  ///< the name has no address, or the name server does not answer
    cannot_connect,  ///< refused, unreachable, or no descriptor left
    tls,             ///< no agreement on TLS, or a certificate that cannot be trusted
    bad_response,    ///< not HTTP, cut off, or wrongly compressed
    too_large,       ///< more body or more headers than the limits allow
    redirect,        ///< too many redirects, or one that must not be followed
    bad_status,      ///< `Response::raise_for_status` met a status of 400 or more
    closed,          ///< the client was closed meanwhile
};

/// A fetch that failed. The text says what was wrong and what can be done about it.
class ASYNCIO_API Error : public asyncio::Error {
public:
    Error(ErrorKind kind, std::string url, std::string problem);
    ~Error() override;

    ErrorKind kind() const noexcept { return kind_; }
    /// The URL at fault, which may be that of a redirect; without user name and password.
    const std::string& url() const noexcept { return url_; }
    /// The text without the URL.
    const std::string& problem() const noexcept { return problem_; }
    /// The URLs that had redirected until then, in order.
    const std::vector<std::string>& history() const noexcept { return history_; }

private:
    friend class detail::Session;
    ErrorKind kind_;
    std::string url_;
    std::string problem_;
    std::vector<std::string> history_;
};

/// A fetch that took too long. Catch it as asyncio::TimeoutError, as every deadline.
class ASYNCIO_API TimeoutError : public asyncio::TimeoutError {
public:
    TimeoutError(std::string url, std::string problem);
    ~TimeoutError() override;

    const std::string& url() const noexcept { return url_; }
    const std::string& problem() const noexcept { return problem_; }
    /// As Error::history.
    const std::vector<std::string>& history() const noexcept { return history_; }

private:
    friend class detail::Session;
    std::string url_;
    std::string problem_;
    std::vector<std::string> history_;
};

/// Header fields in the order in which they came; names compare without regard to case.
/// Cost: look-ups are linear, which is fastest for the few fields that messages have.
class ASYNCIO_API Headers {
public:
    using Field = std::pair<std::string, std::string>;

    /// The first value of that name, or `fallback`. Valid until the next change.
    std::string_view get(std::string_view name, std::string_view fallback = {}) const noexcept;
    std::vector<std::string_view> getall(std::string_view name) const;
    bool contains(std::string_view name) const noexcept;

    /// Appends a field. Raises: ValueError if the name is no token, or the value has a line break
    /// or a zero byte.
    void add(std::string name, std::string value);
    /// Replaces all fields of that name by one.
    void set(std::string name, std::string value);
    /// Returns how many fields were removed.
    std::size_t erase(std::string_view name) noexcept;

    std::size_t size() const noexcept { return fields_.size(); }
    bool empty() const noexcept { return fields_.empty(); }
    auto begin() const noexcept { return fields_.begin(); }
    auto end() const noexcept { return fields_.end(); }

private:
    friend class detail::Head;  // takes what servers send as it is
    std::vector<Field> fields_;
};

/// Where the time of a fetch went. Of several hops, all but `total` describe the last.
struct Timings {
    Duration name_lookup{};  ///< 0 for an address, and nearly so for a remembered name
    Duration connect{};      ///< TCP; 0 on a connection that was used again
    Duration tls{};
    Duration first_byte{};  ///< from the start of the transfer until the answer began
    Duration total{};       ///< everything, with redirects and waiting for a connection
};

/// An answer, whatever its status.
struct ASYNCIO_API Response {
    int status = 0;
    /// "Not Found", at most 200 bytes of it; empty over HTTP/2.
    std::string reason;
    /// "1.0", "1.1" or "2".
    std::string http_version;
    Headers headers;
    /// Decompressed. Empty if the request has a sink. A compressed body that ends early is noticed
    /// by its Content-Length or its last chunk only: libcurl does not tell whether the compressed
    /// data itself were complete, so a server that cuts them off and counts what is left is
    /// believed.
    std::string body;
    /// Bytes of the decompressed body, also of one that went to a sink.
    std::uint64_t body_size = 0;
    /// Where the answer came from in the end; without user name and password.
    std::string url;
    /// The URLs that redirected, in order.
    std::vector<std::string> history;
    Timings timings;

    bool ok() const noexcept { return status < 400; }
    /// Raises: Error of kind bad_status if the status is 400 or more.
    void raise_for_status() const;
};

/// Receives the body piece by piece: for bodies that shall not be held in memory. `head` has the
/// status and the headers. Called on the loop's thread, never for an answer that redirects. What
/// it throws ends the fetch, and comes out of it.
using BodySink = std::function<void(const Response& head, std::string_view piece)>;

namespace detail {

// What a Request says.
struct Parameters {
    std::string url;
    std::string method;  // empty: as the body says
    Headers headers;
    std::optional<std::string> body;
    BodySink sink;
    std::optional<Duration> timeout;
    std::optional<Duration> connect_timeout;
    std::optional<std::uint64_t> max_size;
    std::optional<int> max_redirects;
};

}  // namespace detail

/// What to fetch, and how. The setters return the request, so that they can be chained:
///
///     co_await http::fetch(http::Request(url).method("PUT").body(text).timeout(5s));
///
/// Durations and sizes that are not set are the client's.
class ASYNCIO_API Request {
public:
    Request(std::string url);       // NOLINT(google-explicit-constructor)
    Request(std::string_view url);  // NOLINT(google-explicit-constructor)
    Request(const char* url);       // NOLINT(google-explicit-constructor)

    /// Without one: "POST" if there is a body, else "GET". Raises: ValueError if it is no token.
    Request& method(std::string method) &;
    /// Adds a field. Raises: ValueError, as Headers::add.
    Request& header(std::string name, std::string value) &;
    /// Sent as it is; no Content-Type is made up for it.
    Request& body(std::string body) &;
    /// For everything from the name lookup to the last byte, with all redirects; zero or less for
    /// no limit. Waiting for the client's limits does not count: that ends with the fetches in
    /// front, and these have time limits of their own. To limit it, too, cancel the fetch.
    Request& timeout(Duration timeout) &;
    /// For looking up the name, and again for TCP and TLS; zero or less for no limit.
    Request& connect_timeout(Duration timeout) &;
    /// At most so many bytes of body, after decompression. Bodies of redirects that are followed do
    /// not count, and are not read beyond 64 KiB: their connections are closed instead.
    Request& max_size(std::uint64_t bytes) &;
    /// More are an error; with 0 none is followed, and the answer that redirects is the result.
    Request& max_redirects(int redirects) &;
    Request& sink(BodySink sink) &;

    Request&& method(std::string method) && { return std::move(this->method(std::move(method))); }
    Request&& header(std::string name, std::string value) && {
        return std::move(header(std::move(name), std::move(value)));
    }
    Request&& body(std::string body) && { return std::move(this->body(std::move(body))); }
    Request&& timeout(Duration timeout) && { return std::move(this->timeout(timeout)); }
    Request&& connect_timeout(Duration timeout) && {
        return std::move(this->connect_timeout(timeout));
    }
    Request&& max_size(std::uint64_t bytes) && { return std::move(max_size(bytes)); }
    Request&& max_redirects(int redirects) && { return std::move(max_redirects(redirects)); }
    Request&& sink(BodySink sink) && { return std::move(this->sink(std::move(sink))); }

private:
    friend class detail::Session;
    detail::Parameters parameters_;
};

struct ClientOptions {
    /// Fetches in flight, and so connections in use; more wait for their turn.
    std::size_t limit = 100;
    /// The same for one scheme, host and port; 0 for no limit of its own.
    std::size_t limit_per_host = 0;
    Duration timeout = std::chrono::minutes(5);
    Duration connect_timeout = std::chrono::seconds(30);
    std::uint64_t max_size = 100u << 20;
    int max_redirects = 20;
    /// Header fields of one answer, those of interim answers included, and their bytes.
    std::size_t max_headers = 256;
    std::size_t max_header_size = 64u << 10;
    /// How long an address is remembered; 0 to ask the system every time.
    Duration name_ttl = std::chrono::seconds(10);
    std::string user_agent = "asyncio-cpp/0.1";
    /// A PEM file of certificates to trust instead of the system's.
    std::string ca_file;
};

/// Connections that are kept and used again, and the limits on them.
///
/// Names are looked up with getaddrinfo in at most four threads of the client's own; equal look-ups
/// in flight are made once. Certificates are verified, always. Cookies, netrc files and the proxy
/// variables of the environment are not used.
///
/// Thread safety: belongs to the loop that runs when it is made. On a virtual clock no time passes
/// while a fetch is in flight.
class ASYNCIO_API Client {
public:
    /// Raises: RuntimeError if no loop runs in this thread; ValueError for a limit of 0.
    explicit Client(ClientOptions options = {});
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    /// Closes it.
    ~Client();

    /// Fetches a URL, following redirects of status 301, 302, 303, 307 and 308 to http and https.
    /// Credentials are not sent on to another scheme, host or port. An answer is a result, whatever
    /// its status. Fetches wait for the client's limits in the order of their calls; one that is
    /// redirected keeps its place, and is the next if it goes on to another host.
    ///
    /// A compressed body that lacks its end is not noticed (by libcurl, curl and this) unless its
    /// length was announced: let servers announce it, or compare a checksum.
    ///
    /// Raises: Error, or TimeoutError; ValueError for a HEAD request with a body. Cancel safety:
    /// the transfer is removed at once and its connection closed; the server may have got the
    /// request, wholly or in part.
    Coro<Response> fetch(Request request);

    /// Ends fetches in flight with an Error, and closes all connections. Never blocks. Idempotent;
    /// happens at the latest when the loop closes.
    void close() noexcept;

private:
    std::shared_ptr<detail::Session> session_;
};

/// Client::fetch, with a client that the running loop keeps until it closes.
ASYNCIO_API Coro<Response> fetch(Request request);

}  // namespace http
}  // namespace asyncio::inline v0
