// Values as bytes, for another process of the same program.
#pragma once

#include <asyncio/detail/sendable.hpp>
#include <asyncio/exceptions.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>

namespace asyncio::inline v0 {

/// Bytes do not hold what they are said to hold.
class ASYNCIO_API DecodeError : public ValueError {
public:
    using ValueError::ValueError;
    ~DecodeError() override;
};

namespace detail {

// Counts values within values: enough are allowed for data, and too few to use up the stack.
inline constexpr int nesting_max = 500;
class Nesting {
public:
    explicit Nesting(int& depth) noexcept : depth_(++depth) {}
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --depth_; }

    bool is_too_deep() const noexcept { return depth_ > nesting_max; }

private:
    int& depth_;
};

// What is given to an archive.
template <class T>
struct ArchiveCheck {
    static constexpr bool is_ok = true;
    ASYNCIO_CHECK_SENDABLE(true, obstacle<T>(), "a value given to an archive");
};

}  // namespace detail

/// Turns values into bytes. What can be sent (the concept `Sendable`):
///
/// - numbers, enumerations, std::monostate, std::complex, the durations and time points of chrono,
///   std::filesystem::path, std::bitset, strings of any kind of character;
/// - optional, variant, pair, tuple, array, unique_ptr (to a class without virtual functions), and
///   containers, the standard's and those like them, of what can be sent; not those whose
///   comparison or hash function has a state. A container comes back with its default allocator;
/// - plain structs of up to 16 members of these, without base classes, C arrays, bit-fields,
///   anonymous unions, references and constants;
/// - default-constructible classes for which argument-dependent look-up finds, as a friend perhaps,
///
///       template <class Archive>
///       void serialize(Archive& archive, Point& point) { archive(point.x, point.y); }
///
///   which serves both directions, and must not change the value while it is written. Two functions
///   do as well, `serialize(Writer&, const Point&)` and `serialize(Reader&, Point&)`. A base
///   class's does not count. Whoever reads must refuse what no such object can be
///   (`Reader::refuse`).
///
/// Pointers, references and views cannot be sent: they would lead nowhere. Values may be nested 500
/// deep: an element of a recursive type takes two or three levels. While they are read, elements of
/// sets and maps are on the stack.
///
/// The bytes are those of this program: neither a file format nor one for other machines. Cost:
/// containers whose elements have no padding, no bool and one piece of memory are copied by one
/// memcpy; everything else value by value, a size takes 8 bytes. Thread safety: one thread.
class ASYNCIO_API Writer {
public:
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// Raises: ValueError if there is no more room, or a variant has no value; what the functions
    /// of the values throw.
    template <class... T>
    void operator()(const T&... values);

    /// Padding before what is written in one piece, so that it can be read where it lies.
    /// Requires: no alignment beyond that of std::max_align_t.
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
    int depth_ = 0;
};

/// Turns bytes into values. Trusts nothing, and the bytes may even change meanwhile: sizes are
/// checked against the bytes that are there, what is decided by is read once, and values that no
/// object of the type can have are refused. Enumerations, though, can have any value of their
/// underlying type. A message of n bytes makes objects of at most n times the largest size that a
/// type in it has, with what containers add.
class ASYNCIO_API Reader {
public:
    /// Requires: the bytes begin where those of the writer did, but for multiples of the alignment
    /// of std::max_align_t.
    explicit Reader(std::span<const char> bytes) noexcept
        : begin_(bytes.data()), next_(begin_), end_(begin_ + bytes.size()) {}

    /// Raises: DecodeError; std::bad_alloc; what the functions of the values throw. The values are
    /// then any.
    template <class... T>
    void operator()(T&... values);

    /// Raises: DecodeError if anything is left, because what was written is something else.
    void finish() const {
        if (remaining() > 0) {
            refuse("they go on after the end");
        }
    }
    /// For functions `serialize` that find what cannot be. Raises: DecodeError.
    [[noreturn]] static void refuse(const char* what);

    void align(std::size_t alignment) {
        const auto offset = static_cast<std::size_t>(next_ - begin_);
        read((alignment - offset % alignment) % alignment);
    }
    /// Where so many bytes are; they stay there as long as the reader's.
    const char* read(std::size_t size) {
        if (size > remaining()) {
            refuse("they end too early");
        }
        return std::exchange(next_, next_ + size);
    }
    /// So many bytes in memory that nobody else changes.
    void read_into(void* to, std::size_t size) {
        const char* const bytes = read(size);
        if (size > 0) {
            std::memcpy(to, bytes, size);
            // The compiler must not look there again.
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
    }
    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - next_); }

private:
    const char* begin_;
    const char* next_;
    const char* end_;
    int depth_ = 0;
};

// ---- writing

namespace detail {

template <class T>
void write_value(Writer& writer, const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        const char byte = value ? 1 : 0;
        writer.write(&byte, 1);
    } else if constexpr (std::is_enum_v<T>) {
        write_value(writer, static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_arithmetic_v<T>) {
        writer.write(&value, number_size<T>);
    } else if constexpr (Complex<T>) {
        writer(value.real(), value.imag());
    } else if constexpr (is_duration<T>) {
        writer(value.count());
    } else if constexpr (AnyTimePoint<T>) {
        writer(value.time_since_epoch());
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
        writer(value.native());
    } else if constexpr (is_bitset<T>) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            write_value<bool>(writer, value[i]);
        }
    } else if constexpr (CustomSerialized<T>) {
        serialize(writer, const_cast<T&>(value));
    } else if constexpr (Optional<T> || is_unique_ptr<T>) {
        const bool has_value = static_cast<bool>(value);
        write_value(writer, has_value);
        if (has_value) {
            writer(*value);
        }
    } else if constexpr (Variant<T>) {
        if (value.valueless_by_exception()) {
            throw ValueError("a variant without a value cannot be sent");
        }
        write_value(writer, value.index());
        std::visit([&](const auto& held) { writer(held); }, value);
    } else if constexpr (Tuple<T>) {
        std::apply([&](const auto&... part) { writer(part...); }, value);
    } else if constexpr (is_array<T>) {
        for (const auto& element : value) {
            writer(element);
        }
    } else if constexpr (is_array_of_values<T>) {
        using V = typename T::value_type;
        write_value(writer, std::size_t{value.size()});
        writer.align(alignof(V));
        writer.write(value.data(), value.size() * sizeof(V));
    } else if constexpr (Sequence<T>) {
        write_value(writer, static_cast<std::size_t>(std::ranges::distance(value)));
        for (const typename T::value_type& element : value) {
            const std::size_t before = writer.size();
            writer(element);
            // So that there cannot be more elements than bytes.
            if (writer.size() == before) {
                write_value(writer, false);
            }
        }
    } else if constexpr (PlainStruct<T>) {
        with_members(value, [&](const auto&... member) { writer(member...); });
    }
}

}  // namespace detail

template <class... T>
void Writer::operator()(const T&... values) {
    static_assert((detail::ArchiveCheck<typename detail::Element<T>::type>::is_ok && ...));
    const detail::Nesting nesting(depth_);
    if (nesting.is_too_deep()) {
        throw ValueError("values within values, too deep to be sent to another process");
    }
    (detail::write_value(*this, values), ...);
}

// ---- reading

namespace detail {

template <class T>
T read_number(Reader& reader) {
    T value{};
    reader.read_into(&value, number_size<T>);
    return value;
}

// Of elements that take so many bytes each, or more.
inline std::size_t read_count(Reader& reader, std::size_t size = 1, std::size_t alignment = 1) {
    const auto count = read_number<std::size_t>(reader);
    reader.align(alignment);
    if (count > reader.remaining() / size) {
        Reader::refuse("a container with more elements than there are bytes");
    }
    return count;
}

// Where it lies.
template <Viewable V>
std::span<const V> read_block(Reader& reader) {
    const std::size_t count = read_count(reader, sizeof(V), alignof(V));
    return {reinterpret_cast<const V*>(reader.read(count * sizeof(V))), count};
}

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
    if constexpr (is_array_of_values<T>) {
        const auto block = read_block<V>(reader);
        value.assign(block.data(), block.data() + block.size());
    } else {
        value.clear();
        // Nothing is reserved for them, as that is but a claim.
        const std::size_t count = read_count(reader);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t before = reader.remaining();
            if constexpr (GrowsAtEnd<T> && std::is_same_v<V, typename Element<V>::type>) {
                // Where it stays: large ones within each other would use up the stack.
                value.emplace_back();
                reader(value.back());
            } else {
                auto element = typename Element<V>::type();
                reader(element);
                value.insert(value.end(), std::move(element));
            }
            if (reader.remaining() == before) {
                reader.read(1);
            }
        }
    }
}

template <class T>
void read_value(Reader& reader, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        const auto byte = read_number<unsigned char>(reader);
        if (byte > 1) {
            Reader::refuse("a bool that is neither true nor false");
        }
        value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
        std::underlying_type_t<T> number{};
        read_value(reader, number);
        value = static_cast<T>(number);
    } else if constexpr (std::is_arithmetic_v<T>) {
        value = read_number<T>(reader);
    } else if constexpr (Complex<T>) {
        typename T::value_type real{};
        typename T::value_type imaginary{};
        reader(real, imaginary);
        value = T(real, imaginary);
    } else if constexpr (is_duration<T>) {
        typename T::rep count{};
        reader(count);
        value = T(count);
    } else if constexpr (AnyTimePoint<T>) {
        typename T::duration since_epoch{};
        reader(since_epoch);
        value = T(since_epoch);
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
        std::filesystem::path::string_type text;
        reader(text);
        value = std::move(text);
    } else if constexpr (is_bitset<T>) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            bool bit = false;
            read_value(reader, bit);
            value[i] = bit;
        }
    } else if constexpr (CustomSerialized<T>) {
        serialize(reader, value);
    } else if constexpr (Optional<T> || is_unique_ptr<T>) {
        bool has_value = false;
        read_value(reader, has_value);
        value.reset();
        if (has_value) {
            if constexpr (Optional<T>) {
                value.emplace();
            } else {
                value = std::make_unique<typename T::element_type>();
            }
            reader(*value);
        }
    } else if constexpr (Variant<T>) {
        const auto index = read_number<std::size_t>(reader);
        if (index >= std::variant_size_v<T>) {
            Reader::refuse("a variant with an alternative that it does not have");
        }
        read_alternative(reader, value, index, std::make_index_sequence<std::variant_size_v<T>>());
    } else if constexpr (Tuple<T>) {
        std::apply([&](auto&... part) { reader(part...); }, value);
    } else if constexpr (is_array<T>) {
        for (auto& element : value) {
            reader(element);
        }
    } else if constexpr (Sequence<T>) {
        read_sequence(reader, value);
    } else if constexpr (PlainStruct<T>) {
        with_members(value, [&](auto&... member) { reader(member...); });
    }
}

// The arguments of a call. Views among them are of what lies in the bytes.
template <class... T>
void read_arguments(Reader& reader, std::tuple<T...>& arguments) {
    const auto read = [&]<class A>(A& argument) {
        if constexpr (is_view<A>) {
            const auto block = read_block<typename A::value_type>(reader);
            argument = A(block.data(), block.size());
        } else {
            reader(argument);
        }
    };
    std::apply([&](auto&... argument) { (read(argument), ...); }, arguments);
    reader.finish();
}

}  // namespace detail

template <class... T>
void Reader::operator()(T&... values) {
    static_assert((detail::ArchiveCheck<T>::is_ok && ...));
    const detail::Nesting nesting(depth_);
    if (nesting.is_too_deep()) {
        refuse("values within values, too deep");
    }
    (detail::read_value(*this, values), ...);
}

}  // namespace asyncio::inline v0
