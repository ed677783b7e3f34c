// A fetch from its URL to its answer, along redirects.
#include "http/session.hpp"

#include <asyncio/detail/task_impl.hpp>

#include "http/text.hpp"
#include "http/transfer.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// The error's text names so many stations of a chain of redirects.
constexpr std::size_t stations_max = 6;
// And so many bytes of each, as it is the server that chooses them.
constexpr std::size_t station_size_max = 200;

std::string chain(std::vector<std::string>::const_iterator first,
                  std::vector<std::string>::const_iterator last) {
    std::string text = shortened(*first, station_size_max);
    const auto length = last - first;
    constexpr auto shown_max = static_cast<std::ptrdiff_t>(stations_max);
    if (length > shown_max) {
        text += " -> ...";
        first = last - shown_max;
    }
    while (++first != last) {
        text += " -> " + shortened(*first, station_size_max);
    }
    return text;
}

// `history` ends with the redirect that is one too many.
[[noreturn]] void throw_too_many(std::vector<std::string> history, const std::string& next) {
    const std::string url = history.front();
    const std::string count = std::to_string(history.size() - 1);
    const auto again = std::find(history.rbegin(), history.rend(), next);
    const bool is_loop = again != history.rend();
    const std::size_t begin =
        is_loop ? static_cast<std::size_t>(history.rend() - again) - 1 : std::size_t{0};
    history.push_back(next);
    const std::string stations =
        chain(history.cbegin() + static_cast<std::ptrdiff_t>(begin), history.cend());
    throw Error(ErrorKind::redirect, url,
                is_loop ? "redirected " + count + " times, in a loop: " + stations
                        : "redirected more than " + count + " times: " + stations +
                              "; raise max_redirects if that is wanted");
}

// What of a request goes on to the target of a redirect (RFC 9110, sections 15.4 and 11.6.2).
void redirect(Parameters& parameters, int status, bool same_origin) {
    const bool to_get = status == 303
                            ? parameters.method != "HEAD"
                            : (status == 301 || status == 302) && parameters.method == "POST";
    if (to_get) {
        parameters.method = "GET";
        parameters.body.reset();
        for (const char* const name :
             {"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding"}) {
            parameters.headers.erase(name);
        }
    }
    if (!same_origin) {
        for (const char* const name : {"Authorization", "Cookie", "Proxy-Authorization", "Host"}) {
            parameters.headers.erase(name);
        }
    }
}

[[noreturn]] void throw_closed(const std::string& url) {
    throw Error(ErrorKind::closed, url, "the client is closed: keep it until its fetches end");
}

ClientOptions checked(ClientOptions options) {
    if (options.limit == 0) {
        throw ValueError("ClientOptions::limit is 0, so no fetch could ever start: set it to the "
                         "number of fetches that may run at once");
    }
    return options;
}

}  // namespace

Session::Session(EventLoop& loop, ClientOptions options)
    : loop_(loop), options_(checked(std::move(options))),
      multi_(loop, options_.limit, options_.limit_per_host), resolver_(loop, options_.name_ttl),
      admission_(options_.limit, options_.limit_per_host) {
    asyncio::detail::LoopAccess::composites(loop).push_back(*this);
}

std::shared_ptr<Session> Session::of_running_loop() {
    thread_local std::vector<std::weak_ptr<Session>> sessions;
    EventLoop& loop = get_running_loop();
    std::erase_if(sessions, [](const auto& session) { return session.expired(); });
    for (const auto& candidate : sessions) {
        auto session = candidate.lock();
        if (&session->loop_ == &loop && !session->is_closed_) {
            return session;
        }
    }
    auto session = std::make_shared<Session>(loop, ClientOptions{});
    sessions.push_back(session);
    session->kept_by_loop_ = session;
    return session;
}

void Session::detach() noexcept {
    const std::shared_ptr<Session> alive = std::move(kept_by_loop_);
    close();
}

void Session::close() noexcept {
    if (std::exchange(is_closed_, true)) {
        return;
    }
    exchanges_.for_each([](Exchange& exchange) {
        try {
            throw_closed(exchange.url());
        } catch (...) {
            exchange.abort(std::current_exception());
        }
    });
    resolver_.close();
    multi_.close();
    if (linked()) {
        unlink();
    }
}

Coro<Response> Session::fetch(std::shared_ptr<Session> session, Request request) {
    if (session == nullptr) {
        session = of_running_loop();
    }
    Parameters& parameters = request.parameters_;
    Url url = Url::parse(parameters.url);
    if (session->is_closed_) {
        throw_closed(url.shown);
    }
    if (parameters.method.empty()) {
        parameters.method = parameters.body ? "POST" : "GET";
    }
    if (parameters.method == "HEAD" && parameters.body) {
        throw ValueError("a HEAD request has no body: servers would wait for the next request "
                         "where they see it; leave it out, or use another method");
    }
    const TimePoint begun = session->loop_.time();
    Exchange exchange(session->loop_, url.shown);
    session->exchanges_.push_back(exchange);
    std::vector<std::string> history;
    try {
        Response response = co_await session->follow(exchange, parameters, url, history);
        response.history = std::move(history);
        response.timings.total = session->loop_.time() - begun;
        co_return response;
    } catch (Error& error) {
        error.history_ = std::move(history);
        throw;
    } catch (TimeoutError& error) {
        error.history_ = std::move(history);
        throw;
    }
}

Coro<Response> Session::follow(Exchange& exchange, Parameters& parameters, Url& url,
                               std::vector<std::string>& history) {
    const int redirects_max = parameters.max_redirects.value_or(options_.max_redirects);
    Limit deadline(exchange, parameters.timeout.value_or(options_.timeout));
    Admission::Slot slot = co_await admission_.enter(exchange, url.origin);
    deadline.start();
    while (true) {
        Response response = co_await transfer(exchange, parameters, url);
        if (redirects_max <= 0 || !Head::is_redirect(response)) {
            co_return response;
        }
        Url next = url.resolve(std::string(response.headers.get("Location")));
        history.push_back(std::move(url.shown));
        if (history.size() > static_cast<std::size_t>(redirects_max)) {
            throw_too_many(history, next.shown);
        }
        const bool same_origin = next.same_origin(url);
        redirect(parameters, response.status, same_origin);
        url = std::move(next);
        exchange.set_url(url.shown);
        if (!same_origin) {
            deadline.stop();
            slot = co_await admission_.enter_next(exchange, url.origin, std::move(slot));
            deadline.start();
        }
    }
}

Coro<Response> Session::transfer(Exchange& exchange, const Parameters& parameters, const Url& url) {
    const Duration connect_timeout = parameters.connect_timeout.value_or(options_.connect_timeout);
    const TimePoint begun = loop_.time();
    std::string addresses;
    if (!url.is_address()) {
        Limit limit(exchange, connect_timeout);
        limit.start();
        addresses = co_await resolver_.lookup(exchange, url.lookup_name);
    }
    const Duration name_lookup = loop_.time() - begun;
    const Job job{
        .url = url,
        .parameters = parameters,
        .options = options_,
        .addresses = std::move(addresses),
        .connect_timeout = connect_timeout,
        .size_max = parameters.max_size.value_or(options_.max_size),
        .follows_redirects = parameters.max_redirects.value_or(options_.max_redirects) > 0,
    };
    Response response = co_await Transfer(exchange, multi_, job);
    response.timings.name_lookup = name_lookup;
    co_return response;
}

}  // namespace detail

// ---- the public door

Client::Client(ClientOptions options)
    : session_(std::make_shared<detail::Session>(get_running_loop(), std::move(options))) {}

Client::~Client() { close(); }

Coro<Response> Client::fetch(Request request) {
    return detail::Session::fetch(session_, std::move(request));
}

void Client::close() noexcept { session_->close(); }

Coro<Response> fetch(Request request) {
    return detail::Session::fetch(nullptr, std::move(request));
}

}  // namespace http
}  // namespace asyncio::inline v0
