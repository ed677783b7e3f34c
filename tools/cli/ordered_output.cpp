// Printing in order.
#include "ordered_output.hpp"

#include <asyncio/event_loop.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/task.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>
#include <utility>

namespace asyncio::cli {

namespace {

using namespace std::chrono_literals;

// A terminal may have room and yet refuse to write, as when one byte is left for the two of a line
// break.
constexpr Duration retry_interval = 10ms;

[[noreturn]] void fail(int error) {
    throw std::system_error(error, std::generic_category(), "cannot write the results");
}

bool is_regular_file(int fd) noexcept {
    struct stat status{};
    return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// A terminal counts as ready when it has room for a single byte, so a longer write may block all
// the same. The mode that prevents this belongs to whoever shares the terminal, hence a description
// of our own; where the system allows none, short writes must do.
int without_blocking(int fd) noexcept {
    if (::isatty(fd) == 0) {
        return fd;
    }
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fd;
}

// Up to the last end of a line in so many bytes, if there is one: an interruption between two
// writes leaves no half line.
std::size_t whole_lines(std::string_view text, std::size_t size_max) noexcept {
    if (text.size() <= size_max) {
        return text.size();
    }
    const std::size_t end = text.rfind('\n', size_max - 1);
    return end == text.npos ? size_max : end + 1;
}

}  // namespace

OrderedOutput::OrderedOutput(int fd, std::size_t total)
    : given_fd_(fd), fd_(without_blocking(fd)), total_(total), is_regular_(is_regular_file(fd)) {}

OrderedOutput::~OrderedOutput() {
    if (fd_ != given_fd_) {
        ::close(fd_);
    }
}

// ---- lines come in

bool OrderedOutput::may_enter(std::size_t number) const noexcept {
    // The one that all others wait for is held up by slow readers only.
    const bool is_next = number == printed_;
    return number < printed_ + lines_max && unwritten() <= unwritten_max &&
           (is_next || held_back_ <= held_back_max);
}

Coro<void> OrderedOutput::enter(std::size_t number) {
    while (!may_enter(number)) {
        const Future<void> change = get_running_loop().create_future<void>();
        waiting_.push_back(change);
        co_await change;
    }
}

void OrderedOutput::wake_waiting() {
    for (const Future<void>& waiter : std::exchange(waiting_, {})) {
        if (!waiter.done()) {
            waiter.set_result();
        }
    }
}

void OrderedOutput::put(std::size_t number, std::string line) {
    const std::size_t index = number - printed_;
    if (finished_.size() <= index) {
        finished_.resize(index + 1);
    }
    held_back_ += line.size();
    finished_[index] = std::move(line);
    const std::size_t printed_before = printed_;
    while (!finished_.empty() && finished_.front()) {
        held_back_ -= finished_.front()->size();
        lines_ += *finished_.front();
        finished_.pop_front();
        ++printed_;
    }
    if (printed_ == printed_before) {
        return;
    }
    wake_waiting();
    if (more_ && !more_.done()) {
        more_.set_result();
    }
}

// ---- and go out

void OrderedOutput::set_hooks(std::function<void()> before, std::function<void()> after) {
    before_ = std::move(before);
    after_ = std::move(after);
}

bool OrderedOutput::is_ready() const noexcept {
    pollfd request{fd_, POLLOUT, 0};
    return ::poll(&request, 1, 0) != 0;
}

int OrderedOutput::write_some() noexcept {
    if (!is_ready()) {
        return EAGAIN;
    }
    // A pipe that is ready takes PIPE_BUF bytes without blocking, and no more for sure.
    const std::string_view text = std::string_view(lines_).substr(written_);
    const std::size_t size = is_regular_ ? text.size() : whole_lines(text, PIPE_BUF);
    const ssize_t count = ::write(fd_, text.data(), size);
    if (count < 0) {
        return errno == EINTR ? 0 : errno;
    }
    written_ += static_cast<std::size_t>(count);
    if (unwritten() == 0 || written_ > unwritten_max) {
        lines_.erase(0, std::exchange(written_, 0));
    }
    return 0;
}

Coro<void> OrderedOutput::write_lines() {
    while (unwritten() > 0) {
        const int error = write_some();
        if (error == EAGAIN && is_ready()) {
            co_await sleep(retry_interval);
        } else if (error == EAGAIN) {
            co_await writable(fd_);
        } else if (error == EPIPE) {
            throw OutputClosed();
        } else if (error != 0) {
            fail(error);
        }
    }
}

Coro<void> OrderedOutput::write_all() {
    while (printed_ < total_ || unwritten() > 0) {
        if (unwritten() == 0) {
            more_ = get_running_loop().create_future<void>();
            co_await more_;
        }
        if (before_) {
            before_();
        }
        co_await write_lines();
        wake_waiting();
        if (after_) {
            after_();
        }
    }
    // Some file systems tell only now that there was no room.
    const int copy = ::dup(given_fd_);
    if (copy >= 0 && ::close(copy) != 0) {
        fail(errno);
    }
}

void OrderedOutput::write_rest() noexcept {
    while (unwritten() > 0 && write_some() == 0) {
    }
}

}  // namespace asyncio::cli
