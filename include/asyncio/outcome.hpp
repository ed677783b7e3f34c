// Outcome<T>: a value, an exception or a cancellation, as a value. What gather collects with
// `return_exceptions`.
#pragma once

#include <asyncio/exceptions.hpp>

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace asyncio::inline v0 {

/// How an operation ended. `T` may be void.
template <class T>
class [[nodiscard]] Outcome {
    using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

public:
    using value_type = T;

    template <class... Args>
    explicit Outcome(std::in_place_t, Args&&... args)
        : value_(std::in_place, std::forward<Args>(args)...) {}
    Outcome(Stored value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
    /// Requires: not null.
    static Outcome failure(std::exception_ptr error) { return Outcome(std::move(error), false); }
    static Outcome cancellation(std::exception_ptr error) {
        return Outcome(std::move(error), true);
    }

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    /// True if it ended with a CancelledError.
    bool cancelled() const noexcept { return cancelled_; }
    /// Null for a value.
    const std::exception_ptr& exception() const noexcept { return error_; }

    /// Returns the value, or throws the exception.
    std::add_lvalue_reference_t<const T> value() const& {
        check();
        if constexpr (!std::is_void_v<T>) {
            return *value_;
        }
    }
    T value() && {
        check();
        if constexpr (!std::is_void_v<T>) {
            return *std::move(value_);
        }
    }

private:
    Outcome(std::exception_ptr error, bool cancelled)
        : error_(std::move(error)), cancelled_(cancelled) {}
    void check() const {
        if (!value_) {
            std::rethrow_exception(error_);
        }
    }

    std::optional<Stored> value_;
    std::exception_ptr error_;
    bool cancelled_ = false;
};

}  // namespace asyncio::inline v0
