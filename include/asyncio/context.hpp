// Context variables: values that follow a task (contextvars in Python). A task starts with a copy
// of its creator's context; what it sets is seen by itself and by what it starts afterwards.
#pragma once

#include <asyncio/detail/thread_state.hpp>
#include <asyncio/exceptions.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace asyncio::inline v0 {

namespace detail {

// The identity of a variable. Shared by the variable and by every mapping that holds a value, so
// that an address is never used again while a value is filed under it.
struct ContextKey {
    std::string name;
};

using ContextValue = std::shared_ptr<const void>;

// One immutable state of a context (context.cpp).
struct ContextMapping;

// What a Context refers to. The count is atomic because executors copy contexts across threads.
class ContextData : public Pooled {
public:
    explicit ContextData(std::shared_ptr<const ContextMapping> mapping)
        : mapping(std::move(mapping)) {}

    std::shared_ptr<const ContextMapping> mapping;  // null when empty

    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

private:
    std::atomic<std::uint32_t> refs_{1};
};

// Owns one reference; null is a context that is empty and not yet materialised.
class ContextPtr {
public:
    ContextPtr() noexcept = default;
    explicit ContextPtr(ContextData* owned) noexcept : data_(owned) {}
    ContextPtr(const ContextPtr& other) noexcept : data_(other.data_) {
        if (data_ != nullptr) {
            data_->retain();
        }
    }
    ContextPtr(ContextPtr&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    ContextPtr& operator=(ContextPtr other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    ~ContextPtr() {
        if (data_ != nullptr) [[unlikely]] {
            data_->release();
        }
    }
    ContextData* get() const noexcept { return data_; }
    ContextData* leak() noexcept { return std::exchange(data_, nullptr); }
    explicit operator bool() const noexcept { return data_ != nullptr; }

private:
    ContextData* data_ = nullptr;
};

struct ContextAccess;

// The slot that holds the current context: the running driver's, or the thread's (driver.hpp).
ContextData*& current_context_slot() noexcept;
ASYNCIO_API ContextValue context_lookup(const ContextKey& key) noexcept;
ASYNCIO_API void context_assign(const std::shared_ptr<const ContextKey>& key, ContextValue value);
// A copy of the current context; null, at no cost, when that is empty.
ASYNCIO_API ContextPtr copy_context_data(const ContextData& data);
ContextPtr copy_current_context();
// The current context itself; null when nothing was ever set in it.
ASYNCIO_API ContextPtr current_context() noexcept;

// Puts `context` into the current slot for a scope.
class ASYNCIO_API ContextScope {
public:
    explicit ContextScope(ContextPtr context) noexcept;
    ContextScope(const ContextScope&) = delete;
    ContextScope& operator=(const ContextScope&) = delete;
    ~ContextScope();

private:
    ContextData* outer_;
};

}  // namespace detail

/// A mapping from context variables to values; a cheap handle that shares the mapping it names.
///
/// Thread safety: a handle may be copied to another thread; one mapping must not be used by two
/// threads at once.
class ASYNCIO_API Context {
public:
    /// A new, empty context.
    Context();
    // Moving copies, so that a handle always names a context.
    Context(const Context&) = default;
    Context& operator=(const Context&) = default;
    ~Context() = default;

    /// A new context with the same values (Python's `Context.copy()`). Cost: constant.
    Context copy() const;

    /// Calls `function(args...)` inside this context: variables it sets stay in this context.
    template <class F, class... Args>
    decltype(auto) run(F&& function, Args&&... args) const {
        detail::ContextScope scope(data_);
        return std::invoke(std::forward<F>(function), std::forward<Args>(args)...);
    }

    /// Number of variables that have a value here.
    std::size_t size() const noexcept;

    friend bool operator==(const Context& a, const Context& b) noexcept {
        return a.data_.get() == b.data_.get();
    }

private:
    friend class AnyFuture;
    friend struct detail::ContextAccess;
    explicit Context(detail::ContextPtr data) noexcept : data_(std::move(data)) {}

    detail::ContextPtr data_;  // never null
};

namespace detail {

struct ContextAccess {
    static Context make(ContextPtr data) noexcept { return Context(std::move(data)); }
    static const ContextPtr& data(const Context& context) noexcept { return context.data_; }
};

}  // namespace detail

/// A copy of the current context (Python's `contextvars.copy_context()`).
ASYNCIO_API Context copy_context();

namespace detail {

struct TokenState {
    ContextPtr context;
    ContextValue previous;
    bool used = false;
};

}  // namespace detail

/// What `ContextVar::set` returns, to restore the value there was before. Works once.
template <class T>
class Token;

/// A variable whose value belongs to the current context. Declare it with static storage.
///
/// Raises: `get()` without a value and without a default throws ValueError.
/// Cost: `get` is a binary search; `set` copies the mapping, 32 bytes a variable.
/// Thread safety: a variable may be used by every thread; contexts belong to one.
template <class T>
class ContextVar {
public:
    explicit ContextVar(std::string name)
        : key_(std::make_shared<detail::ContextKey>(detail::ContextKey{std::move(name)})) {}
    ContextVar(std::string name, T default_value)
        : key_(std::make_shared<detail::ContextKey>(detail::ContextKey{std::move(name)})),
          default_(std::move(default_value)) {}
    ContextVar(const ContextVar&) = delete;
    ContextVar& operator=(const ContextVar&) = delete;

    const std::string& name() const noexcept { return key_->name; }

    T get() const {
        if (const auto value = detail::context_lookup(*key_)) {
            return *static_cast<const T*>(value.get());
        }
        if (default_) {
            return *default_;
        }
        throw ValueError("ContextVar '" + name() +
                         "' has no value in this context and no default; set it first, or use "
                         "get(default_value)");
    }

    T get(T default_value) const {
        if (const auto value = detail::context_lookup(*key_)) {
            return *static_cast<const T*>(value.get());
        }
        return default_value;
    }

    Token<T> set(T value) {
        detail::ContextValue previous = detail::context_lookup(*key_);
        detail::context_assign(key_, std::make_shared<const T>(std::move(value)));
        return Token<T>(*this, detail::TokenState{detail::current_context(), std::move(previous)});
    }

    /// Restores the value from before the `set` that returned `token`. Raises: RuntimeError if the
    /// token (or a copy) was used already; ValueError if it is of another variable or context.
    void reset(const Token<T>& token) {
        detail::TokenState& state = *token.state_;
        if (state.used) {
            throw RuntimeError("this token of ContextVar '" + name() +
                               "' has already been used once");
        }
        if (token.variable_ != this) {
            throw ValueError("the token was created by a different ContextVar than '" + name() +
                             "'");
        }
        if (state.context.get() != detail::current_context().get()) {
            throw ValueError("the token of ContextVar '" + name() +
                             "' was created in a different Context");
        }
        detail::context_assign(key_, state.previous);
        state.used = true;
    }

private:
    std::shared_ptr<const detail::ContextKey> key_;
    std::optional<T> default_;
};

template <class T>
class Token {
    friend class ContextVar<T>;
    Token(ContextVar<T>& variable, detail::TokenState state)
        : variable_(&variable), state_(std::make_shared<detail::TokenState>(std::move(state))) {}

    ContextVar<T>* variable_;
    std::shared_ptr<detail::TokenState> state_;  // shared by copies
};

}  // namespace asyncio::inline v0
