// Workers, attempts and results.
#include "fetch_run.hpp"

#include <asyncio/asyncio.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace asyncio::cli {

using namespace std::chrono_literals;

namespace {

constexpr Duration back_off_first = 200ms;
constexpr Duration back_off_max = 10s;
// What servers say is cut to this.
constexpr std::size_t problem_size_max = 300;
constexpr std::size_t final_url_size_max = 2000;

// What may be different the next time; a bad URL or certificate is not.
bool worth_another_try(http::ErrorKind kind) noexcept {
    return kind == http::ErrorKind::name_not_found || kind == http::ErrorKind::cannot_connect ||
           kind == http::ErrorKind::bad_response;
}

bool worth_another_try(int status) noexcept { return status >= 500 || status == 429; }

http::ClientOptions client_options(const FetchOptions& options) {
    http::ClientOptions client;
    client.limit = options.concurrency;
    client.limit_per_host = options.per_host;
    // A year stands for ever, and is far from overflowing.
    const std::chrono::duration<double> timeout(std::min(options.timeout_seconds, 365.0 * 86'400));
    client.timeout = std::chrono::duration_cast<Duration>(timeout);
    client.connect_timeout = client.timeout;
    client.ca_file = options.ca_file;
    client.max_size = options.max_size;
    return client;
}

// The library's advice names its own settings; some of them are options here.
std::string with_own_advice(std::string problem) {
    constexpr std::pair<std::string_view, std::string_view> advice[] = {
        {"raise max_size", "raise --max-size"},
        {"; raise max_redirects if that is wanted", ""},
        {": raise max_headers or max_header_size in ClientOptions if that is wanted", ""},
        {"name its authority in ClientOptions::ca_file", "name its authority with --ca-file"},
        {"needs a longer connect_timeout", "needs a longer --timeout"},
        {"lower the client's limit", "lower --concurrency"},
    };
    for (const auto& [theirs, ours] : advice) {
        if (const std::size_t at = problem.rfind(theirs); at != problem.npos) {
            problem.replace(at, theirs.size(), ours);
        }
    }
    return problem;
}

// `url` is where it happened, after the redirects in `history`.
void set_problem(FetchResult& result, std::string_view problem, const std::string& url,
                 const std::vector<std::string>& history) {
    result.problem = shortened(with_own_advice(std::string(problem)), problem_size_max);
    if (!history.empty() && url != history.front()) {
        result.final_url = shortened(url, final_url_size_max);
        result.problem += " (after a redirect to " + shortened(url, problem_size_max) + ")";
    }
}

double seconds_since(TimePoint begin) {
    return std::chrono::duration<double>(get_running_loop().time() - begin).count();
}

}  // namespace

FetchRun::FetchRun(FetchOptions options, std::vector<std::string> urls)
    : options_(std::move(options)), urls_(std::move(urls)),
      queue_(urls_, options_.per_host, !options_.directory.empty()),
      output_(STDOUT_FILENO, urls_.size()), bar_(urls_.size(), done_, failed_),
      random_(std::random_device{}()) {
    if (!options_.directory.empty()) {
        directory_.emplace(options_.directory);
    }
    if (::isatty(STDOUT_FILENO) == 1) {
        output_.set_hooks([this] { bar_.hide(); }, [this] { bar_.show(); });
    }
}

Coro<void> FetchRun::run() {
    http::Client client(client_options(options_));
    bar_.start();
    const std::size_t workers = std::min(options_.concurrency, urls_.size());
    try {
        co_await task_group([this, &client, workers](TaskGroup& group) -> Coro<void> {
            group.create_task({.name = "output"}, output_.write_all());
            for (std::size_t i = 0; i < workers; ++i) {
                group.create_task({.name = "worker-" + std::to_string(i + 1)}, work(client));
            }
            co_return;
        });
    } catch (const BaseExceptionGroup& group) {
        std::rethrow_exception(group.exceptions().front());
    }
    finish_output();
}

void FetchRun::finish_output() noexcept {
    bar_.stop();
    output_.write_rest();
}

Coro<void> FetchRun::work(http::Client& client) {
    std::optional<UrlQueue::Item> item = queue_.take();
    while (item) {
        const std::size_t number = item->number;
        co_await output_.enter(number);
        const FetchResult result = co_await fetch(client, urls_[number], std::move(item->name));
        ++done_;
        failed_ += result.failed() ? 1 : 0;
        bytes_ += result.body_size;
        output_.put(number, options_.json ? json_line(result) : text_line(result));
        item = queue_.take_after(number);
    }
}

Coro<FetchResult> FetchRun::fetch(http::Client& client, std::string url, std::string name) {
    FetchResult result;
    result.url = std::move(url);
    const TimePoint begin = get_running_loop().time();
    std::optional<BodyFile> file;
    if (directory_) {
        file.emplace(*directory_, std::move(name));
    }
    while (co_await attempt(client, result, file ? &*file : nullptr)) {
        if (result.attempts > options_.retries) {
            break;
        }
        co_await sleep(back_off(result.attempts));
        ++result.attempts;
    }
    result.seconds = seconds_since(begin);
    co_return result;
}

// Returns whether another attempt may help.
Coro<bool> FetchRun::attempt(http::Client& client, FetchResult& result, BodyFile* file) const {
    result.status = 0;
    result.body_size = 0;
    result.problem.clear();
    result.final_url.clear();
    if (file != nullptr) {
        file->discard();  // what an attempt before this one has written
    }
    http::Request request(result.url);
    request.sink([file](const http::Response& head, std::string_view piece) {
        if (file != nullptr && head.ok()) {
            file->write(piece);
        }
    });
    try {
        const http::Response response = co_await client.fetch(std::move(request));
        result.status = response.status;
        result.body_size = response.body_size;
        if (!response.history.empty()) {
            result.final_url = shortened(response.url, final_url_size_max);
        }
        if (response.ok() && file != nullptr) {
            result.file = file->commit();
        } else if (!response.ok()) {
            set_problem(result, response.reason.empty() ? "the server refused it" : response.reason,
                        response.url, response.history);
        }
        co_return worth_another_try(response.status);
    } catch (const http::Error& error) {
        set_problem(result, error.problem(), error.url(), error.history());
        co_return worth_another_try(error.kind());
    } catch (const http::TimeoutError& error) {
        set_problem(result, error.problem(), error.url(), error.history());
        co_return true;
    } catch (const std::exception& error) {
        result.problem = shortened(error.what(), problem_size_max);
        co_return false;
    }
}

// Doubles with every attempt; the random part keeps many workers from coming back at once.
Duration FetchRun::back_off(int attempts) {
    const auto doubled = back_off_first * (1ll << std::min(attempts - 1, 16));
    const double part = std::uniform_real_distribution<double>(0.5, 1)(random_);
    return std::chrono::duration_cast<Duration>(std::min<Duration>(doubled, back_off_max) * part);
}

}  // namespace asyncio::cli
