// Which results of tasks and futures may be copied, and which can only be moved out.
#pragma once

#include <asyncio/detail/config.hpp>

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace asyncio::inline v0 {

namespace detail {

// Whether a T can be copied: containers claim it even if their elements cannot.
template <class T>
inline constexpr bool is_copyable = std::copy_constructible<T>;
template <class T>
    requires(std::copy_constructible<T> && !std::same_as<typename T::value_type, T>)
inline constexpr bool is_copyable<T> = is_copyable<typename T::value_type>;
template <class First, class Second>
inline constexpr bool is_copyable<std::pair<First, Second>> =
    is_copyable<std::remove_const_t<First>> && is_copyable<Second>;
template <class... Elements>
inline constexpr bool is_copyable<std::tuple<Elements...>> = (is_copyable<Elements> && ...);
template <class... Kinds>
inline constexpr bool is_copyable<std::variant<Kinds...>> = (is_copyable<Kinds> && ...);
template <>
inline constexpr bool is_copyable<void> = true;

}  // namespace detail

/// Whether the result of a task or future may be copied where somebody else might still ask for it;
/// otherwise it is moved out. Specialise it with `false` for a type that claims to be copyable and
/// is not, such as a struct with a `std::vector<std::unique_ptr<X>>`.
template <class T>
inline constexpr bool copyable_result = detail::is_copyable<T>;

}  // namespace asyncio::inline v0
