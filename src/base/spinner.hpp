// Waiting for another thread without falling asleep: for a moment, and where a processor is free.
#pragma once

#include "base/ticks.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace asyncio::inline v0 {
namespace detail {

/// One thread at a time. It learns: what comes in time makes it spin the next time, too; each time
/// in vain, it leaves out twice as many, so that who waits long or shares a processor loses nothing
/// that can be measured.
class Spinner {
public:
    /// About what it takes to fall asleep and to wake.
    static constexpr Duration time_max = std::chrono::microseconds(20);

    /// Before each time that it could spin.
    bool is_worth_it() noexcept {
        if (left_out_ < to_leave_out_) {
            ++left_out_;
            return false;
        }
        return true;
    }

    /// Whether `is_there()` became true. `busy`: so many other threads of the program, of those
    /// that the caller knows, need a processor.
    template <class Condition>
    bool spin(Condition is_there, std::size_t busy) noexcept {
        const Place place;
        if (!is_free(place.others + busy)) {
            return is_there();
        }
        const std::uint64_t end = ticks() + ticks_in(time_max);
        bool came = is_there();
        bool in_time = true;
        while (!came && in_time) {
            pause();
            came = is_there();
            in_time = ticks() < end;
        }
        // What came too late came while another thread had the processor.
        learn(came && in_time);
        return came;
    }

private:
    // Counts the threads of the program that spin.
    struct Place {
        Place() noexcept : others(spinning.fetch_add(1, std::memory_order_relaxed)) {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() { spinning.fetch_sub(1, std::memory_order_relaxed); }
        const std::size_t others;
    };

    static void pause() noexcept {
#if defined(__x86_64__)
        _mm_pause();
#elif defined(__aarch64__)
        asm volatile("isb");
#endif
    }
    bool is_free(std::size_t others) noexcept;
    void learn(bool came) noexcept {
        left_out_ = 0;
        to_leave_out_ = came ? 0 : std::min(2 * to_leave_out_ + 1, left_out_max);
    }

    static constexpr unsigned left_out_max = 1023;
    static inline std::atomic<std::size_t> spinning{0};

    unsigned to_leave_out_ = 0;
    unsigned left_out_ = 0;
    std::size_t processors_ = 0;
};

}  // namespace detail
}  // namespace asyncio::inline v0
