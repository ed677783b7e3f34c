// The parts of queues that do not depend on the items. Follow CPython's asyncio/queues.py.
#include <asyncio/queues.hpp>

namespace asyncio::inline v0 {
namespace detail {

void QueueCore::task_done() {
    if (unfinished_tasks_ == 0) {
        throw ValueError("task_done() called too many times: once for each item that was put");
    }
    items_dropped(1);
}

void QueueCore::items_dropped(std::size_t count) noexcept {
    unfinished_tasks_ -= std::min(count, unfinished_tasks_);
    if (unfinished_tasks_ == 0) {
        finished_.set();
    }
}

void QueueCore::wake_next(Line& line) noexcept {
    if (!line.empty()) {
        line.pop_front().set_result();
    }
}

void QueueCore::wake_all() noexcept {
    while (!getters_.empty()) {
        wake_next(getters_);
    }
    while (!putters_.empty()) {
        wake_next(putters_);
    }
}

void QueueCore::Place::look_again(StandIn* self) noexcept {
    Place& place = self->place;
    if (!thread_state.error_pending && place.must_wait()) {
        place.stand_in_line();
    } else {
        Driver::current().pass_to(*self->frame.caller);
    }
}

void QueueCore::Place::end_wait() {
    waiting_ = false;
    try {
        resumed();
    } catch (...) {
        give_up();
        throw;
    }
}

void QueueCore::Place::give_up() noexcept {
    const bool woken = !linked() && !cancelled();
    leave_line();  // a foreign driver may have been interrupted where it stood
    if (woken && !must_wait()) {
        wake_next(core_.*line_);  // this one cannot use its wake-up
    }
}

QueueStatistics QueueCore::statistics_of(std::size_t size) const noexcept {
    return {size, maxsize_, unfinished_tasks_, getters_.count(), putters_.count()};
}

std::string QueueCore::describe(const char* type, std::size_t size) const {
    std::string text = std::string("<") + type + " maxsize=" + std::to_string(maxsize_);
    text += size > 0 ? " size=" + std::to_string(size) : "";
    text += getters_.empty() ? "" : " getters=" + std::to_string(getters_.count());
    text += putters_.empty() ? "" : " putters=" + std::to_string(putters_.count());
    text += unfinished_tasks_ > 0 ? " tasks=" + std::to_string(unfinished_tasks_) : "";
    text += shut_down_ ? " shutdown" : "";
    return text + ">";
}

void QueueCore::throw_empty() { throw QueueEmpty("the queue is empty; get() waits for an item"); }

void QueueCore::throw_full() { throw QueueFull("the queue is full; put() waits for room"); }

void QueueCore::throw_shut_down() { throw QueueShutDown("the queue was shut down"); }

}  // namespace detail
}  // namespace asyncio::inline v0
