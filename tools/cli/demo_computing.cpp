// The demo's scenario of work that computes.
#include "demo_computing.hpp"

#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "demo_parts.hpp"
#include "text_table.hpp"
#include "tick_picture.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <numeric>
#include <string_view>
#include <thread>
#include <utility>

namespace asyncio::cli {

using namespace std::chrono_literals;

namespace {

constexpr Duration tick_interval = 10ms;

// Each piece takes a fifth of a second of some processor.
constexpr std::array<int, 4> starts{1'000'000'000, 1'000'060'000, 1'000'120'000, 1'000'180'000};

int count_primes(int start) {
    int count = 0;
    for (int number = start; number < start + 60'000; ++number) {
        bool is_prime = true;
        for (int divisor = 2; divisor * divisor <= number && is_prime; ++divisor) {
            is_prime = number % divisor != 0;
        }
        count += is_prime ? 1 : 0;
    }
    return count;
}

using Counts = std::vector<int>;

constexpr std::string_view on_the_loop_code = R"(
    Coro<int> count(int start) {
        co_return count_primes(start);   // computes, and never waits
    }
    for (int start : starts) {           // tasks do not help here
        tasks.push_back(asyncio::create_task(count(start)));
    }
    auto counts = co_await asyncio::gather(tasks);
)";

Coro<int> count(int start) { co_return count_primes(start); }

Coro<Counts> on_the_loop() {
    std::vector<Task<int>> tasks;
    for (const int start : starts) {
        tasks.push_back(
            create_task({.name = "count " + std::to_string(tasks.size() + 1)}, count(start)));
    }
    co_return co_await gather(tasks);
}

constexpr std::string_view in_threads_code = R"(
    asyncio::ThreadPoolExecutor pool(processors);
    for (int start : starts) {
        calls.push_back(run_in_executor(pool, count_primes, start));
    }
    auto counts = co_await asyncio::gather(calls);   // the loop is free
)";

Coro<Counts> in_threads() {
    ThreadPoolExecutor pool(std::max(1U, std::thread::hardware_concurrency()));
    std::vector<Future<int>> calls;
    for (const int start : starts) {
        calls.push_back(run_in_executor(pool, count_primes, start));
    }
    co_return co_await gather(calls);
}

constexpr std::string_view in_processes_code = R"(
    asyncio::ProcessPoolExecutor pool;   // the same, and safe from crashes
    for (int start : starts) {
        calls.push_back(run_in_executor(pool, function<&count_primes>, start));
    }
    auto counts = co_await asyncio::gather(calls);
)";

Coro<Counts> in_processes() {
    ProcessPoolExecutor pool;
    std::vector<Future<int>> calls;
    for (const int start : starts) {
        calls.push_back(run_in_executor(pool, function<&count_primes>, start));
    }
    co_return co_await gather(calls);
}

// A task that ticks, and what it has seen.
struct Ticker {
    TickPicture picture;
    Duration latest{};
    bool stopping = false;

    explicit Ticker(const Terminal& terminal) : picture(std::cout, terminal, tick_interval) {}

    // Goes on until the tick after it has been told to stop, which shows all that were missing.
    static Coro<void> run(std::shared_ptr<Ticker> ticker) {
        ticker->picture.print_header();
        EventLoop& loop = get_running_loop();
        TimePoint due = loop.time();
        do {
            due += tick_interval;
            co_await sleep(due - loop.time());
            const Duration late = std::max(loop.time() - due, Duration::zero());
            ticker->latest = std::max(ticker->latest, late);
            ticker->picture.add(static_cast<std::size_t>(late / tick_interval));
            due += late / tick_interval * tick_interval;
        } while (!ticker->stopping);
        ticker->picture.finish();
    }
};

// Does the work between five ticks before and five after.
Coro<Duration> measure(Terminal terminal, Coro<Counts> work, Colour colour) {
    const auto ticker = std::make_shared<Ticker>(terminal);
    const auto ticking = create_task({.name = "ticker"}, Ticker::run, ticker);
    co_await sleep(5 * tick_interval);
    EventLoop& loop = get_running_loop();
    const TimePoint start = loop.time();
    const Counts counts = co_await std::move(work);
    const Duration time = loop.time() - start;
    co_await sleep(5 * tick_interval);
    ticker->stopping = true;
    co_await ticking;
    char latest[32];
    std::snprintf(latest, sizeof latest, "%.1f ms",
                  std::chrono::duration<double, std::milli>(ticker->latest).count());
    std::cout << std::accumulate(counts.begin(), counts.end(), 0)
              << " primes; the latest tick came " << latest << " late\n";
    print_took(terminal, colour, time);
    co_return time;
}

// Debug mode, and what it writes to the log about the tasks that count.
class DebugMode {
public:
    explicit DebugMode(EventLoop& loop)
        : loop_(loop), debug_(loop.get_debug()),
          slow_(std::exchange(loop.slow_callback_duration, tick_interval)),
          sink_(set_log_sink([this](LogLevel, std::string_view text) {
              if (text.find(" name='count ") != text.npos) {
                  warnings_.emplace_back(text);
              }
          })) {
        loop_.set_debug(true);
    }
    DebugMode(const DebugMode&) = delete;
    DebugMode& operator=(const DebugMode&) = delete;
    ~DebugMode() {
        set_log_sink(std::move(sink_));
        loop_.slow_callback_duration = slow_;
        loop_.set_debug(debug_);
    }

    const std::vector<std::string>& warnings() const noexcept { return warnings_; }

private:
    EventLoop& loop_;
    const bool debug_;
    const Duration slow_;
    std::vector<std::string> warnings_;
    LogSink sink_;
};

// The names of files, which may be anywhere, without their folders.
std::string without_folders(std::string text) {
    for (std::size_t slash = 0; (slash = text.find('/')) != text.npos;) {
        const std::size_t start = text.rfind(' ', slash) + 1;
        text.erase(start, slash + 1 - start);
    }
    return text;
}

Coro<Duration> measure_on_the_loop(Terminal terminal) {
    const DebugMode debug(get_running_loop());
    const Duration time = co_await measure(terminal, on_the_loop(), Colour::red);
    std::cout << "\nIn debug mode the loop tells who kept it; the first of "
              << debug.warnings().size() << " warnings:\n";
    if (!debug.warnings().empty()) {
        for (const std::string& line : wrap(without_folders(debug.warnings().front()), 76)) {
            std::cout << "    " << line << '\n';
        }
    }
    co_return time;
}

}  // namespace

Coro<std::vector<std::vector<std::string>>> play_computing(Terminal terminal) {
    print_heading(terminal, "Scenario 3: work that computes, in four pieces");
    print_way(terminal, Colour::red, "Bad: on the loop, in tasks", on_the_loop_code);
    const Duration loop = co_await measure_on_the_loop(terminal);
    print_way(terminal, Colour::green, "Better: in threads", in_threads_code);
    const Duration threads = co_await measure(terminal, in_threads(), Colour::green);
    print_way(terminal, Colour::green, "Better: in processes", in_processes_code);
    const Duration processes = co_await measure(terminal, in_processes(), Colour::green);
    std::cout << "\nOn the loop, nothing else happened for " << in_seconds(loop)
              << ". Threads and processes\ncompute beside it, on all processors there are.\n";
    co_return {measured_row("3: four counts, in threads", loop, threads),
               measured_row("3: four counts, in processes", loop, processes)};
}

}  // namespace asyncio::cli
