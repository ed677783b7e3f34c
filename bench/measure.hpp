// What the C++ programs of this folder share: clocks, peak memory, arguments and output, so that
// the floor, ours and the peers are measured by the same lines of code.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bench {

inline std::uint64_t now_ns() {
    const std::chrono::nanoseconds since_boot = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(since_boot.count());
}

inline double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    const auto microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return static_cast<double>(seconds) + static_cast<double>(microseconds) / 1e6;
}

// The peak of resident memory, as the kernel counts it for this process.
inline double peak_memory_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmHWM:", 0) == 0) {
            return std::strtod(line.c_str() + 6, nullptr) / 1024.0;
        }
    }
    return 0;
}

// Times start at construction.
class Stopwatch {
public:
    double ns_per(long operations) const {
        return static_cast<double>(now_ns() - start_ns_) / static_cast<double>(operations);
    }
    double cpu_ns_per(long operations) const {
        return cpu() * 1e9 / static_cast<double>(operations);
    }
    double cpu() const { return cpu_seconds() - start_cpu_; }

private:
    std::uint64_t start_ns_ = now_ns();
    double start_cpu_ = cpu_seconds();
};

// One result; `bench/run` reads lines of "key value".
inline void report(const char* key, double value) {
    std::printf("%s %.6g\n", key, value);
    std::fflush(stdout);
}

// Makes the optimiser believe that the value is used.
template <class T>
void keep(const T& value) {
    asm volatile("" : : "r,m"(value) : "memory");
}

// A generator that costs next to nothing and gives every runtime the same delays.
class Xorshift {
public:
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

// `program ROW OPERATIONS [SECONDS]`: the row to measure, how many operations, and how long a
// sleeper sleeps.
struct Arguments {
    std::string row;
    long operations;
    std::uint64_t seconds;

    Arguments(int count, char** values)
        : row(count > 1 ? values[1] : ""),
          operations(count > 2 ? std::strtol(values[2], nullptr, 10) : 0),
          seconds(count > 3 ? std::strtoul(values[3], nullptr, 10) : 1) {
        if (operations <= 0) {
            std::fprintf(stderr, "usage: %s ROW OPERATIONS [SECONDS]\n", values[0]);
            std::exit(2);
        }
    }
};

// A batch is what one gather joins and how many tasks take turns.
constexpr long batch_size = 1000;

// fib(27) awaits this many coroutines.
constexpr long fib_argument = 27;
constexpr long fib_awaits = 635'621;

constexpr std::uint64_t second_ns = 1'000'000'000;

}  // namespace bench
