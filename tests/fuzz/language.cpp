// Programs of the conformance language that nobody recorded: whatever a program does, the library
// must not crash, hang, leak or lose a wake-up, and must do the same every time.
#include <asyncio/log.hpp>

#include "../conformance/program.hpp"
#include "grammar.hpp"
#include "smaller.hpp"
#include "target.hpp"

#include <algorithm>
#include <iostream>
#include <regex>

namespace {

using conformance::Json;
using conformance::Program;
using conformance::Record;
using conformance::RunOptions;

// A program that was given up after so many iterations should have had as many lines at least: else
// the loop turned without anything happening.
constexpr std::size_t lines_min = 500;

struct Run {
    std::string end;
    Record record;
    std::string problem;
};

std::string end_of(Program& program, const RunOptions& options) {
    try {
        program.run(options);
        return "ended";
    } catch (const asyncio::DeadlockError&) {
        return "deadlock";
    } catch (const asyncio::RuntimeError& error) {
        // What is left after the main task may wait for itself in a circle.
        if (std::string_view(error.what()).starts_with("cannot cancel")) {
            return "circle";
        }
        throw;
    } catch (const conformance::TooLong& too_long) {
        return too_long.what();
    }
}

// Default names count the tasks of the process.
std::string without_numbers(const std::string& line) {
    static const std::regex default_name("Task-[0-9]+");
    return line.find("Task-") == std::string::npos ? line
                                                   : std::regex_replace(line, default_name, "Task");
}

Run run(const Json& source, const RunOptions& options) {
    Program program(source);
    Run result;
    result.end = end_of(program, options);
    result.record = program.record();
    std::ranges::transform(result.record.trace, result.record.trace.begin(), without_numbers);
    if (!program.overlooked().empty()) {
        result.problem = "a wake-up was lost: " + program.overlooked();
    } else if (result.end == "too many iterations" && result.record.trace.size() < lines_min &&
               options.iterations_max == RunOptions().iterations_max) {
        result.problem = "it spins";
    } else if (program.alive() != 0) {
        result.problem = std::to_string(program.alive()) + " coroutines or loops are left";
    }
    return result;
}

bool begins_with(const std::vector<std::string>& all, const std::vector<std::string>& first) {
    return first.size() <= all.size() && std::equal(first.begin(), first.end(), all.begin());
}

// Where two runs of one program differ.
std::string difference(const Run& one, const Run& other) {
    const auto& a = one.record.trace;
    const auto& b = other.record.trace;
    const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    return "\n- " + (in_a == a.end() ? one.end : *in_a) + "\n+ " +
           (in_b == b.end() ? other.end : *in_b);
}

bool same(const Run& one, const Run& other) {
    return one.end == other.end && one.record.trace == other.record.trace &&
           one.record.lost == other.record.lost;
}

class Language final : public fuzz::Target {
public:
    std::string make(fuzz::Choices choices) const override {
        return fuzz::random_program(std::move(choices)).dump();
    }

    std::optional<std::string> check(const std::string& input) const override {
        const Json source = Json::parse(input);
        const Run normal = run(source, {});
        const Run debug = run(source, {.debug = true});
        for (const Run* const each : {&normal, &debug}) {
            if (!each->problem.empty()) {
                return each->problem;
            }
        }
        if (!same(normal, debug)) {
            return "in debug mode it differs:" + difference(normal, debug);
        }
        if (const Run again = run(source, {}); !same(normal, again)) {
            return "the second time it differs:" + difference(normal, again);
        }
        // Given up anywhere on its way, it has come as far as the same way leads.
        for (const int iterations : {1, 2, 3, 5, 8, 13, 21}) {
            const Run part = run(source, {.iterations_max = iterations});
            if (!part.problem.empty()) {
                return "given up: " + part.problem;
            }
            if (!begins_with(normal.record.trace, part.record.trace)) {
                return "given up, it differs:" + difference(normal, part);
            }
        }
        return std::nullopt;
    }

    std::vector<std::string> smaller(const std::string& input) const override {
        return fuzz::smaller_programs(input);
    }
};

}  // namespace

std::unique_ptr<fuzz::Target> fuzz::make_target() {
    auto known = Program::statement_names();
    std::ranges::sort(known);
    if (known != fuzz::grammar_statements()) {
        throw std::logic_error("grammar.cpp has not the statements of the language");
    }
    asyncio::set_log_sink([](asyncio::LogLevel, std::string_view) {});
    return std::make_unique<Language>();
}
