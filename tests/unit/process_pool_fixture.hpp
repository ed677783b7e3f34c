// What the tests of process pools share: functions for the processes, and how to wait for them.
#pragma once

#include <asyncio/process_pool.hpp>

#include "process_census.hpp"
#include "process_fixture.hpp"

#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>

constexpr int patience_ms = 30'000;

inline int add(int a, int b) { return a + b; }
inline int process_number() { return ::getpid(); }
inline void compute_for_ever() {
    for (volatile int i = 0;; i = i + 1) {
    }
}

// In memory that the processes share with the test, which must be made before them.
struct Page {
    std::atomic<int> running = 0;  // the process that computes
    std::atomic<bool> may_end = false;
    std::atomic<int> started = 0;
};
inline Page& page() {
    static auto* const made = new (::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Page;
    return *made;
}
inline void await(const std::function<bool()>& condition) {
    while (!condition()) {
        ::sched_yield();
    }
}
inline void compute_until_told() {
    page().running = ::getpid();
    await([] { return page().may_end.load(); });
}

// The processes of a pool that has started so many.
inline std::vector<int> all_processes(const asyncio::ProcessPoolExecutor& pool, std::size_t count) {
    await([&] { return pool.processes().size() == count; });
    return pool.processes();
}

template <class T>
std::string outcome_of(asyncio::ThreadFuture<T> call) {
    try {
        (void)call.result(std::chrono::seconds(30));
        return "none";
    } catch (...) {
        return asyncio::describe_exception(std::current_exception());
    }
}
