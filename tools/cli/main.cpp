// The `asyncio` command.
#include "commands.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    CLI::App app{"Python's asyncio for C++: fetch, serve, watch"};
    app.require_subcommand(1);
    int exit_status = 0;
    asyncio::cli::add_fetch(app, exit_status);
    asyncio::cli::add_site(app, exit_status);
    asyncio::cli::add_demo(app, exit_status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // 2 for a wrong command line, as everywhere; asking for help is none.
        return app.exit(error) == 0 ? 0 : 2;
    }
    return exit_status;
}
