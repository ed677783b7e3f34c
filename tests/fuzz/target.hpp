// What a fuzzer needs of the thing that it tests.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace fuzz {

using Seed = std::uint64_t;

// Choices that are random, and the same with every standard library, so that a seed stays a seed;
// or those that bytes make, so that a fuzzer which sees what a byte changes can make better ones.
class Choices {
public:
    explicit Choices(Seed seed) : source_(std::mt19937_64(seed)) {}
    // Requires: the bytes outlive it. Once they are used up, every choice is the second.
    explicit Choices(std::span<const std::uint8_t> bytes) : source_(bytes) {}

    // A number from 0 to below - 1. Requires: below > 0.
    std::size_t below(std::size_t below);
    bool one_in(std::size_t times) { return below(times) == 0; }
    template <class Container>
    auto& of(Container& items) {
        return items[below(std::size(items))];
    }

private:
    std::variant<std::mt19937_64, std::span<const std::uint8_t>> source_;
};

// Something that must hold for every input.
class Target {
public:
    Target() = default;
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    virtual ~Target();

    // Returns the input that follows from choices, a line of text; always the same one.
    virtual std::string make(Choices choices) const = 0;
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

// What a target throws or returns.
std::optional<std::string> problem_with(const Target& target, const std::string& input);

// Every fuzzer defines this.
std::unique_ptr<Target> make_target();

}  // namespace fuzz
