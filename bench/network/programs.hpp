// The row `subprocess`: programs that end at once.
#pragma once

#include "measure.hpp"

namespace bench {

constexpr const char* program = "/bin/true";
constexpr long programs_at_once = 8;

// `start(count)` runs that many programs, so many at once.
template <class Start>
int measure_programs(int argument_count, char** arguments, Start start) {
    const Arguments parsed(argument_count, arguments);
    const Stopwatch watch;
    start(parsed.operations);
    report("subprocess_us", watch.ns_per(parsed.operations) / 1000);
    // The programs' own time is the same for everybody, and is not counted.
    report("subprocess_cpu_us", watch.cpu_ns_per(parsed.operations) / 1000);
    return 0;
}

}  // namespace bench
