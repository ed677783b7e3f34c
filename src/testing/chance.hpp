// Random numbers that are the same with every standard library, so that a seed stays a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace asyncio::inline v0 {
namespace detail {

class Chance {
public:
    explicit Chance(std::uint64_t seed) : engine_(seed) {}
    // A number from 0 to limit - 1. Requires: limit > 0.
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(engine_() % limit); }

private:
    std::mt19937_64 engine_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
