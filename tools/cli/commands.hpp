// The sub-commands of the `asyncio` program. Each lives in a file of its own that adds its options
// to the parser and runs when the parser selects it; main.cpp only knows this list.

#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace asyncio::cli {

// Each adds one sub-command to `app`. Its callback writes the process's exit status to
// `exit_status`, which outlives the parsing.
void add_fetch(CLI::App& app, int& exit_status);
void add_site(CLI::App& app, int& exit_status);
void add_demo(CLI::App& app, int& exit_status);

}  // namespace asyncio::cli
