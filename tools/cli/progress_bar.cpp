// Drawing the progress bar.
#include "progress_bar.hpp"

#include <asyncio/event_loop.hpp>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace asyncio::cli {

namespace {

using namespace std::chrono_literals;

constexpr Duration interval = 100ms;
// Weight of the latest tick in the speed that is shown: smooth, but no slower than a few seconds.
constexpr double smoothing = 0.1;
constexpr std::size_t bar_columns_max = 40;
constexpr std::size_t bar_columns_min = 5;

std::size_t terminal_columns() noexcept {
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
    return known ? size.ws_col : 80;
}

// A terminal that is paused would block whoever writes to it.
bool takes_output() noexcept {
    pollfd request{STDERR_FILENO, POLLOUT, 0};
    return ::poll(&request, 1, 0) == 1 && (request.revents & POLLOUT) != 0;
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<long long>(std::min(seconds, 1e9) + 0.5);
    char text[40];
    if (whole >= 3600) {
        std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                      whole % 60);
    } else {
        std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
    }
    return text;
}

}  // namespace

std::string progress_line(std::size_t done, std::size_t total, std::size_t failed, double rate,
                          double seconds_left, std::size_t columns) {
    const std::string count = " " + std::to_string(done) + "/" + std::to_string(total);
    char speed[40];
    std::snprintf(speed, sizeof speed, rate < 10 ? "  %.1f/s" : "  %.0f/s", rate);
    std::string tail = speed;
    if (failed > 0) {
        tail += "  " + std::to_string(failed) + " failed";
    }
    if (seconds_left >= 0) {
        tail += "  ETA " + duration_text(seconds_left);
    }
    const std::size_t taken = count.size() + tail.size() + 3;
    std::string bar;
    if (taken + bar_columns_min <= columns) {
        const std::size_t size = std::min(columns - taken, bar_columns_max);
        const std::size_t filled = total == 0 ? size : size * std::min(done, total) / total;
        bar = std::string(filled, '=') + std::string(size - filled, ' ');
        if (filled < size) {
            bar[filled] = '>';
        }
        bar = " [" + bar + "]";
    }
    return (count + bar + tail).substr(0, columns);
}

void Speed::add(std::size_t things, double seconds) noexcept {
    sum_ += smoothing * (static_cast<double>(things) / seconds - sum_);
    weight_ += smoothing * (1 - weight_);
}

ProgressBar::ProgressBar(std::size_t total, const std::size_t& done, const std::size_t& failed)
    : total_(total), done_(done), failed_(failed), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressBar::stop() noexcept {
    timer_.cancel();
    erase();
}

void ProgressBar::start() {
    if (is_terminal_) {
        last_tick_ = get_running_loop().time();
        timer_ = get_running_loop().call_later(interval, [this] { tick(); });
    }
}

void ProgressBar::tick() {
    EventLoop& loop = get_running_loop();
    const TimePoint now = loop.time();
    const double seconds = std::chrono::duration<double>(now - last_tick_).count();
    speed_.add(done_ - last_done_, seconds);
    last_tick_ = now;
    last_done_ = done_;
    if (!is_hidden_) {
        draw();
    }
    timer_ = loop.call_later(interval, [this] { tick(); });
}

void ProgressBar::draw() {
    if (!is_terminal_ || !takes_output()) {
        return;
    }
    const double left = static_cast<double>(total_ - done_);
    const double rate = speed_.per_second();
    // The last column stays free: some terminals go to the next line after it.
    const std::string line = progress_line(done_, total_, failed_, rate,
                                           rate > 0 ? left / rate : -1, terminal_columns() - 1);
    std::fputs(("\r\033[K" + line).c_str(), stderr);
    std::fflush(stderr);
    is_visible_ = true;
}

void ProgressBar::hide() noexcept {
    is_hidden_ = true;
    erase();
}

void ProgressBar::show() {
    is_hidden_ = false;
    draw();
}

void ProgressBar::erase() noexcept {
    if (is_visible_ && takes_output()) {
        is_visible_ = false;
        std::fputs("\r\033[K", stderr);
        std::fflush(stderr);
    }
}

}  // namespace asyncio::cli
