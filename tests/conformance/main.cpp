// conformance [--debug] [--case NAME] FILE...: runs recorded cases and compares what happens.
#include "program.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

namespace {

// How much of the trace is shown around the first difference.
constexpr std::size_t lines_before = 5;
constexpr std::size_t lines_after = 3;

struct Options {
    bool debug = false;
    std::string only;
    std::vector<std::string> files;
};

struct Score {
    int passed = 0;
    int failed = 0;
};

void print_lines(char sign, const std::vector<std::string>& lines, std::size_t first,
                 std::size_t count) {
    for (std::size_t i = first; i < std::min(lines.size(), first + count); ++i) {
        std::cout << sign << lines[i] << '\n';
    }
}

// Returns true if the lists are equal; else shows where they begin to differ.
bool compare(const char* title, const std::vector<std::string>& wanted,
             const std::vector<std::string>& got, const std::string& name) {
    if (wanted == got) {
        return true;
    }
    const auto difference = std::mismatch(wanted.begin(), wanted.end(), got.begin(), got.end());
    const auto at = static_cast<std::size_t>(difference.first - wanted.begin());
    const std::size_t first = at - std::min(at, lines_before);
    std::cout << "FAILED " << name << '\n'
              << "--- CPython's " << title << '\n'
              << "+++ this " << title << '\n'
              << "@@ line " << at + 1 << " @@\n";
    print_lines(' ', wanted, first, at - first);
    print_lines('-', wanted, at, lines_after);
    print_lines('+', got, at, lines_after);
    return false;
}

bool run_case(const Json& recorded, const std::string& name, bool debug) {
    Program program(recorded["program"]);
    try {
        const Record& record = program.run({.debug = debug});
        return compare("trace", recorded["trace"], record.trace, name) &&
               compare("lost", recorded["lost"], record.lost, name);
    } catch (const Unsupported& unsupported) {
        std::cout << "FAILED " << name << "\nunsupported: " << unsupported.what() << '\n';
    } catch (const TooLong& too_long) {
        std::cout << "FAILED " << name << '\n' << too_long.what() << '\n';
    } catch (const asyncio::DeadlockError& deadlock) {
        std::cout << "FAILED " << name << '\n' << deadlock.what() << '\n';
    }
    return false;
}

void run_file(const std::string& path, const Options& options, Score& score) {
    std::ifstream file(path);
    if (!file) {
        throw std::runtime_error("cannot open " + path);
    }
    for (std::string line; std::getline(file, line);) {
        if (line.empty()) {
            continue;
        }
        const Json recorded = Json::parse(line);
        const auto name = recorded["name"].get<std::string>();
        if (!options.only.empty() && name != options.only) {
            continue;
        }
        ++(run_case(recorded, name, options.debug) ? score.passed : score.failed);
    }
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--debug") {
            options.debug = true;
        } else if (argument == "--case" && i + 1 < argc) {
            options.only = argv[++i];
        } else if (argument.starts_with("-")) {
            throw std::runtime_error("unknown option " + std::string(argument));
        } else {
            options.files.emplace_back(argument);
        }
    }
    if (options.files.empty()) {
        throw std::runtime_error("usage: conformance [--debug] [--case NAME] FILE...");
    }
    return options;
}

}  // namespace

}  // namespace conformance

int main(int argc, char** argv) {
    try {
        const conformance::Options options = conformance::parse(argc, argv);
        conformance::Score score;
        for (const std::string& file : options.files) {
            conformance::run_file(file, options, score);
        }
        std::cout << score.passed << " passed, " << score.failed << " failed\n";
        return score.failed == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << "conformance: " << error.what() << '\n';
        return 2;
    }
}
