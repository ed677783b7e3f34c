// Seeds of randomised tests: another one in every run, and how to repeat a run that failed.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

// The seed of a test. When the test fails, the message says how to run it again with this seed.
class RandomSeed {
public:
    RandomSeed()
        : value_(chosen()),
          trace_(__FILE__, __LINE__,
                 "to repeat: " + std::string(variable) + "=" + std::to_string(value_) +
                     " unit_tests --gtest_filter=" + test_name()) {}

    std::uint64_t value() const { return value_; }

private:
    static constexpr const char* variable = "ASYNCIO_TEST_SEED";

    static std::uint64_t chosen() {
        if (const char* const given = std::getenv(variable)) {
            return std::strtoull(given, nullptr, 10);
        }
        return std::random_device()();
    }
    static std::string test_name() {
        const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
        return std::string(test->test_suite_name()) + "." + test->name();
    }

    std::uint64_t value_;
    ::testing::ScopedTrace trace_;
};
