// Values as bytes, for another process of the same program.
#pragma once

#include <asyncio/exceptions.hpp>

#include <array>
#include <chrono>
#include <complex>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <variant>

namespace asyncio::inline v0 {

/// Bytes do not hold what they are said to hold.
class ASYNCIO_API DecodeError : public ValueError {
public:
    using ValueError::ValueError;
    ~DecodeError() override;
};

/// Turns values into bytes. What can be sent: arithmetic types and enumerations; std::string,
/// optional, variant, pair, tuple, complex, unique_ptr, chrono's durations and time points,
/// filesystem::path; containers and arrays of these; plain structs of up to 16 members of these,
/// without bases and C arrays; and classes for which argument-dependent look-up finds
///
///     template <class Archive>
///     void serialize(Archive& archive, Point& point) { archive(point.x, point.y); }
///
/// which serves both directions, and must not change the value while it is written. Pointers and
/// references cannot be sent: they would lead nowhere.
///
/// The bytes are those of this program: neither a file format nor one for other machines.
class ASYNCIO_API Writer {
public:
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// Raises: ValueError if there is no more room.
    template <class... T>
    void operator()(const T&... values);

    /// Padding before what is written in one piece, so that it can be read where it lies.
    void align(std::size_t alignment) {
        static constexpr char zeros[alignof(std::max_align_t)] = {};
        write(zeros, (alignment - size() % alignment) % alignment);
    }
    void write(const void* bytes, std::size_t size) {
        if (size > static_cast<std::size_t>(end_ - next_)) {
            grow(size);
        }
        if (size > 0) {
            std::memcpy(next_, bytes, size);
            next_ += size;
        }
    }

    std::size_t size() const noexcept { return static_cast<std::size_t>(next_ - begin_); }
    /// Forgets what was written after a size.
    void rewind(std::size_t size) noexcept { next_ = begin_ + size; }

protected:
    Writer() = default;
    ~Writer() = default;
    // Makes room for so many bytes more, by `set_room`. Raises: ValueError.
    virtual void grow(std::size_t size) = 0;
    void set_room(char* begin, std::size_t capacity) noexcept {
        next_ = begin + size();
        begin_ = begin;
        end_ = begin + capacity;
    }

private:
    char* begin_ = nullptr;
    char* next_ = nullptr;
    char* end_ = nullptr;
};

/// Turns bytes into values. Trusts nothing: sizes are checked against the bytes that are there,
/// and values that no object of the type can have are refused.
class ASYNCIO_API Reader {
public:
    explicit Reader(std::span<const char> bytes) noexcept
        : begin_(bytes.data()), next_(begin_), end_(begin_ + bytes.size()) {}

    /// Raises: DecodeError.
    template <class... T>
    void operator()(T&... values);

    void align(std::size_t alignment) {
        const auto offset = static_cast<std::size_t>(next_ - begin_);
        read((alignment - offset % alignment) % alignment);
    }
    /// Where so many bytes are; they stay there as long as the reader's.
    const char* read(std::size_t size) {
        if (size > remaining()) {
            end_early();
        }
        return std::exchange(next_, next_ + size);
    }
    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - next_); }

    [[noreturn]] static void refuse(const char* what);

private:
    [[noreturn]] static void end_early();
    template <class T>
    void read_value(T& value);

    // Deep enough for data, and not too deep for the stack.
    static constexpr int depth_max = 500;

    const char* begin_;
    const char* next_;
    const char* end_;
    int depth_ = 0;
};

namespace detail {

// ---- what kinds there are

template <class T>
concept Number = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <class T>
inline constexpr bool is_view = false;
template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t extent>
inline constexpr bool is_view<std::span<T, extent>> = true;

template <class T>
concept CustomSerialized = requires(Writer& writer, Reader& reader, T& value) {
    serialize(writer, value);
    serialize(reader, value);
};
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };
template <class T>
concept Sequence = std::ranges::forward_range<T> && requires(T& container) {
    typename T::value_type;
    container.clear();
    container.insert(container.end(), std::declval<typename T::value_type>());
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_unique_ptr = false;
template <class T>
inline constexpr bool is_unique_ptr<std::unique_ptr<T>> = !std::is_array_v<T>;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;
template <class T>
inline constexpr bool is_duration = false;
template <class R, class P>
inline constexpr bool is_duration<std::chrono::duration<R, P>> = true;
template <class T>
inline constexpr bool is_time_point = false;
template <class C, class D>
inline constexpr bool is_time_point<std::chrono::time_point<C, D>> = true;
template <class T>
inline constexpr bool is_complex = false;
template <class T>
inline constexpr bool is_complex<std::complex<T>> = true;

// What a container holds, without the const of a map's keys.
template <class T>
struct Element {
    using type = T;
};
template <class A, class B>
struct Element<std::pair<const A, B>> {
    using type = std::pair<A, B>;
};

// ---- plain structs

struct AnyMember {
    template <class T>
    operator T() const;  // NOLINT(google-explicit-constructor)
};
template <std::size_t>
using AnyMemberAt = AnyMember;
template <class T, std::size_t... i>
constexpr bool made_of(std::index_sequence<i...>) {
    return requires { T{AnyMemberAt<i>{}...}; };
}
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
concept PlainStruct = std::is_class_v<T> && std::is_aggregate_v<T> && !std::is_empty_v<T> &&
                      member_count<T>() <= members_max;

// Calls visit(members...).
template <class T, class F>
constexpr decltype(auto) with_members(T& value, F&& visit) {
    constexpr std::size_t n = member_count<std::remove_const_t<T>>();
    if constexpr (n == 1) {
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

// Whether all bytes of an object are its value, and any bytes are a value: copied in one piece.
template <class T>
constexpr bool all_value();
template <class... T>
struct AllValue {
    static constexpr bool value = (all_value<std::remove_const_t<T>>() && ...);
    static constexpr std::size_t size = (sizeof(T) + ... + 0);
};
template <class T>
constexpr bool all_value() {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, long double>) {
        return false;
    } else if constexpr (Number<T>) {
        return true;
    } else if constexpr (PlainStruct<T> && !CustomSerialized<T> && !TupleLike<T> &&
                         std::is_trivially_copyable_v<T>) {
        using Members = decltype(with_members(
            std::declval<T&>(), [](auto&... member) {
                return AllValue<std::remove_reference_t<decltype(member)>...>();
            }));
        return Members::value && Members::size == sizeof(T);
    } else {
        return false;
    }
}

template <class T>
inline constexpr bool is_array_of_values = false;
template <class T>
    requires(std::ranges::contiguous_range<T> && requires(T& t) { t.resize(1); })
inline constexpr bool is_array_of_values<T> = all_value<typename T::value_type>();

// ---- whether something can be sent

template <class T, class... Outer>
constexpr bool sendable();
// The members of a struct, and the parameters of a tuple or variant.
template <class... Outer>
struct Within {
    template <class... T>
    static constexpr bool all() {
        return (sendable<std::remove_const_t<T>, Outer...>() && ...);
    }
    template <template <class...> class Template, class... T>
    static constexpr bool parameters(std::type_identity<Template<T...>>) {
        return all<T...>();
    }
    template <class T, std::size_t n>
    static constexpr bool parameters(std::type_identity<std::array<T, n>>) {
        return all<T>();
    }
    template <class S>
    static constexpr bool members() {
        return decltype(with_members(std::declval<S&>(), [](auto&... member) {
            return std::bool_constant<all<std::remove_reference_t<decltype(member)>...>()>();
        }))::value;
    }
};

// Outer: the structs that T is a part of. One that contains itself, in a container, can be sent if
// its other members can.
template <class T, class... Outer>
constexpr bool sendable() {
    using Parts = Within<T, Outer...>;
    if constexpr ((std::is_same_v<T, Outer> || ...)) {
        return true;
    } else if constexpr (Number<T> || std::is_same_v<T, std::monostate> ||
                         std::is_same_v<T, std::filesystem::path> || is_duration<T> ||
                         is_time_point<T> || is_complex<T>) {
        return true;
    } else if constexpr (!std::is_class_v<T> || is_view<T>) {
        return false;
    } else if constexpr (CustomSerialized<T>) {
        return std::is_default_constructible_v<T>;
    } else if constexpr (is_unique_ptr<T>) {
        return sendable<typename T::element_type, Outer...>();
    } else if constexpr (is_optional<T>) {
        return sendable<typename T::value_type, Outer...>();
    } else if constexpr (is_variant<T> || TupleLike<T>) {
        return Parts::parameters(std::type_identity<T>());
    } else if constexpr (Sequence<T>) {
        return sendable<typename Element<typename T::value_type>::type, Outer...>();
    } else if constexpr (std::is_empty_v<T>) {
        return std::is_aggregate_v<T>;
    } else if constexpr (PlainStruct<T>) {
        return Parts::template members<T>();
    } else {
        return false;
    }
}

}  // namespace detail

/// What can be sent to another process, and comes back as itself.
template <class T>
concept Sendable = std::is_default_constructible_v<T> && detail::sendable<T>();

// ---- writing

namespace detail {

template <class T>
void write_value(Writer& writer, const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        const char byte = value ? 1 : 0;
        writer.write(&byte, 1);
    } else if constexpr (Number<T> || is_complex<T>) {
        writer.write(&value, sizeof value);
    } else if constexpr (CustomSerialized<T>) {
        serialize(writer, const_cast<T&>(value));
    } else if constexpr (is_duration<T>) {
        write_value(writer, value.count());
    } else if constexpr (is_time_point<T>) {
        write_value(writer, value.time_since_epoch().count());
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
        write_value(writer, value.native());
    } else if constexpr (is_optional<T> || is_unique_ptr<T>) {
        const bool has_value = static_cast<bool>(value);
        write_value(writer, has_value);
        if (has_value) {
            write_value(writer, *value);
        }
    } else if constexpr (is_variant<T>) {
        if (value.valueless_by_exception()) {
            throw ValueError("a variant without a value cannot be sent");
        }
        write_value(writer, value.index());
        std::visit([&](const auto& held) { write_value(writer, held); }, value);
    } else if constexpr (TupleLike<T>) {
        std::apply([&](const auto&... part) { writer(part...); }, value);
    } else if constexpr (is_array_of_values<T>) {
        writer(value.size());
        writer.align(alignof(typename T::value_type));
        writer.write(value.data(), value.size() * sizeof(typename T::value_type));
    } else if constexpr (Sequence<T>) {
        writer(static_cast<std::size_t>(std::ranges::distance(value)));
        for (const typename T::value_type& element : value) {
            writer(element);
        }
    } else if constexpr (std::is_empty_v<T>) {
        // A byte, so that as many elements as are said to follow cannot be more than the bytes.
        writer(false);
    } else {
        with_members(value, [&](const auto&... member) { writer(member...); });
    }
}

}  // namespace detail

template <class... T>
void Writer::operator()(const T&... values) {
    (detail::write_value(*this, values), ...);
}

// ---- reading

namespace detail {

template <std::size_t... i, class... T>
void read_alternative(Reader& reader, std::variant<T...>& value, std::size_t index,
                      std::index_sequence<i...>) {
    const auto read = [&]<std::size_t at>(std::integral_constant<std::size_t, at>) {
        if (index == at) {
            reader(value.template emplace<at>());
        }
    };
    (read(std::integral_constant<std::size_t, i>()), ...);
}

template <class T>
void read_sequence(Reader& reader, T& value) {
    using V = typename T::value_type;
    std::size_t count = 0;
    reader(count);
    value.clear();
    if constexpr (is_array_of_values<T>) {
        reader.align(alignof(V));
        if (count > reader.remaining() / sizeof(V)) {
            Reader::refuse("a container with more elements than there are bytes");
        }
        const char* bytes = reader.read(count * sizeof(V));
        value.resize(count);
        if (count > 0) {
            std::memcpy(value.data(), bytes, count * sizeof(V));
        }
    } else {
        if (count > reader.remaining()) {
            Reader::refuse("a container with more elements than there are bytes");
        }
        for (std::size_t i = 0; i < count; ++i) {
            typename Element<V>::type element{};
            reader(element);
            value.insert(value.end(), std::move(element));
        }
    }
}

// A view of what lies in the bytes.
template <class T>
void read_view(Reader& reader, T& value) {
    using V = std::remove_pointer_t<decltype(value.data())>;
    std::size_t count = 0;
    reader(count);
    reader.align(alignof(V));
    if (count > reader.remaining() / sizeof(V)) {
        Reader::refuse("a view of more elements than there are bytes");
    }
    value = T(reinterpret_cast<V*>(reader.read(count * sizeof(V))), count);
}

}  // namespace detail

template <class T>
void Reader::read_value(T& value) {
    using namespace detail;
    if constexpr (std::is_same_v<T, bool>) {
        const char byte = *read(1);
        if (byte != 0 && byte != 1) {
            refuse("a bool that is neither true nor false");
        }
        value = byte != 0;
    } else if constexpr (Number<T> || is_complex<T>) {
        std::memcpy(&value, read(sizeof value), sizeof value);
    } else if constexpr (CustomSerialized<T>) {
        serialize(*this, value);
    } else if constexpr (is_duration<T>) {
        typename T::rep count{};
        read_value(count);
        value = T(count);
    } else if constexpr (is_time_point<T>) {
        typename T::rep count{};
        read_value(count);
        value = T(typename T::duration(count));
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
        std::string text;
        read_value(text);
        value = std::move(text);
    } else if constexpr (is_optional<T> || is_unique_ptr<T>) {
        bool has_value = false;
        read_value(has_value);
        value = {};
        if (has_value) {
            if constexpr (is_optional<T>) {
                (*this)(value.emplace());
            } else {
                value = std::make_unique<typename T::element_type>();
                (*this)(*value);
            }
        }
    } else if constexpr (is_variant<T>) {
        std::size_t index = 0;
        read_value(index);
        if (index >= std::variant_size_v<T>) {
            refuse("a variant with an alternative that it does not have");
        }
        read_alternative(*this, value, index,
                         std::make_index_sequence<std::variant_size_v<T>>());
    } else if constexpr (TupleLike<T>) {
        std::apply([&](auto&... part) { (*this)(part...); }, value);
    } else if constexpr (is_view<T>) {
        read_view(*this, value);
    } else if constexpr (Sequence<T>) {
        read_sequence(*this, value);
    } else if constexpr (std::is_empty_v<T>) {
        bool byte = false;
        read_value(byte);
    } else {
        with_members(value, [&](auto&... member) { (*this)(member...); });
    }
}

template <class... T>
void Reader::operator()(T&... values) {
    if (++depth_ > depth_max) {
        refuse("values within values, too deep");
    }
    (read_value(values), ...);
    --depth_;
}

}  // namespace asyncio::inline v0
