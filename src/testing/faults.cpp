// Faults by chance and as text.
#include <asyncio/testing/faults.hpp>

#include "testing/chance.hpp"

#include <array>

namespace asyncio::inline v0 {
namespace testing {

namespace {

// Where it hurts: around nothing, around single bytes, and up to more than fits at once.
constexpr std::array<std::size_t, 6> sizes{1, 2, 3, 17, 1000, 70000};
constexpr std::array<const char*, 3> cut_names{"reset", "eof", "silence"};

}  // namespace

Faults Faults::random(std::uint64_t seed) {
    detail::Chance chance(seed);
    // Half of all faults are absent.
    const auto some_size = [&] {
        return chance.below(2) == 0 ? std::size_t{0} : sizes.at(chance.below(sizes.size()));
    };
    Faults faults;
    faults.read_max = some_size();
    faults.write_max = some_size();
    if (chance.below(2) == 0) {
        faults.seed = seed;
    }
    faults.latency = std::chrono::milliseconds(some_size());
    faults.bytes_per_second = some_size();
    if (chance.below(2) == 0) {
        faults.cut_after = chance.below(sizes.at(chance.below(sizes.size())));
        faults.cut = static_cast<Cut>(chance.below(cut_names.size()));
    }
    if (const std::size_t capacity = some_size(); capacity > 0) {
        faults.capacity = capacity;
    }
    return faults;
}

std::string Faults::str() const {
    std::string text;
    const auto add = [&text](bool differs, const char* name, const std::string& value) {
        if (differs) {
            text += (text.empty() ? "." : ", .") + std::string(name) + " = " + value;
        }
    };
    const Faults none;
    add(read_max != none.read_max, "read_max", std::to_string(read_max));
    add(write_max != none.write_max, "write_max", std::to_string(write_max));
    add(seed != none.seed, "seed", std::to_string(seed.value_or(0)));
    add(latency != none.latency, "latency",
        "std::chrono::nanoseconds(" + std::to_string(latency.count()) + ")");
    add(bytes_per_second != none.bytes_per_second, "bytes_per_second",
        std::to_string(bytes_per_second));
    add(cut_after != none.cut_after, "cut_after", std::to_string(cut_after.value_or(0)));
    add(cut != none.cut, "cut", std::string("Cut::") + cut_names.at(static_cast<std::size_t>(cut)));
    add(capacity != none.capacity, "capacity", std::to_string(capacity));
    return "{" + text + "}";
}

}  // namespace testing
}  // namespace asyncio::inline v0
