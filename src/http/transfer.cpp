// One easy handle: its options, its callbacks, its outcome.
#include "http/transfer.hpp"

#include "http/error.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// CURLOPT_CONNECTTIMEOUT_MS takes 0 for libcurl's default of five minutes; a day is no limit.
long to_curl_ms(Duration timeout) noexcept {
    constexpr Duration none = std::chrono::hours(24);
    const Duration used = timeout > Duration::zero() ? std::min(timeout, none) : none;
    return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(used).count());
}

// libcurl says so since 8.6, and that it was out of memory before.
// Reading so much of a body that is dropped is worth the connection, which can be used again then.
constexpr std::uint64_t dropped_body_max = 64u << 10;

constexpr CURLcode too_large_code =
#if LIBCURL_VERSION_NUM >= 0x080600
    CURLE_TOO_LARGE;
#else
    CURLE_OUT_OF_MEMORY;
#endif

template <class Deleter>
void append(std::unique_ptr<curl_slist, Deleter>& list, const std::string& line) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) {
        throw std::bad_alloc();
    }
    (void)list.release();
    list.reset(longer);
}

}  // namespace

Transfer::Transfer(Exchange& exchange, Multi& multi, const Job& job)
    : Step(exchange), multi_(multi), job_(job), easy_(multi.take_easy()),
      head_(job.url.shown, job.options.max_headers, job.options.max_header_size) {
    configure();
}

Transfer::~Transfer() {
    if (!done()) {
        leave();
    }
    if (easy_ != nullptr) {
        multi_.give_back(std::move(easy_));
    }
    if (!pinned_.empty()) {
        multi_.names().put_back(std::move(stale_));
        multi_.names().unpin(pinned_);
    }
}

// ---- options

template <class Value>
void Transfer::set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_.get(), option, value);
    if (code == CURLE_OUT_OF_MEMORY) {
        throw std::bad_alloc();
    }
    if (code != CURLE_OK) {
        throw RuntimeError("libcurl refuses option " + std::to_string(option) + ": " +
                           curl_easy_strerror(code) + "; use libcurl 7.88 or newer");
    }
}

void Transfer::configure() {
    set(CURLOPT_PRIVATE, this);
    set(CURLOPT_ERRORBUFFER, words_);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_URL, job_.url.href.c_str());
    set(CURLOPT_PROXY, "");
    set(CURLOPT_ACCEPT_ENCODING, "");
    set(CURLOPT_CONNECTTIMEOUT_MS, to_curl_ms(job_.connect_timeout));
    if (!job_.options.ca_file.empty()) {
        set(CURLOPT_CAINFO, job_.options.ca_file.c_str());
        set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::socket_callback);
    set(CURLOPT_OPENSOCKETDATA, this);
    set(CURLOPT_HEADERFUNCTION, &Transfer::header_callback);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Transfer::body_callback);
    set(CURLOPT_WRITEDATA, this);
    configure_method();
    configure_headers();
    configure_addresses();
}

void Transfer::configure_method() {
    if (job_.parameters.body) {
        set(CURLOPT_POST, 1L);
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(job_.parameters.body->size()));
        set(CURLOPT_POSTFIELDS, job_.parameters.body->data());
    } else if (job_.parameters.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
        return;
    }
    set(CURLOPT_CUSTOMREQUEST, job_.parameters.method.c_str());
}

void Transfer::configure_headers() {
    for (const auto& [name, value] : job_.parameters.headers) {
        // libcurl takes "Name:" as an order to leave the field out.
        const bool is_blank = value.find_first_not_of(" \t") == value.npos;
        append(request_headers_,
               is_blank ? name + ";" : std::string(name).append(": ").append(value));
    }
    if (!job_.parameters.headers.contains("User-Agent")) {
        set(CURLOPT_USERAGENT, job_.options.user_agent.c_str());
    }
    if (job_.parameters.body) {
        // libcurl would call every body a form, and ask for permission to send a large one.
        for (const char* const name : {"Content-Type", "Expect"}) {
            if (!job_.parameters.headers.contains(name)) {
                append(request_headers_, std::string(name) + ":");
            }
        }
    }
    set(CURLOPT_HTTPHEADER, request_headers_.get());
}

void Transfer::configure_addresses() {
    if (job_.addresses.empty()) {
        return;
    }
    const std::string name = job_.url.lookup_name + ":" + job_.url.port;
    multi_.names().pin(name);
    pinned_ = name;
    stale_ = multi_.names().take_stale();
    for (const std::string& other : stale_) {
        append(addresses_, "-" + other);
    }
    append(addresses_, name + ":" + job_.addresses);
    set(CURLOPT_RESOLVE, addresses_.get());
}

// ---- callbacks

curl_socket_t Transfer::socket_callback(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    // libcurl's own sockets would be inherited by child processes, and it hides why it got none.
    const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        static_cast<Transfer*>(self)->socket_error_ = errno;
        return CURL_SOCKET_BAD;
    }
    return fd;
}

std::size_t Transfer::header_callback(char* data, std::size_t size, std::size_t count,
                                      void* self) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.done() || transfer.error_ != nullptr || transfer.enough_) {
        return 0;
    }
    try {
        const bool was_complete = transfer.head_.complete();
        transfer.head_.take_line({data, size * count});
        if (!was_complete && transfer.head_.complete()) {
            transfer.check_announced_size();
        }
    } catch (...) {
        transfer.error_ = std::current_exception();
        return 0;
    }
    return transfer.enough_ ? 0 : size * count;
}

std::size_t Transfer::body_callback(char* data, std::size_t size, std::size_t count,
                                    void* self) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.done() || transfer.error_ != nullptr || transfer.enough_) {
        return CURL_WRITEFUNC_ERROR;
    }
    try {
        transfer.take_body({data, size * count});
    } catch (...) {
        transfer.error_ = std::current_exception();
        return CURL_WRITEFUNC_ERROR;
    }
    // The sink may have cancelled this very fetch.
    return transfer.done() || transfer.enough_ ? CURL_WRITEFUNC_ERROR : size * count;
}

// Answers that announce too much fail before the first byte. libcurl's own check would also refuse
// the answer to HEAD, which has no body, and redirects, whose bodies nobody wants.
void Transfer::check_announced_size() {
    const std::uint64_t size =
        job_.parameters.method == "HEAD" ? 0 : Head::announced_size(head_.response);
    if (drops_body()) {
        enough_ = size > dropped_body_max;
    } else if (size > job_.size_max) {
        std::rethrow_exception(explain(CURLE_FILESIZE_EXCEEDED));
    }
}

void Transfer::take_body(std::string_view piece) {
    Response& response = head_.response;
    response.body_size += piece.size();
    if (drops_body()) {
        enough_ = response.body_size > dropped_body_max;
        return;
    }
    if (response.body_size > job_.size_max) {
        std::rethrow_exception(explain(CURLE_FILESIZE_EXCEEDED));
    }
    if (job_.parameters.sink) {
        job_.parameters.sink(response, piece);
    } else {
        response.body.append(piece);
    }
}

// ---- outcome

void Transfer::leave() noexcept { multi_.remove(*this); }

Transfer& Transfer::of(CURL* easy) noexcept {
    char* self = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
    return *reinterpret_cast<Transfer*>(self);
}

const char* Transfer::doing() const noexcept {
    if (head_.complete()) {
        return "receiving the body";
    }
    curl_off_t sent = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME_T, &sent);
    return sent > 0 ? "waiting for the answer" : "connecting";
}

std::exception_ptr Transfer::explain(CURLcode code) const noexcept {
    try {
        if (!head_.complete()) {
            if (code == CURLE_OK && head_.response.status == 101) {
                throw Error(ErrorKind::bad_response, job_.url.shown,
                            "the server switches to another protocol, which nobody asked for");
            }
            if (code == CURLE_OK) {
                throw Error(ErrorKind::bad_response, job_.url.shown,
                            "the connection broke before the header was complete");
            }
            if (code == CURLE_OUT_OF_MEMORY || code == too_large_code) {
                throw Error(ErrorKind::too_large, job_.url.shown,
                            "a line of the header is longer than libcurl takes, which is 100 kB");
            }
        }
        long os_error = 0;
        curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &os_error);
        if (os_error == 0) {
            os_error = socket_error_;
        }
        const Failure failure{code, words_, static_cast<int>(os_error), job_.size_max,
                              job_.connect_timeout};
        return transfer_exception(job_.url.shown, failure);
    } catch (...) {
        return std::current_exception();
    }
}

void Transfer::complete(CURLcode code) noexcept {
    stale_.clear();
    code = enough_ ? CURLE_OK : code;
    if (error_ == nullptr && (code != CURLE_OK || !head_.complete())) {
        error_ = explain(code);
    }
    finish();
}

void Transfer::fail(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    finish();
}

Duration Transfer::elapsed(CURLINFO which) const noexcept {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy_.get(), which, &microseconds);
    return std::chrono::microseconds(microseconds);
}

Response Transfer::await_resume() {
    resumed();
    if (error_ != nullptr) {
        std::rethrow_exception(error_);
    }
    const Duration connected = elapsed(CURLINFO_CONNECT_TIME_T);
    const Duration secured = elapsed(CURLINFO_APPCONNECT_TIME_T);
    Timings& timings = head_.response.timings;
    timings.connect = connected;
    timings.tls = secured > connected ? secured - connected : Duration::zero();
    timings.first_byte = elapsed(CURLINFO_STARTTRANSFER_TIME_T);
    return std::move(head_.response);
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
