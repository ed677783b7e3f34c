// Definitions of future.hpp that need the handle types to be complete.
#pragma once

#include <asyncio/future.hpp>

namespace asyncio::inline v0 {

namespace detail {

// The door between handles and states, for the library's own templates.
struct HandleAccess {
    template <class Handle>
    static Handle make(FutureState* state) noexcept {
        return Handle(state);
    }
    static FutureState& state(const AnyFuture& future) { return future.state(); }
    // True if this handle is the only one: its result may be moved instead of copied.
    static bool sole(const AnyFuture& future) { return future.state().refs() == 1; }

    template <class T>
    static Slot<T>& slot(FutureState& state) noexcept;
    template <class T>
    static Slot<T>& slot(const Future<T>& future) noexcept {
        return slot<T>(*future.state_.get());
    }
};

template <class F>
struct DoneCallbackOf final : DoneCallback {
    explicit DoneCallbackOf(F callable) : callable(std::move(callable)) {}
    void call(FutureState& target) override {
        if constexpr (std::invocable<F&, AnyFuture>) {
            std::invoke(callable, HandleAccess::make<AnyFuture>(&target));
        } else {
            std::invoke(callable);
        }
    }
    const void* function() const noexcept override {
        if constexpr (std::same_as<F, void (*)(AnyFuture)>) {
            return reinterpret_cast<const void*>(callable);
        } else {
            return nullptr;
        }
    }
    F callable;
};

template <class T>
T FutureAwaiter<T>::await_resume() {
    this->resumed();
    if constexpr (!std::is_void_v<T>) {
        static_assert(copyable_result<T>,
                      "awaiting an lvalue copies the result, and this type cannot be copied: write "
                      "co_await std::move(future)");
        if constexpr (copyable_result<T>) {
            return HandleAccess::slot<T>(*this->state).value;
        }
    }
}

template <class T>
T MovingFutureAwaiter<T>::await_resume() {
    this->resumed();
    if constexpr (!std::is_void_v<T>) {
        Slot<T>& slot = HandleAccess::slot<T>(*this->state);
        if constexpr (copyable_result<T>) {
            if (this->state->refs() > 1) {
                return slot.value;  // others may still ask for it
            }
        }
        this->state->set_moved();
        return std::move(slot.value);
    }
}

}  // namespace detail

template <class T>
detail::FutureAwaiter<T> make_awaiter(const Future<T>& future) {
    return detail::FutureAwaiter<T>(&detail::HandleAccess::state(future));
}

template <class T>
detail::MovingFutureAwaiter<T> make_awaiter(Future<T>&& future) {
    detail::MovingFutureAwaiter<T> awaiter(&detail::HandleAccess::state(future));
    // The handle is given away: if it was the last one, nobody else can ask for the result.
    [[maybe_unused]] const Future<T> given_away = std::move(future);
    return awaiter;
}

template <class F>
CallbackId AnyFuture::register_callback(F callback, detail::ContextPtr context) const {
    if constexpr (std::invocable<F&, AnyFuture>) {
        detail::check_callback<F, AnyFuture>();
    } else {
        detail::check_callback<F>();
    }
    state().check_thread();
    auto* node = new detail::DoneCallbackOf<F>(std::move(callback));
    node->context = std::move(context);
    return state().add_callback(node);
}

template <detail::DoneCallable F>
CallbackId AnyFuture::add_done_callback(F callback, const Context& context) const {
    return register_callback(std::move(callback), context.data_);
}

template <class T>
detail::Slot<T>& Future<T>::slot() const noexcept {
    return detail::HandleAccess::slot(*this);
}

}  // namespace asyncio::inline v0
