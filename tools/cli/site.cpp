// asyncio site: the demonstration site as a command, until Ctrl-C.
#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>

#include "commands.hpp"
#include "option_checks.hpp"
#include "site_server.hpp"
#include "stop_signals.hpp"

#include <CLI/CLI.hpp>
#include <sys/resource.h>

#include <csignal>
#include <iostream>
#include <memory>

namespace asyncio::cli {

namespace {

// Every connection takes a descriptor, and the usual limit of 1,024 is soon reached.
void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Cancels the server at the first signal; the next one does what such signals do.
Coro<void> stop_on_signal(std::shared_ptr<StopSignals> signals, Task<void> serving) {
    co_await readable(*signals);
    signals->take();
    std::cerr << "site: stopping; requests under way are answered first" << std::endl;
    serving.cancel();
}

Coro<void> run_site(SiteOptions options) {
    SiteServer server(options);
    const auto signals = std::make_shared<StopSignals>(std::initializer_list<int>{SIGINT, SIGTERM});
    const Task<void> serving = create_task({.name = "serve"}, server.serve());
    const Task<void> stopping =
        create_task({.name = "stop on signal"}, stop_on_signal(signals, serving));
    std::cout << "listening on " << server.url() << std::endl;
    try {
        co_await serving;
    } catch (const CancelledError&) {
        if (current_task().cancelling() > 0) {
            throw;  // it was this function that was cancelled
        }
    }
    stopping.cancel();
}

int site(const SiteOptions& options) {
    raise_descriptor_limit();
    try {
        asyncio::run(run_site, options);
        return 0;
    } catch (const KeyboardInterrupt&) {
        return 130;
    } catch (const std::exception& error) {
        std::cerr << "asyncio site: " << error.what() << '\n';
        return 1;
    }
}

}  // namespace

void add_site(CLI::App& app, int& exit_status) {
    CLI::App* const command = app.add_subcommand(
        "site", "Serves pages that are slow, large, failing or redirecting, for trials and tests");
    const auto options = std::make_shared<SiteOptions>();
    command->add_option("--host", options->host, "The IP address to listen at")
        ->capture_default_str();
    command->add_option("--port", options->port, "The port; 0 takes a free one")
        ->capture_default_str();
    command->add_option("--seed", options->seed, "Decides which requests for /flaky fail")
        ->capture_default_str();
    command
        ->add_option_function<double>(
            "--read-timeout",
            [options](double seconds) {
                options->read_timeout =
                    std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
            },
            "Seconds for a request to come, and for the next one to begin; 30 without it")
        ->check(duration_in_seconds())
        ->type_name("FLOAT");
    command->footer("The page / lists the others. Ctrl-C or SIGTERM ends the site gracefully.");
    command->callback([options, &exit_status] { exit_status = site(*options); });
}

}  // namespace asyncio::cli
