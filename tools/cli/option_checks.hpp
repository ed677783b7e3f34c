// What the values of options may be. CLI11's own conversions take numbers that are out of range for
// others, and its texts about ranges name numbers of 300 digits.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>

namespace asyncio::cli {

// A whole number.
CLI::Validator number_between(std::uint64_t least, std::uint64_t most);

// Seconds, with a fraction if wanted: from a millisecond to a year.
CLI::Validator duration_in_seconds();

// A number of bytes such as 100, 10MB or 1GiB, where a kB has 1,024 bytes. The option gets the
// plain number.
CLI::Validator size_in_bytes();

}  // namespace asyncio::cli
