// Random programs in the language of tests/conformance, with everything that the language allows.
#pragma once

#include "../conformance/value.hpp"
#include "target.hpp"

namespace fuzz {

// A program that uses all statements, the sense of it aside: it cancels everything, releases what
// it does not hold, waits for itself, uses scopes that are over and variables that are not set.
conformance::Json random_program(Choices choices);

// The statements that random_program makes.
std::vector<std::string> grammar_statements();

}  // namespace fuzz
