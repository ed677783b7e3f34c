// What the ticks are measured beside, and how late they are; the same for all C++ programs.
#pragma once

#include "measure.hpp"

#include <algorithm>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace bench {

constexpr std::uint64_t tick_ns = 1'000'000;

// As many as there are processors for this program.
inline long worker_count() {
    return std::max(1L, static_cast<long>(std::thread::hardware_concurrency()));
}

// Counts the primes below a number, by trial division: some 30 ms for this one.
constexpr int primes_limit = 200'000;
inline int count_primes(int limit) {
    int count = 0;
    for (int number = 2; number < limit; ++number) {
        bool is_prime = true;
        for (int divisor = 2; divisor * divisor <= number && is_prime; ++divisor) {
            is_prime = number % divisor != 0;
        }
        count += is_prime ? 1 : 0;
    }
    return count;
}

// By how much each tick came after its time, and how long its thread computed since the one before,
// which is the part that is not the system's.
class Lateness {
public:
    void add(std::uint64_t due_ns) {
        const std::uint64_t now = now_ns();
        late_ns_.push_back(now > due_ns ? now - due_ns : 0);
        const std::uint64_t cpu = thread_cpu_ns();
        busy_max_ns_ = std::max(busy_max_ns_, cpu - cpu_ns_);
        cpu_ns_ = cpu;
    }
    void report(const std::string& way) {
        std::sort(late_ns_.begin(), late_ns_.end());
        const auto part = [this](std::size_t percent) {
            return late_ns_[(late_ns_.size() - 1) * percent / 100];
        };
        report_us(way + "_p50", part(50));
        report_us(way + "_p99", part(99));
        report_us(way + "_max", part(100));
        report_us(way + "_busy", busy_max_ns_);
    }

private:
    static std::uint64_t thread_cpu_ns() {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<std::uint64_t>(time.tv_sec) * second_ns +
               static_cast<std::uint64_t>(time.tv_nsec);
    }
    static void report_us(const std::string& what, std::uint64_t ns) {
        bench::report(("ticks_" + what + "_us").c_str(), static_cast<double>(ns) / 1e3);
    }

    std::vector<std::uint64_t> late_ns_;
    std::uint64_t cpu_ns_ = thread_cpu_ns();
    std::uint64_t busy_max_ns_ = 0;
};

}  // namespace bench
