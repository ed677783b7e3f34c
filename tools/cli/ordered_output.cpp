// Printing in order.
#include "ordered_output.hpp"

#include <asyncio/event_loop.hpp>
#include <asyncio/task.hpp>

#include <cerrno>
#include <system_error>
#include <utility>

namespace asyncio::cli {

Coro<void> OrderedOutput::enter(std::size_t number) {
    while (number >= printed_ + lines_max) {
        const Future<void> nearer = get_running_loop().create_future<void>();
        waiting_.push_back(nearer);
        co_await nearer;
    }
}

void OrderedOutput::put(std::size_t number, std::string line) {
    if (write_error_ != 0) {
        throw std::system_error(write_error_, std::generic_category(), "cannot write the results");
    }
    const std::size_t index = number - printed_;
    if (finished_.size() <= index) {
        finished_.resize(index + 1);
    }
    finished_[index] = std::move(line);
    while (!finished_.empty() && finished_.front()) {
        unwritten_ += *finished_.front();
        finished_.pop_front();
        ++printed_;
    }
    if (unwritten_.empty()) {
        return;
    }
    for (const Future<void>& waiter : std::exchange(waiting_, {})) {
        if (!waiter.done()) {
            waiter.set_result();
        }
    }
    // One system call for all that come in this turn of the loop.
    if (!std::exchange(flush_scheduled_, true)) {
        get_running_loop().call_soon([this] { flush(); });
    }
}

void OrderedOutput::set_hooks(std::function<void()> before, std::function<void()> after) {
    before_ = std::move(before);
    after_ = std::move(after);
}

void OrderedOutput::flush() noexcept {
    flush_scheduled_ = false;
    if (unwritten_.empty()) {
        return;
    }
    if (before_) {
        before_();
    }
    if (std::fwrite(unwritten_.data(), 1, unwritten_.size(), out_) != unwritten_.size() ||
        std::fflush(out_) != 0) {
        write_error_ = errno;
    }
    unwritten_.clear();
    if (after_) {
        after_();
    }
}

}  // namespace asyncio::cli
