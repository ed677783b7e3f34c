// What the rows of executors have threads and processes do, on every runtime of C++.
#pragma once

#include "measure.hpp"

#include <cstddef>
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

}  // namespace bench
