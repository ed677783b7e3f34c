// The demo's scenario of work that computes.
#pragma once

#include <asyncio/coro.hpp>

#include "terminal.hpp"

#include <string>
#include <vector>

namespace asyncio::cli {

// Plays it on the loop, in threads and in processes, beside a ticker; returns its rows of the
// table. `start_process_server` must have been called.
Coro<std::vector<std::vector<std::string>>> play_computing(Terminal terminal);

}  // namespace asyncio::cli
