// What targets have in common.
#include "target.hpp"

#include <sstream>

namespace fuzz {

std::size_t Choices::below(std::size_t below) {
    if (auto* const engine = std::get_if<std::mt19937_64>(&source_)) {
        return static_cast<std::size_t>((*engine)() % below);
    }
    auto& bytes = std::get<std::span<const std::uint8_t>>(source_);
    if (bytes.empty()) {
        return 1 % below;
    }
    std::size_t number = 0;
    for (std::size_t range = 1; range < below && !bytes.empty(); range <<= 8) {
        number = number << 8 | bytes.front();
        bytes = bytes.subspan(1);
    }
    return number % below;
}

Target::~Target() = default;

std::vector<std::string> Target::smaller(const std::string& input) const {
    std::istringstream stream(input);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
        words.push_back(word);
    }
    std::vector<std::string> candidates;
    for (std::size_t size = words.size() / 2; size > 0; size /= 2) {
        for (std::size_t at = 1; at + size <= words.size(); at += size) {
            std::string rest;
            for (std::size_t i = 0; i < words.size(); ++i) {
                if (i < at || i >= at + size) {
                    rest += (rest.empty() ? "" : " ") + words[i];
                }
            }
            candidates.push_back(rest);
        }
    }
    return candidates;
}

std::optional<std::string> problem_with(const Target& target, const std::string& input) {
    try {
        return target.check(input);
    } catch (const Problem& problem) {
        return problem.what();
    }
}

}  // namespace fuzz
