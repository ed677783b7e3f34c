// Functions that another process can be told to call.
#pragma once

#include <asyncio/coro.hpp>
#include <asyncio/serialize.hpp>

#include <functional>
#include <source_location>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {

namespace detail {

// The result and the parameters; the first of a member function is its object.
template <class F>
struct SignatureOf {
    static_assert(std::is_void_v<F>,
                  "asyncio::function<...> takes the address of a function or of a member function, "
                  "or a lambda without captures that is neither generic nor mutable");
};
template <class R, class... P>
struct SignatureOf<R (*)(P...)> {
    using Result = R;
    using Parameters = std::tuple<std::type_identity<P>...>;
};
template <class R, class... P>
struct SignatureOf<R (*)(P...) noexcept> : SignatureOf<R (*)(P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...)> : SignatureOf<R (*)(C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) noexcept> : SignatureOf<R (*)(C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) const> : SignatureOf<R (*)(const C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) const noexcept> : SignatureOf<R (*)(const C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) const&> : SignatureOf<R (*)(const C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) const & noexcept> : SignatureOf<R (*)(const C&, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) &&> : SignatureOf<R (*)(C, P...)> {};
template <class C, class R, class... P>
struct SignatureOf<R (C::*)(P...) && noexcept> : SignatureOf<R (*)(C, P...)> {};

// A function object is called without naming the object.
template <class Signature>
struct WithoutObject : SignatureOf<Signature*> {};
template <class R, class C, class... P>
struct WithoutObject<R (C::*)(P...) const> : SignatureOf<R (*)(P...)> {};
template <class R, class C, class... P>
struct WithoutObject<R (C::*)(P...) const noexcept> : SignatureOf<R (*)(P...)> {};
template <class F>
    requires requires { &F::operator(); }
struct SignatureOf<F> : WithoutObject<decltype(&F::operator())> {};

// What the caller keeps of an argument until it is sent.
template <class P>
struct Kept {
    using type = P;
};
template <class C, class Traits>
struct Kept<std::basic_string_view<C, Traits>> {
    using type = std::basic_string<C, Traits>;
};
template <class T, std::size_t extent>
struct Kept<std::span<T, extent>> {
    using type = std::vector<std::remove_const_t<T>>;
};
template <class P>
using kept_t = typename Kept<std::remove_cvref_t<P>>::type;

// Whether what is sent for a span can be seen through it.
template <class P>
inline constexpr bool can_be_seen = true;
template <class T, std::size_t extent>
inline constexpr bool can_be_seen<std::span<T, extent>> =
    std::is_const_v<T> && Viewable<std::remove_const_t<T>> && extent == std::dynamic_extent;

template <class P, class Arg>
kept_t<P> keep(Arg&& argument) {
    if constexpr (std::is_constructible_v<kept_t<P>, Arg>) {
        return kept_t<P>(std::forward<Arg>(argument));
    } else {
        const std::remove_cvref_t<P> view = std::forward<Arg>(argument);
        return kept_t<P>(view.begin(), view.end());
    }
}

// A function as the processes know it. They are copies of each other, so its address is its name.
struct RemoteFunction {
    std::string_view name;
    // Reads the arguments, and writes what the function returns.
    void (*call)(Reader& arguments, Writer& result);
};

template <auto f>
constexpr std::string_view name_of() {
    // "... name_of() [f = &resize]" of clang, "... [with auto f = resize; ...]" of GCC.
    std::string_view name = std::source_location::current().function_name();
    name.remove_prefix(name.find("f = ") + 4);
    name = name.substr(0, name.rfind(']'));
    name = name.substr(0, name.find(';'));
    return name.starts_with('&') ? name.substr(1) : name;
}
template <auto f>
void call_remotely(Reader& arguments, Writer& result);
template <auto f>
inline constexpr RemoteFunction remote_function{name_of<f>(), &call_remotely<f>};

}  // namespace detail

/// A function that is named when the program is compiled, so that another process can be told which
/// one it is: `asyncio::function<&resize>`. Calling it calls the function.
template <auto f, bool kills = false>
class Function {
public:
    using Result = std::remove_cvref_t<typename detail::SignatureOf<decltype(f)>::Result>;

    /// The same function, but when an await of a call that runs is cancelled, by a time-out for
    /// instance, or the loop closes, its process is ended and replaced:
    ///
    ///     co_await wait_for(run_in_executor(pool, function<&solve>.killable(), equations), 2s);
    constexpr Function<f, true> killable() const noexcept { return {}; }

    template <class... Args>
    constexpr decltype(auto) operator()(Args&&... args) const {
        return std::invoke(f, std::forward<Args>(args)...);
    }
};
template <auto f>
inline constexpr Function<f> function{};

namespace detail {

// ---- the check of a signature, with sentences

// A sentence for each argument and fault: only literals can be said, and a compiler says one.
#define ASYNCIO_CHECK_ARGUMENT(is_this, which)                                                    \
    static_assert(!(is_this) || !is_changeable,                                                   \
                  which " of the function is taken by a reference to non-const, and what is "     \
                        "changed in another process would be lost: take it by value, and return " \
                        "the result");                                                            \
    static_assert(!(is_this) || !is_pointer,                                                      \
                  which " of the function is a pointer, which leads nowhere in another process: " \
                        "take what it points to by value");                                       \
    static_assert(!(is_this) || !is_unseen,                                                       \
                  which " of the function is a span that cannot be read where it lies: take a "   \
                        "std::span<const T> of numbers or of structs without padding and bool, "  \
                        "or a const reference to a container");                                   \
    ASYNCIO_CHECK_SENDABLE((is_this) && !is_changeable && !is_pointer && !is_unseen, found,       \
                           which " of the function")

template <std::size_t i, class P>
struct ArgumentCheck {
    static constexpr bool is_changeable =
        std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>;
    static constexpr bool is_pointer = std::is_pointer_v<std::remove_cvref_t<P>>;
    static constexpr bool is_unseen = !can_be_seen<std::remove_cvref_t<P>>;
    static constexpr Obstacle found = obstacle<kept_t<P>>();
    static constexpr bool ok = true;

    ASYNCIO_CHECK_ARGUMENT(i == 0, "argument 1");
    ASYNCIO_CHECK_ARGUMENT(i == 1, "argument 2");
    ASYNCIO_CHECK_ARGUMENT(i == 2, "argument 3");
    ASYNCIO_CHECK_ARGUMENT(i == 3, "argument 4");
    ASYNCIO_CHECK_ARGUMENT(i > 3, "an argument after the fourth");
};
#undef ASYNCIO_CHECK_ARGUMENT

template <class F, class R, class Parameters>
struct RemoteCheck;
template <class F, class R, class... P>
struct RemoteCheck<F, R, std::tuple<std::type_identity<P>...>> {
    static_assert(!CoroLike<std::remove_cvref_t<R>>,
                  "a coroutine belongs to a loop, not to a process: pass a function that calls "
                  "asyncio::run()");
    ASYNCIO_CHECK_SENDABLE(!std::is_void_v<R> && !CoroLike<std::remove_cvref_t<R>>,
                           obstacle<std::remove_cvref_t<R>>(), "the function's result");

    using Kept = std::tuple<kept_t<P>...>;
    using Decoded = std::tuple<std::remove_cvref_t<P>...>;

    // As in a call of the function, but references to non-const are another fault.
    template <class... Args>
    static constexpr bool takes() {
        if constexpr (sizeof...(Args) == sizeof...(P)) {
            return (std::is_convertible_v<Args, std::remove_cvref_t<P>> && ...);
        } else {
            return false;
        }
    }
    template <class... Args>
    static Kept keep_all(Args&&... args) {
        static_assert(takes<Args...>(),
                      "the function cannot be called with these arguments: there must be one for "
                      "each of its parameters, which converts to it");
        if constexpr (takes<Args...>()) {
            return {keep<P>(std::forward<Args>(args))...};
        }
    }

    template <std::size_t... i>
    static constexpr bool arguments(std::index_sequence<i...>) {
        return (ArgumentCheck<i, P>::ok && ...);
    }
    static_assert(arguments(std::index_sequence_for<P...>()));
};
template <auto f>
using Remote = RemoteCheck<decltype(f), typename SignatureOf<decltype(f)>::Result,
                           typename SignatureOf<decltype(f)>::Parameters>;

template <auto f>
void call_remotely(Reader& arguments, Writer& result) {
    typename Remote<f>::Decoded decoded;
    read_arguments(arguments, decoded);
    const auto invoke = [](auto&... argument) -> decltype(auto) {
        return std::invoke(f, std::move(argument)...);
    };
    if constexpr (std::is_void_v<typename Function<f>::Result>) {
        std::apply(invoke, decoded);
    } else {
        result(static_cast<const typename Function<f>::Result&>(std::apply(invoke, decoded)));
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
