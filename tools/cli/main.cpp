// The `asyncio` command.
#include "commands.hpp"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <unistd.h>

namespace {

// The next file or socket that is opened would take the place of a standard stream that is closed,
// and get what is written to that. What is put there instead fails when it is used, as a closed one
// does.
void occupy_standard_streams() noexcept {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0) {
            // The lowest free descriptor is this one, as those below are occupied.
            (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    occupy_standard_streams();
    CLI::App app{"Python's asyncio for C++: fetch, serve, watch"};
    app.require_subcommand(1);
    app.set_version_flag("--version", "asyncio " ASYNCIO_VERSION, "Print the version");
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
