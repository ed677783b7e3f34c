// The work of `asyncio fetch`: a list of URLs, fetched by a number of workers.
#pragma once

#include <asyncio/http.hpp>

#include "body_files.hpp"
#include "fetch_result.hpp"
#include "ordered_output.hpp"
#include "progress_bar.hpp"
#include "url_queue.hpp"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace asyncio::cli {

struct FetchOptions {
    std::size_t concurrency = 100;
    // 0: no limit.
    std::size_t per_host = 0;
    // Of each attempt.
    double timeout_seconds = 30;
    int retries = 0;
    std::uint64_t max_size = 100u << 20;
    // Where the bodies go; empty: nowhere.
    std::string directory;
    bool json = false;
    // Certificates to trust; empty: the system's.
    std::string ca_file;
};

// Each worker takes the next URL when it is done with one, so that nothing is held in memory but
// the list itself. Outlives the loop, so that it can tell what was done when Ctrl-C ended it.
class FetchRun {
public:
    // Raises: std::system_error if the directory cannot be made.
    FetchRun(FetchOptions options, std::vector<std::string> urls);
    FetchRun(const FetchRun&) = delete;
    FetchRun& operator=(const FetchRun&) = delete;

    // Raises: OutputClosed, or std::system_error if the results cannot be written.
    Coro<void> run();

    std::size_t total() const noexcept { return urls_.size(); }
    std::size_t done() const noexcept { return done_; }
    std::size_t failed() const noexcept { return failed_; }
    std::uint64_t bytes() const noexcept { return bytes_; }
    // Writes the lines that are held back, as far as somebody reads them, and takes the progress
    // bar away.
    void finish_output() noexcept;

private:
    Coro<void> work(http::Client& client);
    Coro<FetchResult> fetch(http::Client& client, std::string url, std::string name);
    Coro<bool> attempt(http::Client& client, FetchResult& result, BodyFile* file) const;
    Duration back_off(int attempts);

    const FetchOptions options_;
    const std::vector<std::string> urls_;
    std::optional<Directory> directory_;
    UrlQueue queue_;
    OrderedOutput output_;
    std::size_t done_ = 0;
    std::size_t failed_ = 0;
    std::uint64_t bytes_ = 0;
    ProgressBar bar_;
    std::minstd_rand random_;
};

}  // namespace asyncio::cli
