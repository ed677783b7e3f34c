// The members of plain structs, without macros.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace asyncio::inline v0 {
namespace detail {

// ---- what stands for a member where a struct is made of its members

struct AnyMember {
    template <class T>
    operator T() const;  // NOLINT(google-explicit-constructor)
};
template <std::size_t>
using AnyMemberAt = AnyMember;
struct AnyReference {
    template <class T>
    operator T&() const;  // NOLINT(google-explicit-constructor)
};
// What stands for a base class of T, and for nothing else.
template <class Base, class T>
concept ProperBaseOf = std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>;
template <class T>
struct AnyBaseOf {
    template <ProperBaseOf<T> Base>
    operator Base() const;  // NOLINT(google-explicit-constructor)
};

template <class T, class... More, std::size_t... i>
constexpr bool made_of(std::index_sequence<i...>) {
    return requires { T{AnyMemberAt<i>{}..., More{}...}; };
}
// Whether the member after those is one: braces make a whole array, what stands for a member only
// one element. (They do not make a class whose default constructor is explicit.)
template <class T, std::size_t... before, std::size_t... after>
constexpr bool is_one(std::index_sequence<before...>, std::index_sequence<after...>) {
    return !requires { T{AnyMemberAt<before>{}..., {}}; } ||
           requires { T{AnyMemberAt<before>{}..., {}, AnyMemberAt<after>{}...}; };
}
template <class T, std::size_t... i>
constexpr bool each_is_one(std::index_sequence<i...>) {
    return (is_one<T>(std::make_index_sequence<i>(),
                      std::make_index_sequence<sizeof...(i) - 1 - i>()) &&
            ...);
}
// Whether there is another member, one that AnyMember does not stand for.
template <class T, std::size_t... i>
constexpr bool has_another(std::index_sequence<i...> members) {
    return made_of<T, AnyReference>(members) || requires { T{AnyMemberAt<i>{}..., {}}; };
}

// ---- structs

inline constexpr std::size_t members_max = 16;
template <class T, std::size_t n = members_max + 1>
constexpr std::size_t member_count() {
    if constexpr (n == 0) {
        return 0;
    } else if constexpr (made_of<T>(std::make_index_sequence<n>())) {
        return n;
    } else {
        return member_count<T, n - 1>();
    }
}

template <class T>
concept AggregateWithBase =
    std::is_class_v<T> && std::is_aggregate_v<T> && requires { T{AnyBaseOf<T>{}}; };

// Structs whose members are known.
template <class T>
constexpr bool is_plain_struct() {
    if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || AggregateWithBase<T>) {
        return false;
    } else {
        constexpr std::size_t n = member_count<T>();
        if constexpr (n == 0 || n > members_max) {
            return n == 0 && std::is_empty_v<T>;
        } else {
            using Members = std::make_index_sequence<n>;
            return each_is_one<T>(Members()) && !has_another<T>(Members());
        }
    }
}
template <class T>
concept PlainStruct = is_plain_struct<T>();

// Calls visit(members...).
template <class T, class F>
constexpr decltype(auto) with_members(T& value, F&& visit) {
    constexpr std::size_t n = member_count<std::remove_const_t<T>>();
    if constexpr (n == 0) {
        return visit();
    } else if constexpr (n == 1) {
        auto& [a] = value;
        return visit(a);
    } else if constexpr (n == 2) {
        auto& [a, b] = value;
        return visit(a, b);
    } else if constexpr (n == 3) {
        auto& [a, b, c] = value;
        return visit(a, b, c);
    } else if constexpr (n == 4) {
        auto& [a, b, c, d] = value;
        return visit(a, b, c, d);
    } else if constexpr (n == 5) {
        auto& [a, b, c, d, e] = value;
        return visit(a, b, c, d, e);
    } else if constexpr (n == 6) {
        auto& [a, b, c, d, e, f] = value;
        return visit(a, b, c, d, e, f);
    } else if constexpr (n == 7) {
        auto& [a, b, c, d, e, f, g] = value;
        return visit(a, b, c, d, e, f, g);
    } else if constexpr (n == 8) {
        auto& [a, b, c, d, e, f, g, h] = value;
        return visit(a, b, c, d, e, f, g, h);
    } else if constexpr (n == 9) {
        auto& [a, b, c, d, e, f, g, h, i] = value;
        return visit(a, b, c, d, e, f, g, h, i);
    } else if constexpr (n == 10) {
        auto& [a, b, c, d, e, f, g, h, i, j] = value;
        return visit(a, b, c, d, e, f, g, h, i, j);
    } else if constexpr (n == 11) {
        auto& [a, b, c, d, e, f, g, h, i, j, k] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k);
    } else if constexpr (n == 12) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k, l);
    } else if constexpr (n == 13) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k, l, m);
    } else if constexpr (n == 14) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k, l, m, o);
    } else if constexpr (n == 15) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p);
    } else {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q] = value;
        return visit(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
