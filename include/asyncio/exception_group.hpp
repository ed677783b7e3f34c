// Several exceptions as one: what a TaskGroup throws when its children fail.
#pragma once

#include <asyncio/exceptions.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

namespace asyncio::inline v0 {

/// Several exceptions, at least one of which is no std::exception; like those, it is none itself.
/// Catching it by reference also catches every ExceptionGroup.
///
/// Invariant: at least one exception is held, and none is null.
///
/// Cost: copies share what they hold. Thread safety: copies may be used by different threads.
class ASYNCIO_API BaseExceptionGroup {
public:
    using Predicate = std::function<bool(const std::exception_ptr&)>;
    struct Split;

    /// Raises: ValueError if `exceptions` is empty or holds a null pointer.
    /// Differs from CPython: never makes an ExceptionGroup; `make_exception_group` does.
    BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);
    BaseExceptionGroup(const BaseExceptionGroup&) noexcept = default;
    BaseExceptionGroup& operator=(const BaseExceptionGroup&) noexcept = default;
    virtual ~BaseExceptionGroup();

    const std::string& message() const noexcept;
    /// The members, which may be groups themselves.
    const std::vector<std::exception_ptr>& exceptions() const noexcept;
    /// "unhandled errors in a TaskGroup (2 sub-exceptions)".
    virtual const char* what() const noexcept;

    /// All exceptions that are no groups, in order, however deep they are nested.
    std::vector<std::exception_ptr> leaves() const;

    /// A group of the same shape with only the exceptions for which `matches` is true, or null if
    /// there are none. `matches` is asked for groups, too, this one first; one that matches is
    /// taken whole.
    std::exception_ptr subgroup(const Predicate& matches) const;
    /// Two such groups: the exceptions that match, and all others.
    Split split(const Predicate& matches) const;

    /// As above; an exception matches if `catch (const E&)` would catch it:
    ///
    ///     auto [timeouts, rest] = group.split<asyncio::TimeoutError>();
    template <class E>
    std::exception_ptr subgroup() const;
    template <class E>
    Split split() const;

private:
    struct Data;
    friend class ExceptionGroup;
    // This group as something that can be thrown, with its dynamic type.
    virtual std::exception_ptr itself() const;
    Split split_members(const Predicate& matches) const;
    std::exception_ptr derive(std::vector<std::exception_ptr> exceptions) const;

    std::shared_ptr<const Data> data_;
};

/// What `split` returns; null where there is nothing.
struct BaseExceptionGroup::Split {
    std::exception_ptr matching;
    std::exception_ptr rest;
};

/// Several exceptions, each a std::exception; it is one, too. The usual outcome of a TaskGroup.
class ASYNCIO_API ExceptionGroup : public BaseExceptionGroup, public Error {
public:
    /// Raises: ValueError as above; TypeError if a member is no std::exception.
    ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);
    ExceptionGroup(const ExceptionGroup&) noexcept = default;
    ExceptionGroup& operator=(const ExceptionGroup&) noexcept = default;
    ~ExceptionGroup() override;

    const char* what() const noexcept override;

private:
    friend ASYNCIO_API std::exception_ptr make_exception_group(std::string,
                                                               std::vector<std::exception_ptr>);
    explicit ExceptionGroup(const BaseExceptionGroup& checked);
    std::exception_ptr itself() const override;
};

/// An ExceptionGroup if every member is a std::exception, else a BaseExceptionGroup: Python's
/// `BaseExceptionGroup(message, exceptions)`. Raises: ValueError as the constructors.
ASYNCIO_API std::exception_ptr make_exception_group(std::string message,
                                                    std::vector<std::exception_ptr> exceptions);

/// Whether `catch (const E&)` would catch what `exception` holds. Cost: a throw.
template <class E>
bool is_exception(const std::exception_ptr& exception) noexcept {
    if (exception == nullptr) {
        return false;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}

namespace detail {

// What a handler takes and returns, from its one call operator.
template <class R, class E>
struct HandlerSignature {
    using result = R;
    using exception = std::remove_cvref_t<E>;
};
template <class R, class C, class E>
HandlerSignature<R, E> signature_of(R (C::*)(E));
template <class R, class C, class E>
HandlerSignature<R, E> signature_of(R (C::*)(E) const);

template <class Handler>
concept HasSignature = requires { signature_of(&Handler::operator()); };

// One clause: which exceptions it takes, and what it does with one of them.
struct ExceptStarClause {
    bool (*matches)(const std::exception_ptr&) noexcept;
    std::function<void(const std::exception_ptr&)> handle;
};
ASYNCIO_API void except_star(const std::exception_ptr& exception,
                             const std::vector<ExceptStarClause>& clauses);

template <class Handler>
ExceptStarClause except_star_clause(Handler& handler) {
    static_assert(HasSignature<Handler>,
                  "a handler of except_star is a lambda that names the class it takes: write "
                  "[](const MyError& error) { ... }");
    using Signature = decltype(signature_of(&Handler::operator()));
    using E = typename Signature::exception;
    static_assert(std::is_void_v<typename Signature::result>,
                  "a handler of except_star returns nothing, so it cannot be a coroutine: keep "
                  "what it learns in a variable, and co_await after the try block");
    static_assert(!std::is_base_of_v<BaseExceptionGroup, E>,
                  "except_star looks into groups: name the class of the exceptions in them");
    return {&is_exception<E>, [&handler](const std::exception_ptr& exception) {
                try {
                    std::rethrow_exception(exception);
                } catch (E& error) {
                    handler(error);
                }
            }};
}

}  // namespace detail

/// Python's `except*`, called in a handler. Each `(const E& error) { ... }` is called for every
/// exception of class E in the current exception, which may be a group, nested groups, or a single
/// one. What no handler takes is thrown again, as a group of the same shape:
///
///     try {
///         co_await asyncio::task_group(download_all);
///     } catch (...) {
///         asyncio::except_star(
///             [&](const asyncio::TimeoutError&) { ++timeouts; },
///             [&](const std::system_error& error) { log(error.what()); });
///     }
///
/// An exception goes to the first handler that takes it; handlers run in order, each for all of its
/// exceptions. What handlers throw is thrown in the end: in an ExceptionGroup with an empty
/// message, before what was not handled.
///
/// Raises: RuntimeError if no exception is being handled.
/// Differs from CPython: handlers get the exceptions one by one; a single exception that nobody
/// handles, or that a handler throws again, is thrown as it was.
template <class... Handlers>
void except_star(Handlers&&... handlers) {
    detail::except_star(std::current_exception(), {detail::except_star_clause(handlers)...});
}

template <class E>
std::exception_ptr BaseExceptionGroup::subgroup() const {
    return subgroup(&is_exception<E>);
}

template <class E>
BaseExceptionGroup::Split BaseExceptionGroup::split() const {
    return split(&is_exception<E>);
}

}  // namespace asyncio::inline v0
