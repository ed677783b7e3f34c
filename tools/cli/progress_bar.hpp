// A line at the bottom of the terminal: how much is done, how fast, and how long it will take.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/handle.hpp>

#include <cstddef>
#include <string>

namespace asyncio::cli {

// " 37/100 [=======>            ]  12.3/s  2 failed  ETA 0:05", at most `columns` wide. No ETA
// (`seconds_left` < 0) while the speed is not known.
std::string progress_line(std::size_t done, std::size_t total, std::size_t failed, double rate,
                          double seconds_left, std::size_t columns);

// Things per second: of late, but smooth. From the first measurement on it is a weighted mean of
// all, so that none of them, least of all the first, counts for more than it is worth.
class Speed {
public:
    void add(std::size_t things, double seconds) noexcept;
    // 0 before the first measurement.
    double per_second() const noexcept { return weight_ > 0 ? sum_ / weight_ : 0; }

private:
    double sum_ = 0;
    double weight_ = 0;
};

// Draws itself on standard error, a few times a second, while `start`ed; nothing if that is no
// terminal.
class ProgressBar {
public:
    ProgressBar(std::size_t total, const std::size_t& done, const std::size_t& failed);
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    ~ProgressBar() { stop(); }

    // Requires: a running loop.
    void start();
    void stop() noexcept;
    // Takes it off the screen until `show`: somebody else writes there.
    void hide() noexcept;
    void show();

private:
    void tick();
    void draw();
    void erase() noexcept;

    const std::size_t total_;
    const std::size_t& done_;
    const std::size_t& failed_;
    const bool is_terminal_;
    bool is_visible_ = false;
    bool is_hidden_ = false;
    TimePoint last_tick_{};
    std::size_t last_done_ = 0;
    Speed speed_;
    TimerHandle timer_;
};

}  // namespace asyncio::cli
