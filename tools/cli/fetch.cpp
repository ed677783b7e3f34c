// asyncio fetch: many URLs at once, a line for each.
#include <asyncio/asyncio.hpp>

#include "commands.hpp"
#include "fetch_run.hpp"

#include <CLI/CLI.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <system_error>

namespace asyncio::cli {

namespace {

struct Arguments {
    FetchOptions options;
    std::vector<std::string> urls;
    std::vector<std::string> files;
    bool sequential = false;
};

void read_urls(std::istream& in, std::vector<std::string>& urls) {
    constexpr std::string_view blank = " \t\r";
    std::string line;
    while (std::getline(in, line)) {
        const std::size_t first = line.find_first_not_of(blank);
        if (first != line.npos && line[first] != '#') {
            urls.push_back(line.substr(first, line.find_last_not_of(blank) - first + 1));
        }
    }
}

void read_file(const std::string& path, std::vector<std::string>& urls) {
    if (path == "-") {
        read_urls(std::cin, urls);
        return;
    }
    std::ifstream in(path);
    read_urls(in, urls);
    if (!in.eof()) {
        throw std::system_error(errno, std::generic_category(), "cannot read " + path);
    }
}

// All URLs, those of the files first; "-" among them stands for standard input.
std::vector<std::string> collect_urls(const Arguments& arguments) {
    std::vector<std::string> urls;
    for (const std::string& file : arguments.files) {
        read_file(file, urls);
    }
    for (const std::string& url : arguments.urls) {
        if (url == "-") {
            read_file(url, urls);
        } else {
            urls.push_back(url);
        }
    }
    return urls;
}

// A connection and a file for each worker; the usual limit of 1,024 is soon reached.
std::size_t clamp_to_descriptors(std::size_t concurrency) {
    constexpr rlim_t others = 64;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return concurrency;
    }
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t most = limit.rlim_cur > others + 2 ? (limit.rlim_cur - others) / 2 : 1;
    if (concurrency > most) {
        std::cerr << "asyncio fetch: " << most << " at once instead of " << concurrency
                  << ", because the limit of descriptors is " << limit.rlim_cur
                  << "; raise it with 'ulimit -n'\n";
        return most;
    }
    return concurrency;
}

void print_summary(const FetchRun& run, double seconds) {
    if (::isatty(STDERR_FILENO) == 1) {
        std::fprintf(stderr, "%zu done, %zu failed, %.1f MB in %.1f s\n", run.done(), run.failed(),
                     static_cast<double>(run.bytes()) / 1e6, seconds);
    }
}

int fetch_all(Arguments& arguments) {
    std::vector<std::string> urls = collect_urls(arguments);
    if (urls.empty()) {
        std::cerr << "asyncio fetch: no URL: name some, or a file of them with -i\n";
        return 2;
    }
    FetchOptions& options = arguments.options;
    options.concurrency = arguments.sequential ? 1 : clamp_to_descriptors(options.concurrency);
    FetchRun run(options, std::move(urls));
    const auto begin = std::chrono::steady_clock::now();
    try {
        asyncio::run(run.run());
    } catch (const KeyboardInterrupt&) {
        run.finish_output();
        std::cerr << "stopped: " << run.done() << " of " << run.total() << " done, " << run.failed()
                  << " failed\n";
        return 130;
    }
    print_summary(run,
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return run.failed() == 0 ? 0 : 1;
}

int fetch(Arguments& arguments) {
    try {
        return fetch_all(arguments);
    } catch (const BaseExceptionGroup& group) {
        std::cerr << "asyncio fetch: " << describe_exception(group.exceptions().front()) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "asyncio fetch: " << error.what() << '\n';
    }
    return 2;
}

}  // namespace

void add_fetch(CLI::App& app, int& exit_status) {
    const auto arguments = std::make_shared<Arguments>();
    FetchOptions& options = arguments->options;
    CLI::App* const command =
        app.add_subcommand("fetch", "Fetches URLs concurrently, and prints a line for each");
    command->add_option("url", arguments->urls, "What to fetch; - reads URLs from standard input");
    command
        ->add_option("-i,--input", arguments->files,
                     "A file with a URL on each line; - is standard input")
        ->type_name("FILE")
        ->allow_extra_args(false);
    const auto concurrency =
        command->add_option("-c,--concurrency", options.concurrency, "Fetches at once")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
    command
        ->add_option("--per-host", options.per_host,
                     "Fetches at once from one host; 0 for no such limit")
        ->capture_default_str();
    command->add_option("--timeout", options.timeout_seconds, "Seconds for each attempt")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command
        ->add_option("--retries", options.retries,
                     "More attempts after broken connections, timeouts, 429 and 5xx")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command
        ->add_option("--max-size", options.max_size,
                     "Largest body in bytes, after decompression; 10MB is understood")
        ->transform(CLI::AsSizeValue(false))
        ->capture_default_str();
    command
        ->add_option("-o,--output", options.directory,
                     "A directory for the bodies; existing files are never overwritten")
        ->type_name("DIR");
    command->add_flag("--json", options.json, "A JSON object on each line");
    command->add_flag("--sequential", arguments->sequential, "One after the other")
        ->excludes(concurrency);
    command->footer("Lines come in the order of the URLs. The exit status is 0 if all went well, 1 "
                    "if some failed\n(no answer, or a status of 400 or more), 2 if nothing could "
                    "be done, 130 after Ctrl-C.");
    command->callback([arguments, &exit_status] { exit_status = fetch(*arguments); });
}

}  // namespace asyncio::cli
