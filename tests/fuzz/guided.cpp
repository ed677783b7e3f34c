// A fuzzer that is led by the code which an input reaches: libFuzzer makes the bytes of choices.
#include "target.hpp"

#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::unique_ptr<fuzz::Target> target = fuzz::make_target();
    const std::string input = target->make(fuzz::Choices(std::span(data, size)));
    if (const auto problem = fuzz::problem_with(*target, input)) {
        std::fprintf(stderr, "%s\nthe input, for --input:\n%s\n", problem->c_str(), input.c_str());
        std::abort();
    }
    return 0;
}
