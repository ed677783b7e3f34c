// What can be sent to another process, and why something cannot.
#pragma once

#include <asyncio/detail/config.hpp>
#include <asyncio/detail/struct_members.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <tuple>
#include <variant>

namespace asyncio::inline v0 {

class ASYNCIO_API Reader;
class ASYNCIO_API Writer;

namespace detail {

// ---- what kinds there are

template <class T>
concept Number = std::is_arithmetic_v<T> || std::is_enum_v<T>;
// Without the padding of x86's long double.
template <class T>
inline constexpr std::size_t number_size =
    std::is_same_v<T, long double> && std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T);

template <class T, template <class...> class Template>
inline constexpr bool is_made_from = false;
template <template <class...> class Template, class... T>
inline constexpr bool is_made_from<Template<T...>, Template> = true;

template <class T>
concept Optional = is_made_from<T, std::optional>;
template <class T>
concept Variant = is_made_from<T, std::variant>;
template <class T>
concept Tuple = is_made_from<T, std::tuple> || is_made_from<T, std::pair>;
template <class T>
concept Complex = is_made_from<T, std::complex>;
template <class T>
concept AnyTimePoint = is_made_from<T, std::chrono::time_point>;
template <class T>
concept SharedPointer = is_made_from<T, std::shared_ptr> || is_made_from<T, std::weak_ptr>;

template <class T>
inline constexpr bool is_duration = false;
template <class R, class P>
inline constexpr bool is_duration<std::chrono::duration<R, P>> = true;
template <class T>
inline constexpr bool is_unique_ptr = false;
template <class T>
inline constexpr bool is_unique_ptr<std::unique_ptr<T>> = !std::is_array_v<T>;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t n>
inline constexpr bool is_array<std::array<T, n>> = true;
template <class T>
inline constexpr bool is_bitset = false;
template <std::size_t n>
inline constexpr bool is_bitset<std::bitset<n>> = true;
template <class T>
inline constexpr bool is_view = is_made_from<T, std::basic_string_view>;
template <class T, std::size_t extent>
inline constexpr bool is_view<std::span<T, extent>> = true;

// A container of the standard's kind. A struct that is derived from one is none: it has members.
template <class T>
concept Sequence =
    std::ranges::forward_range<T> && !std::is_aggregate_v<T> && requires(T& container) {
        typename T::value_type;
        container.clear();
        container.insert(container.end(), std::declval<typename T::value_type>());
    };
template <class T>
concept GrowsAtEnd = requires(T& container) {
    container.emplace_back();
    { container.back() } -> std::same_as<typename T::value_type&>;
};
// What a container holds, without the const of a map's keys.
template <class T>
struct Element {
    using type = T;
};
template <class A, class B>
struct Element<std::pair<const A, B>> {
    using type = std::pair<A, B>;
};
// A comparison or hash function that is not like any other of its type.
template <class T>
concept OrderedByState = (requires { typename T::key_compare; } &&
                          !requires { requires std::is_empty_v<typename T::key_compare>; }) ||
                         (requires { typename T::hasher; } && !requires {
                             requires std::is_empty_v<typename T::hasher>;
                             requires std::is_empty_v<typename T::key_equal>;
                         });

// ---- classes with a function serialize

// What becomes a reference to this very class, or to a base class of it.
template <class T>
struct ReferenceTo {
    template <std::same_as<T> Same>
    operator Same&() const;  // NOLINT(google-explicit-constructor)
};
template <class T>
struct ReferenceToBaseOf {
    template <ProperBaseOf<T> Base>
    operator Base&() const;  // NOLINT(google-explicit-constructor)
};
template <class V>
concept CanBeSerialized = requires(Writer& writer, Reader& reader, V& value) {
    serialize(writer, value);
    serialize(reader, value);
};
// A base class's function would leave out what the class adds.
template <class T>
concept SerializedAsBase =
    std::is_class_v<T> && CanBeSerialized<T> && CanBeSerialized<ReferenceToBaseOf<T>> &&
    !CanBeSerialized<ReferenceTo<T>>;
template <class T>
concept CustomSerialized = CanBeSerialized<T> && !SerializedAsBase<T>;

// ---- what is copied in one piece

// Whether all bytes of an object are its value, and any bytes are a value.
template <class T>
constexpr bool all_value();
template <class... T>
struct AllValue {
    static constexpr bool value = (all_value<T>() && ...);
    static constexpr std::size_t size = (sizeof(T) + ... + 0);
};
template <class T>
constexpr bool all_value_of_class() {
    if constexpr (Complex<T>) {
        return all_value<typename T::value_type>();
    } else if constexpr (is_array<T>) {
        return std::tuple_size_v<T> > 0 && all_value<typename T::value_type>();
    } else if constexpr (is_duration<T> || AnyTimePoint<T>) {
        return all_value<typename T::rep>();
    } else if constexpr (PlainStruct<T> && !std::is_empty_v<T>) {
        using Members = decltype(with_members(std::declval<T&>(), [](auto&... member) {
            return AllValue<std::remove_reference_t<decltype(member)>...>();
        }));
        return Members::value && Members::size == sizeof(T);
    } else {
        return false;
    }
}
template <class T>
constexpr bool all_value() {
    if constexpr (std::is_enum_v<T>) {
        return all_value<std::underlying_type_t<T>>();
    } else if constexpr (std::is_arithmetic_v<T>) {
        return !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;
    } else if constexpr (std::is_trivially_copyable_v<T> && !CanBeSerialized<T>) {
        return all_value_of_class<T>();
    } else {
        return false;
    }
}

// Whether objects can be used where they lie in a message, which has no larger alignment.
template <class T>
concept Viewable = all_value<T>() && alignof(T) <= alignof(std::max_align_t);
template <class T>
concept HasArray =
    std::ranges::contiguous_range<T> && requires(T& t) { t.assign(t.data(), t.data()); };
template <class T>
inline constexpr bool is_array_of_values = false;
template <HasArray T>
inline constexpr bool is_array_of_values<T> = Viewable<typename T::value_type>;

// ---- whether something can be sent

enum class Obstacle {
    none,
    pointer,
    view,
    polymorphic,
    order,
    base,
    members,
    construction,
    contents
};

template <class T, class... Outer>
constexpr Obstacle obstacle();

constexpr Obstacle first_of(std::initializer_list<Obstacle> obstacles) {
    for (const Obstacle each : obstacles) {
        if (each != Obstacle::none) {
            return each;
        }
    }
    return Obstacle::none;
}

// In the parameters of a tuple or variant, and the members of a struct.
template <class T>
struct ObstacleIn;
template <template <class...> class Template, class... T>
struct ObstacleIn<Template<T...>> {
    template <class... Outer>
    static constexpr Obstacle parameters() {
        return first_of({obstacle<T, Outer...>()...});
    }
};
template <class T, class... Outer>
constexpr Obstacle obstacle_in_members() {
    return decltype(with_members(std::declval<T&>(), [](auto&... member) {
        return std::integral_constant<
            Obstacle,
            first_of({obstacle<std::remove_reference_t<decltype(member)>, Outer...>()...})>();
    }))::value;
}

template <class T, class... Outer>
constexpr Obstacle obstacle_in_class() {
    if constexpr (CustomSerialized<T>) {
        return std::is_default_constructible_v<T> ? Obstacle::none : Obstacle::construction;
    } else if constexpr (SerializedAsBase<T>) {
        return Obstacle::base;
    } else if constexpr (is_unique_ptr<T>) {
        using V = typename T::element_type;
        return std::is_polymorphic_v<V> && !std::is_final_v<V> ? Obstacle::polymorphic
                                                               : obstacle<V, Outer...>();
    } else if constexpr (Optional<T> || is_array<T>) {
        return obstacle<typename T::value_type, Outer...>();
    } else if constexpr (Variant<T> || Tuple<T>) {
        return ObstacleIn<T>::template parameters<Outer...>();
    } else if constexpr (Sequence<T>) {
        return OrderedByState<T> ? Obstacle::order
               : !std::is_default_constructible_v<T>
                   ? Obstacle::construction
                   : obstacle<typename Element<typename T::value_type>::type, Outer...>();
    } else if constexpr (PlainStruct<T>) {
        return obstacle_in_members<T, Outer...>();
    } else {
        return AggregateWithBase<T>     ? Obstacle::base
               : std::is_aggregate_v<T> ? Obstacle::members
                                        : Obstacle::contents;
    }
}

// Outer: what T is a part of. A struct that contains itself, in a container, can be sent if its
// other members can.
template <class T, class... Outer>
constexpr Obstacle obstacle() {
    if constexpr (std::is_const_v<T> || std::is_volatile_v<T> || std::is_array_v<T>) {
        return Obstacle::members;
    } else if constexpr (std::is_pointer_v<T> || std::is_reference_v<T> ||
                         std::is_member_pointer_v<T> || std::is_null_pointer_v<T> ||
                         SharedPointer<T>) {
        return Obstacle::pointer;
    } else if constexpr (is_view<T>) {
        return Obstacle::view;
    } else if constexpr ((std::is_same_v<T, Outer> || ...) || Number<T> ||
                         std::is_same_v<T, std::monostate> ||
                         std::is_same_v<T, std::filesystem::path> || is_bitset<T>) {
        return Obstacle::none;
    } else if constexpr (is_duration<T> || AnyTimePoint<T>) {
        return obstacle<typename T::rep>();
    } else if constexpr (Complex<T>) {
        return obstacle<typename T::value_type>();
    } else if constexpr (std::is_class_v<T>) {
        return obstacle_in_class<T, T, Outer...>();
    } else {
        return Obstacle::contents;
    }
}

// A sentence for each obstacle: only literals can be said when a program is compiled. `if_sent`: a
// condition; `what`: the subject.
#define ASYNCIO_CHECK_SENDABLE(if_sent, found, what)                                               \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::pointer,                   \
                  what " cannot be sent to another process: it holds a pointer or a reference, "   \
                       "which leads nowhere there; hold what it points to by value");              \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::view,                      \
                  what " cannot be sent to another process: it holds a view, which owns nothing; " \
                       "hold a std::string or a container");                                       \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::polymorphic,               \
                  what " cannot be sent to another process: it holds a std::unique_ptr to a "      \
                       "class with virtual functions, of which only the base would arrive; hold "  \
                       "a std::variant");                                                          \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::order,                     \
                  what " cannot be sent to another process: it holds a container whose "           \
                       "comparison or hash function has a state, which would be lost; give it a "  \
                       "function object without members");                                         \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::base,                      \
                  what " cannot be sent to another process: it holds a struct with a base "        \
                       "class; give that struct a function serialize(archive, value) of its own"); \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::members, what              \
                  " cannot be sent to another process: it holds a struct with a C array, a "       \
                  "constant or a reference, or with more than 16 members; use std::array, or "     \
                  "give the struct a function serialize(archive, value)");                         \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::construction,              \
                  what " cannot be sent to another process: it holds a class without a default "   \
                       "constructor, so that there is nothing to read into; give it one");         \
    static_assert(!(if_sent) || (found) != ::asyncio::detail::Obstacle::contents,                  \
                  what " cannot be sent to another process: it holds a class with private "        \
                       "members, or something else whose contents are not known; give it a "       \
                       "function serialize(archive, value), see asyncio::Writer")

}  // namespace detail

/// What can be sent to another process, and comes back as itself.
template <class T>
concept Sendable = detail::obstacle<T>() == detail::Obstacle::none;

}  // namespace asyncio::inline v0
