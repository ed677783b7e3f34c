// What the tests of the core share: a loop in virtual time that collects its reports, and the log.
#pragma once

#include <asyncio/asyncio.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

// Keeps the lines of the log while it lives.
class LogCapture {
public:
    LogCapture()
        : outer_(asyncio::set_log_sink([this](asyncio::LogLevel, std::string_view text) {
              const std::lock_guard lock(mutex_);
              lines_.emplace_back(text);
          })) {}
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;
    ~LogCapture() { asyncio::set_log_sink(std::move(outer_)); }

    std::vector<std::string> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(lines_, {});
    }

private:
    std::mutex mutex_;
    std::vector<std::string> lines_;
    asyncio::LogSink outer_;
};

// A loop in virtual time that adds its reports to a list.
inline asyncio::EventLoopPtr make_virtual_loop(asyncio::testing::VirtualClock& clock,
                                               std::vector<asyncio::ErrorContext>& reports) {
    asyncio::LoopOptions options;
    options.clock = &clock;
    options.debug = false;
    asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(options));
    loop->set_exception_handler(
        [&reports](asyncio::EventLoop&, const asyncio::ErrorContext& report) {
            reports.push_back(report);
        });
    return loop;
}

// A loop in virtual time. A test fails if it leaves reports or lines of the log that it did not
// take: an error that nobody expects is an error of the test, too.
class LoopFixture : public ::testing::Test {
    std::vector<asyncio::ErrorContext> reports_;

protected:
    LoopFixture() : loop(make_loop()) {}

    asyncio::EventLoopPtr make_loop() { return make_virtual_loop(clock, reports_); }

    void TearDown() override {
        loop.reset();
        for (const asyncio::ErrorContext& report : take_reports()) {
            ADD_FAILURE() << "reported: " << report.message << " "
                          << asyncio::describe_exception(report.exception);
        }
        for (const std::string& line : captured.take()) {
            ADD_FAILURE() << "logged: " << line;
        }
    }

    // Runs iterations, none of which waits.
    void iterate(int times = 1) {
        for (int i = 0; i < times; ++i) {
            loop->run_once(asyncio::Duration::zero());
        }
    }

    std::vector<asyncio::ErrorContext> take_reports() { return std::exchange(reports_, {}); }

    // A callback that notes that it ran.
    auto note(std::string text) {
        return [this, text = std::move(text)] { notes += text; };
    }

    LogCapture captured;
    asyncio::testing::VirtualClock clock;
    asyncio::EventLoopPtr loop;
    std::string notes;  // what happened, in order
};
