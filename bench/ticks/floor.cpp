// The floor: a thread that sleeps and ticks, beside bare threads or processes that compute, or
// computes itself. What is late beside others is the system's.
#include "ticks/work.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <thread>
#include <vector>

namespace {

void compute(long calls) {
    for (long call = 0; call < calls; ++call) {
        bench::keep(bench::count_primes(bench::primes_limit));
    }
}

// Ticks until `is_done`, which is asked between two ticks.
void tick_until(const char* way, auto is_done) {
    bench::Lateness lateness;
    for (bool done = false; !done;) {
        const std::uint64_t due_ns = bench::now_ns() + bench::tick_ns;
        done = is_done();
        const timespec due{static_cast<time_t>(due_ns / bench::second_ns),
                           static_cast<long>(due_ns % bench::second_ns)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
        lateness.add(due_ns);
    }
    lateness.report(way);
}

void alone(long calls, long workers) {
    tick_until("loop", [&] {
        compute(workers);
        calls -= workers;
        return calls <= 0;
    });
}

void beside_threads(long calls, long workers) {
    std::atomic<long> running{workers};
    std::vector<std::thread> threads;
    for (long index = 0; index < workers; ++index) {
        threads.emplace_back([&] {
            compute(calls / workers);
            --running;
        });
    }
    tick_until("threads", [&] { return running == 0; });
    for (std::thread& thread : threads) {
        thread.join();
    }
}

void beside_processes(long calls, long workers) {
    for (long index = 0; index < workers; ++index) {
        if (fork() == 0) {
            compute(calls / workers);
            _exit(0);
        }
    }
    tick_until("processes", [&] {
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
            --workers;
        }
        return workers == 0;
    });
}

}  // namespace

int main(int count, char** values) {
    const bench::Arguments arguments(count, values);
    const long workers = bench::worker_count();
    alone(arguments.operations, workers);
    beside_processes(arguments.operations, workers);
    beside_threads(arguments.operations, workers);
}
