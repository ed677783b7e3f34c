// What the rows of executors have threads and processes do, on every runtime of C++.
#pragma once

#include "measure.hpp"

#include <cstddef>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using Megabyte = std::vector<unsigned char>;

inline Megabyte make_megabyte() { return Megabyte(std::size_t{1} << 20, 'x'); }

// How many calls one map makes.
constexpr long map_size = 1000;

// Of the 64 parts, the first has the fewest primes and the last takes the longest.
constexpr int prime_parts = 64;
constexpr int prime_part_size = 15000;

inline int count_primes(int part) {
    int found = 0;
    for (int n = part * prime_part_size; n < (part + 1) * prime_part_size; ++n) {
        bool is_prime = n > 1;
        for (int factor = 2; is_prime && factor * factor <= n; ++factor) {
            is_prime = n % factor != 0;
        }
        found += is_prime ? 1 : 0;
    }
    return found;
}

// What does a row's work so many times, by the name of its result, which ends in the unit.
template <class Work>
using Rows = std::map<std::string, Work>;

// Measures one row, whose work `run(work, operations)` does. Returns the exit code.
template <class Work, class Run>
int measure(const Rows<Work>& rows, const Arguments& arguments, Run run) {
    const auto& [row, operations, seconds] = arguments;
    for (const auto& [unit, scale] : {std::pair{"_ns", 1.0}, std::pair{"_us", 1e-3}}) {
        if (const auto found = rows.find(row + unit); found != rows.end()) {
            const Stopwatch watch;
            run(found->second, operations);
            report(found->first.c_str(), watch.ns_per(operations) * scale);
            return 0;
        }
    }
    std::fprintf(stderr, "no row '%s' here\n", row.c_str());
    return 2;
}

}  // namespace bench
