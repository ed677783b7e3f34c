// What a fuzzer needs of the thing that it tests, and the command line that all fuzzers share.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace fuzz {

using Seed = std::uint64_t;

// Random choices that are the same with every standard library, so that a seed stays a seed.
class Choices {
public:
    explicit Choices(Seed seed) : engine_(seed) {}

    // A number from 0 to below - 1. Requires: below > 0.
    std::size_t below(std::size_t below) { return static_cast<std::size_t>(engine_() % below); }
    bool one_in(std::size_t times) { return below(times) == 0; }
    template <class Container>
    auto& of(Container& items) {
        return items[below(std::size(items))];
    }

private:
    std::mt19937_64 engine_;
};

// Something that must hold for every input.
class Target {
public:
    Target() = default;
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    virtual ~Target();

    // Returns the input of a seed, a line of text; always the same one.
    virtual std::string make(Seed seed) const = 0;
    // Returns or throws as a Problem what is wrong, if anything is. It may also end the process,
    // never come back, or leak: it runs in a process of its own.
    virtual std::optional<std::string> check(const std::string& input) const = 0;
    // Returns inputs with something left out, those that leave out most first. Without an override:
    // words, but not the first.
    virtual std::vector<std::string> smaller(const std::string& input) const;
};

// What is wrong with an input, for targets that look at it from deep inside.
struct Problem : std::runtime_error {
    using std::runtime_error::runtime_error;
};
inline void require(bool holds, const std::string& problem) {
    if (!holds) {
        throw Problem(problem);
    }
}

// The main function of a fuzzer: checks inputs until one fails, which it makes as small as it can.
//
//     [--first SEED] [--count N | --seconds N]   these seeds; the first one is random by default
//     --seed SEED                                this one
//     --input FILE                               the first line of a file
int main(int argc, char** argv, const Target& target);

}  // namespace fuzz
