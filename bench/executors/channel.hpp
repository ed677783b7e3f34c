// How two threads, or two processes, tell each other that it is the other's turn.
#pragma once

#include "measure.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace floor_runtime {

enum class Waiting { spins, sleeps };

// Given by one thread and waited for by another, by turns.
class Turn {
public:
    void give() {
        if (state_.exchange(given, std::memory_order_acq_rel) == asleep) {
            syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
        }
    }

    template <Waiting waiting>
    void wait() {
        if (waiting == Waiting::spins) {
            const std::uint64_t end = bench::now_ns() + spin_ns;
            while (state_.load(std::memory_order_relaxed) != given && bench::now_ns() < end) {
                __builtin_ia32_pause();
            }
        }
        std::uint32_t expected = none;
        if (state_.compare_exchange_strong(expected, asleep, std::memory_order_acquire)) {
            while (state_.load(std::memory_order_acquire) == asleep) {
                syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, asleep, nullptr, nullptr, 0);
            }
        }
        state_.store(none, std::memory_order_relaxed);
    }

private:
    static constexpr std::uint32_t none = 0;
    static constexpr std::uint32_t given = 1;
    static constexpr std::uint32_t asleep = 2;
    static constexpr std::uint64_t spin_ns = 20'000;

    alignas(64) std::atomic<std::uint32_t> state_{none};
};

// The same between processes.
class Pipe {
public:
    Pipe() {
        if (pipe(ends_) != 0) {
            std::perror("pipe");
            std::exit(1);
        }
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        close(ends_[0]);
        close(ends_[1]);
    }

    void give() const {
        const char byte = 0;
        [[maybe_unused]] const auto written = write(ends_[1], &byte, 1);
    }
    void wait() const {
        char byte = 0;
        [[maybe_unused]] const auto got = read(ends_[0], &byte, 1);
    }

private:
    int ends_[2];
};

}  // namespace floor_runtime
