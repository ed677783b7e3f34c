// What can be tried with any type that can be sent, without knowing it.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace zoo {

// Chooses a number from 0 to n - 1.
using Below = std::function<std::size_t(std::size_t)>;

class Kind {
public:
    Kind() = default;
    Kind(const Kind&) = delete;
    Kind& operator=(const Kind&) = delete;
    virtual ~Kind();

    virtual const char* name() const = 0;
    // The bytes of a random value.
    virtual std::vector<char> random(const Below& below) const = 0;
    // Whether a random value comes back as itself, also into another one.
    virtual bool comes_back(const Below& below) const = 0;
    // Whether the bytes are refused by a DecodeError.
    virtual bool refuses(std::span<const char> bytes) const = 0;
    // What is wrong with the reading of bytes that may be anything: they take too much memory, or
    // the value that they give is another one after a round.
    virtual std::optional<std::string> harm(std::span<const char> bytes) const = 0;
};

// One of each type of the zoo.
std::span<const Kind* const> kinds();

}  // namespace zoo
