// What can be left out of a program of the conformance language.
#pragma once

#include <string>
#include <vector>

namespace fuzz {

// Programs with less in them: without some statements of a block, with the inside of a statement in
// its place, without targets or handlers, without coroutines and objects that nothing names.
std::vector<std::string> smaller_programs(const std::string& program);

}  // namespace fuzz
