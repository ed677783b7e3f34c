// Finds the lists of a program, and leaves out a part of each.
#include "smaller.hpp"

#include "../conformance/value.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace fuzz {

namespace {

using conformance::Json;
using Pointer = Json::json_pointer;

struct Lists {
    std::vector<Pointer> all;     // blocks, handlers and targets
    std::vector<Pointer> nested;  // blocks inside statements
};

bool is_block(const Json& operand) {
    return operand.is_array() && !operand.empty() && operand[0].is_array();
}

void find_lists(const Json& block, const Pointer& place, Lists& lists) {
    lists.all.push_back(place);
    for (std::size_t i = 0; i < block.size(); ++i) {
        const Json& statement = block[i];
        for (std::size_t k = 1; k < statement.size(); ++k) {
            const Json& operand = statement[k];
            const Pointer inner = place / i / k;
            if (statement[0] == "try" && k == 2) {
                lists.all.push_back(inner);
                for (std::size_t handler = 0; handler < operand.size(); ++handler) {
                    find_lists(operand[handler][1], inner / handler / 1, lists);
                }
            } else if (is_block(operand)) {
                lists.nested.push_back(inner);
                find_lists(operand, inner, lists);
            } else if (operand.is_array()) {
                lists.all.push_back(inner);
            }
        }
    }
}

Json without(const Json& program, const Pointer& place, std::size_t first, std::size_t count) {
    Json result = program;
    Json& list = result[place];
    const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
    list.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(count, list.size() - first)));
    return result;
}

// With the block in the place of the statement that it belongs to.
Json unwrapped(const Json& program, const Pointer& place) {
    const Json inner = program[place];
    const Pointer statement = place.parent_pointer();
    const auto index = static_cast<std::ptrdiff_t>(std::stoul(statement.back()));
    Json result = program;
    Json& outer = result[statement.parent_pointer()];
    const auto at = outer.erase(outer.begin() + index);
    outer.insert(at, inner.begin(), inner.end());
    return result;
}

// Without coroutines and objects that no statement names.
Json without_unnamed(const Json& program) {
    Json result = program;
    const std::string used = program["coros"].dump();
    const auto names = [&used](const std::string& name, std::size_t times) {
        std::size_t found = 0;
        for (std::size_t at = 0; (at = used.find('"' + name + '"', at)) != std::string::npos;
             ++at) {
            ++found;
        }
        return found > times;
    };
    for (const auto& [name, body] : program["coros"].items()) {
        if (name != "main" && !names(name, 1)) {  // it is named by its own definition
            result["coros"].erase(name);
        }
    }
    for (const auto& [name, object] : program["objects"].items()) {
        if (!names(name, 0)) {
            result["objects"].erase(name);
        }
    }
    return result;
}

}  // namespace

std::vector<std::string> smaller_programs(const std::string& text) {
    const Json program = Json::parse(text);
    Lists lists;
    for (const auto& [name, body] : program["coros"].items()) {
        find_lists(body, Pointer() / "coros" / name, lists);
    }
    std::vector<Json> candidates = {without_unnamed(program), program};
    candidates.back().erase("eager_tasks");
    for (const Pointer& place : lists.all) {
        const std::size_t size = program[place].size();
        for (std::size_t count = size; count > 0; count /= 2) {
            for (std::size_t first = 0; first < size; first += count) {
                candidates.push_back(without(program, place, first, count));
            }
        }
    }
    for (const Pointer& place : lists.nested) {
        candidates.push_back(unwrapped(program, place));
    }
    std::vector<std::string> texts;
    for (const Json& candidate : candidates) {
        if (std::string shorter = candidate.dump(); shorter.size() < text.size()) {
            texts.push_back(std::move(shorter));
        }
    }
    std::ranges::sort(texts, {}, [](const std::string& shorter) {
        return std::pair(shorter.size(), std::string_view(shorter));
    });
    return texts;
}

}  // namespace fuzz
