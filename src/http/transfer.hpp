// One request to one URL, and its answer: the exchange between two redirects.
#pragma once

#include <asyncio/http.hpp>

#include "http/exchange.hpp"
#include "http/head.hpp"
#include "http/multi.hpp"
#include "http/url.hpp"

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// What a transfer is to do.
struct Job {
    const Url& url;
    const Parameters& parameters;
    const ClientOptions& options;
    /// For CURLOPT_RESOLVE; empty if the URL has an address.
    std::string addresses;
    Duration connect_timeout;
    std::uint64_t size_max;
    /// Redirects are followed, so that their bodies matter to nobody.
    bool follows_redirects;
};

/// An awaiter of the Response; of its timings and history only what concerns this transfer.
///
/// Invariants:
///  1. `easy_` is with the multi handle exactly while the step is not done.
///  2. Once `error_` or `enough_` is set, libcurl is told to stop at its next callback.
class Transfer final : public Step, public asyncio::detail::ListNode {
public:
    Transfer(Exchange& exchange, Multi& multi, const Job& job);
    ~Transfer();

    bool await_ready() const noexcept { return exchange().aborted(); }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        begin(handle, WaitKind::io);
        multi_.add(*this);
    }
    Response await_resume();

    const char* doing() const noexcept override;

    /// libcurl is done with it. Called by Multi.
    void complete(CURLcode code) noexcept;
    /// It cannot go on. Called by Multi.
    void fail(std::exception_ptr error) noexcept;
    CURL* easy() const noexcept { return easy_.get(); }
    Easy release_easy() noexcept { return std::move(easy_); }

    static Transfer& of(CURL* easy) noexcept;

private:
    struct ListDeleter {
        void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
    };
    using List = std::unique_ptr<curl_slist, ListDeleter>;

    static curl_socket_t socket_callback(void* self, curlsocktype purpose,
                                         curl_sockaddr* address) noexcept;
    static std::size_t header_callback(char* data, std::size_t size, std::size_t count,
                                       void* self) noexcept;
    static std::size_t body_callback(char* data, std::size_t size, std::size_t count,
                                     void* self) noexcept;

    void leave() noexcept override;
    void configure();
    void configure_method();
    void configure_headers();
    void configure_addresses();
    // Of an answer whose header is complete.
    void check_announced_size();
    void take_body(std::string_view piece);
    // The answer redirects and is followed, so that its body matters to nobody.
    bool drops_body() const noexcept {
        return job_.follows_redirects && Head::is_redirect(head_.response);
    }
    std::exception_ptr explain(CURLcode code) const noexcept;
    Duration elapsed(CURLINFO which) const noexcept;
    template <class Value>
    void set(CURLoption option, Value value);

    Multi& multi_;
    const Job& job_;
    Easy easy_;
    List request_headers_;
    List addresses_;
    // What libcurl was told to remember, and to forget.
    std::string pinned_;
    std::vector<std::string> stale_;
    Head head_;
    int socket_error_ = 0;
    std::exception_ptr error_;
    // The rest of the body is not wanted: the transfer is stopped, and has succeeded.
    bool enough_ = false;
    char words_[CURL_ERROR_SIZE] = "";
};

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
