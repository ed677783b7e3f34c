// asyncio fetch: many URLs at once, a line for each.
#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>

#include "commands.hpp"
#include "fetch_run.hpp"
#include "option_checks.hpp"
#include "stop_signals.hpp"

#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
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

// More of anything is a mistake.
constexpr std::uint64_t count_max = 1'000'000;

void read_urls(std::istream& in, std::vector<std::string>& urls) {
    constexpr std::string_view blank = " \t\r";
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    std::string line;
    for (bool is_first = true; std::getline(in, line); is_first = false) {
        if (is_first && line.starts_with(byte_order_mark)) {
            line.erase(0, byte_order_mark.size());
        }
        const std::size_t first = line.find_first_not_of(blank);
        if (first != line.npos && line[first] != '#') {
            urls.push_back(line.substr(first, line.find_last_not_of(blank) - first + 1));
        }
    }
}

// Options that are not known are among them.
void take_extras(const CLI::App& command, std::vector<std::string>& urls) {
    for (const std::string& extra : command.remaining()) {
        if (extra.starts_with("-") && extra != "-") {
            throw CLI::ExtrasError({extra});
        }
        urls.push_back(extra);
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

// A worker needs a connection, and a file if it writes one; the usual limit of 1,024 is soon
// reached.
std::size_t clamp_to_descriptors(std::size_t concurrency, bool with_files) {
    constexpr rlim_t others = 64;
    const rlim_t each = with_files ? 2 : 1;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return concurrency;
    }
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t most = limit.rlim_cur > others + each ? (limit.rlim_cur - others) / each : 1;
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

// Not if that would block: a reader who stopped reading must not keep the process from ending.
void print_stopped(const FetchRun& run) {
    pollfd request{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&request, 1, 0) == 1) {
        std::cerr << "stopped: " << run.done() << " of " << run.total() << " done, " << run.failed()
                  << " failed\n";
    }
}

// Cancels the work at the first signal, and returns that; the next one does what such signals do.
Coro<int> stop_on_signal(std::shared_ptr<StopSignals> signals, Task<void> work) {
    co_await readable(*signals);
    const int signal_number = signals->take();
    work.cancel();
    co_return signal_number;
}

// Returns the signal that ended the run early, or 0. Ctrl-C is not among them: `asyncio::run` turns
// it into a KeyboardInterrupt.
Coro<int> run_until_signal(FetchRun& run) {
    const auto signals = std::make_shared<StopSignals>(std::initializer_list<int>{SIGTERM, SIGHUP});
    const Task<void> work = create_task({.name = "fetch"}, run.run());
    const Task<int> stopping =
        create_task({.name = "stop on signal"}, stop_on_signal(signals, work));
    bool stopped = false;
    try {
        co_await work;
    } catch (const CancelledError&) {
        if (current_task().cancelling() > 0) {
            throw;  // it was this function that was cancelled
        }
        stopped = true;
    }
    if (stopped) {
        co_return co_await stopping;
    }
    stopping.cancel();
    co_return 0;
}

// Returns the signal that ended it early, or 0.
int run_to_the_end(FetchRun& run) {
    try {
        return asyncio::run(run_until_signal(run));
    } catch (const KeyboardInterrupt&) {
        return SIGINT;
    } catch (const OutputClosed&) {
        return SIGPIPE;
    } catch (...) {
        run.finish_output();
        throw;
    }
}

int fetch_all(Arguments& arguments) {
    std::vector<std::string> urls = collect_urls(arguments);
    if (urls.empty()) {
        std::cerr << "asyncio fetch: no URL: name some, or a file of them with -i\n";
        return 2;
    }
    FetchOptions& options = arguments.options;
    options.concurrency = arguments.sequential
                              ? 1
                              : clamp_to_descriptors(std::min(options.concurrency, urls.size()),
                                                     !options.directory.empty());
    FetchRun run(options, std::move(urls));
    const auto begin = std::chrono::steady_clock::now();
    const int signal_number = run_to_the_end(run);
    if (signal_number != 0) {
        run.finish_output();
        if (signal_number != SIGPIPE) {
            print_stopped(run);
        }
        return 128 + signal_number;  // as shells say it
    }
    print_summary(run,
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return run.failed() == 0 ? 0 : 1;
}

int fetch(Arguments& arguments) {
    // A reader who leaves is an error of `write` instead, so that unfinished files can be removed.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return fetch_all(arguments);
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
    // An option of CLI11 that takes any number of values takes "[a,b]" apart, so this one gets the
    // first URL only; `take_extras` sees to the others.
    command->add_option("url", arguments->urls, "What to fetch; - reads URLs from standard input")
        ->allow_extra_args(false);
    command->allow_extras();
    command
        ->add_option("-i,--input", arguments->files,
                     "A file with a URL on each line; - is standard input")
        ->type_name("FILE")
        ->allow_extra_args(false);
    const auto concurrency =
        command->add_option("-c,--concurrency", options.concurrency, "Fetches at once")
            ->check(number_between(1, count_max))
            ->capture_default_str();
    command
        ->add_option("--per-host", options.per_host,
                     "Fetches at once from one host; 0 for no such limit")
        ->check(number_between(0, count_max))
        ->capture_default_str();
    command
        ->add_option("--timeout", options.timeout_seconds,
                     "Seconds for each attempt, from the name lookup to the last byte")
        ->check(duration_in_seconds())
        ->capture_default_str();
    command
        ->add_option("--retries", options.retries,
                     "More attempts after broken connections, timeouts, 429 and 5xx")
        ->check(number_between(0, count_max))
        ->capture_default_str();
    command
        ->add_option("--max-size", options.max_size,
                     "Largest body in bytes, after decompression; 10MB is understood")
        ->transform(size_in_bytes())
        ->capture_default_str();
    command
        ->add_option("-o,--output", options.directory,
                     "A directory for the bodies; existing files are never overwritten")
        ->type_name("DIR");
    command
        ->add_option("--ca-file", options.ca_file,
                     "Certificates to trust instead of the system's, in PEM format")
        ->envname("SSL_CERT_FILE")
        ->type_name("FILE");
    command->add_flag("--json", options.json, "A JSON object on each line");
    command->add_flag("--sequential", arguments->sequential, "One after the other")
        ->excludes(concurrency);
    command->footer("Lines come in the order of the URLs. The exit status is 0 if all went well, 1 "
                    "if some failed\n(no answer, or a status of 400 or more), 2 if nothing could "
                    "be done or the results\ncould not be written, 130 after Ctrl-C, 143 after "
                    "SIGTERM, 129 after SIGHUP, and 141 if\nnobody reads the results any more.");
    command->callback([command, arguments, &exit_status] {
        take_extras(*command, arguments->urls);
        exit_status = fetch(*arguments);
    });
}

}  // namespace asyncio::cli
