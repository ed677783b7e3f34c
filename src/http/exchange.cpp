// Steps, and how they end early.
#include "http/exchange.hpp"

#include <asyncio/http.hpp>

#include "http/error.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

void Exchange::abort(std::exception_ptr error) noexcept {
    if (aborted()) {
        return;
    }
    error_ = std::move(error);
    if (step_ != nullptr) {
        step_->leave();
        step_->finish();
    }
}

void Exchange::time_out(Duration after) noexcept {
    try {
        const char* const doing = step_ != nullptr ? step_->doing() : "fetching";
        abort(std::make_exception_ptr(
            TimeoutError(url_, "timed out after " + in_words(after) + " while " + doing)));
    } catch (...) {
        abort(std::current_exception());
    }
}

void Limit::start() {
    if (after_ > Duration::zero()) {
        started_ = exchange_.loop().time();
        timer_ =
            exchange_.loop().call_later(left_, [this]() noexcept { exchange_.time_out(after_); });
    }
}

void Limit::stop() {
    if (after_ > Duration::zero()) {
        timer_.cancel();
        left_ = std::max(left_ - (exchange_.loop().time() - started_), Duration::zero());
    }
}

bool Step::cancel(const CancelMessage& message) {
    if (done()) {
        return false;
    }
    leave();
    exchange_->step_ = nullptr;
    return Waiter::cancel(message);
}

void Step::finish() noexcept {
    exchange_->step_ = nullptr;
    set_result();
}

void Step::resumed() {
    Waiter::resumed();
    if (exchange_->aborted()) {
        std::rethrow_exception(exchange_->error_);
    }
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
