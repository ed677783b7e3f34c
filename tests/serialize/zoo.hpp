// One of every kind of type that can be sent to another process, for tests and the fuzzer.
#pragma once

#include <asyncio/serialize.hpp>

#include <compare>
#include <cstddef>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <new>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace zoo {

// ---- memory that is counted

struct TooMuchMemory {};

// What the containers of this thread may use, and do use.
struct Memory {
    static inline thread_local std::size_t limit = std::numeric_limits<std::size_t>::max();
    static inline thread_local std::size_t used = 0;
};

template <class T>
struct Counted {
    using value_type = T;

    Counted() = default;
    template <class U>
    Counted(const Counted<U>&) {}  // NOLINT(google-explicit-constructor)
    bool operator==(const Counted&) const = default;

    T* allocate(std::size_t count) {
        const std::size_t size = count * sizeof(T);
        if (size > Memory::limit - Memory::used) {
            throw TooMuchMemory();
        }
        Memory::used += size;
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T* memory, std::size_t count) {
        Memory::used -= count * sizeof(T);
        std::allocator<T>().deallocate(memory, count);
    }
};

template <class C>
using StringOf = std::basic_string<C, std::char_traits<C>, Counted<C>>;
using String = StringOf<char>;
template <class T>
using Vector = std::vector<T, Counted<T>>;
template <class T>
using Deque = std::deque<T, Counted<T>>;
template <class T>
using List = std::list<T, Counted<T>>;
template <class T>
using Set = std::set<T, std::less<T>, Counted<T>>;
template <class T>
using Multiset = std::multiset<T, std::less<T>, Counted<T>>;
template <class K, class V>
using Map = std::map<K, V, std::less<K>, Counted<std::pair<const K, V>>>;
template <class K, class V>
using Multimap = std::multimap<K, V, std::less<K>, Counted<std::pair<const K, V>>>;
template <class T>
using HashSet = std::unordered_set<T, std::hash<T>, std::equal_to<T>, Counted<T>>;
template <class K, class V>
using HashMap =
    std::unordered_map<K, V, std::hash<K>, std::equal_to<K>, Counted<std::pair<const K, V>>>;

// ---- enumerations and structs

enum class Colour : std::uint8_t { red, green, blue };
enum class Switch : bool { off, on };

struct Empty {
    bool operator==(const Empty&) const = default;
};
struct Point {
    double x = 0;
    double y = 0;
    bool operator==(const Point&) const = default;
};
// Padding between its members: it cannot be copied in one piece.
struct Padded {
    char letter = 0;
    std::int64_t number = 0;
    auto operator<=>(const Padded&) const = default;
};
struct Segment {
    Point from;
    Point to;
    std::array<std::uint16_t, 4> colours{};
    std::complex<float> phase;
    std::chrono::nanoseconds age{};
    bool operator==(const Segment&) const = default;
};
struct alignas(32) Aligned {
    std::array<float, 8> numbers{};
    bool operator==(const Aligned&) const = default;
};
struct Numbers {
    bool truth = false;
    char letter = 0;
    signed char tiny = 0;
    unsigned short small = 0;
    int number = 0;
    unsigned long large = 0;
    float single = 0;
    double real = 0;
    long double extended = 0;
    wchar_t wide = 0;
    char8_t unit = 0;
    char16_t half = 0;
    std::byte byte{};
    Colour colour{};
    Switch on{};
    Empty nothing;
    bool operator==(const Numbers&) const = default;
};
struct Texts {
    String text;
    StringOf<wchar_t> wide;
    StringOf<char8_t> units;
    StringOf<char16_t> halves;
    std::filesystem::path path;
    bool operator==(const Texts&) const = default;
};
struct Times {
    std::chrono::duration<double> seconds{};
    std::chrono::hours hours{};
    std::chrono::system_clock::time_point date;
    std::chrono::steady_clock::time_point when;
    bool operator==(const Times&) const = default;
};
struct Parts {
    std::optional<String> text;
    std::optional<std::optional<bool>> twice;
    std::variant<std::monostate, int, String, Vector<Point>> either;
    std::pair<Colour, String> pair;
    std::tuple<int, Empty, std::tuple<>, Point> tuple;
    std::array<String, 3> texts;
    std::array<std::array<std::int16_t, 2>, 2> matrix{};
    std::bitset<11> bits;
    std::complex<double> complex;
    bool operator==(const Parts&) const = default;
};
struct Containers {
    Vector<bool> truths;
    Vector<Vector<String>> table;
    Vector<Segment> segments;
    Vector<Padded> padded;
    Vector<Aligned> aligned;
    Vector<Switch> switches;
    Deque<String> queue;
    List<Point> list;
    Set<String> names;
    Multiset<Padded> repeated;
    Map<String, Vector<int>> by_name;
    Multimap<int, std::optional<Colour>> by_number;
    std::array<Deque<int>, 2> pair;
    bool operator==(const Containers&) const = default;
};
// Their order may be another one after a round.
struct Hashed {
    HashSet<int> numbers;
    HashMap<std::int64_t, Vector<String>> texts;
    bool operator==(const Hashed&) const = default;
};
// Elements that take no bytes.
struct Nothings {
    Vector<Vector<Empty>> empties;
    Vector<Vector<std::tuple<>>> tuples;
    List<std::array<int, 0>> arrays;
    bool operator==(const Nothings&) const = default;
};

// ---- values within values of the same type

struct Tree {
    int value = 0;
    Vector<Tree> children;
    bool operator==(const Tree&) const = default;
};
struct Chain {
    int value = 0;
    std::unique_ptr<Chain> next;

    bool operator==(const Chain& other) const {
        return value == other.value && (next != nullptr) == (other.next != nullptr) &&
               (next == nullptr || *next == *other.next);
    }
};
struct Json {
    std::variant<std::monostate, bool, double, String, Vector<Json>, Map<String, Json>> value;
    bool operator==(const Json&) const = default;
};

// ---- classes with functions of their own

// A friend template; it cannot be copied.
class Account {
public:
    Account() = default;
    Account(String owner, int balance)
        : owner_(std::make_unique<String>(std::move(owner))), balance_(balance) {}

    bool operator==(const Account& other) const {
        return balance_ == other.balance_ && (owner_ != nullptr) == (other.owner_ != nullptr) &&
               (owner_ == nullptr || *owner_ == *other.owner_);
    }

private:
    template <class Archive>
    friend void serialize(Archive& archive, Account& account) {
        archive(account.owner_, account.balance_);
    }

    std::unique_ptr<String> owner_;
    int balance_ = 0;
};

// Two functions; the one that reads refuses what is none.
class Fraction {
public:
    explicit Fraction(int above = 0, int below = 1) : above_(above), below_(below) {}

    bool operator==(const Fraction&) const = default;

private:
    friend void serialize(asyncio::Writer& writer, const Fraction& fraction) {
        writer(fraction.above_, fraction.below_);
    }
    friend void serialize(asyncio::Reader& reader, Fraction& fraction) {
        reader(fraction.above_, fraction.below_);
        if (fraction.below_ == 0) {
            asyncio::Reader::refuse("a fraction of zero parts");
        }
    }

    int above_;
    int below_;
};

// Derived from a class with a function, it has another of its own.
struct Named : Fraction {
    String name;
    bool operator==(const Named&) const = default;
};
template <class Archive>
void serialize(Archive& archive, Named& named) {
    archive(static_cast<Fraction&>(named), named.name);
}

struct Own {
    Vector<Account> accounts;
    Map<int, Fraction> fractions;
    Deque<Named> named;
    std::optional<Account> best;
    Fraction share;
    std::unique_ptr<Fraction> fraction;

    bool operator==(const Own& other) const {
        return accounts == other.accounts && fractions == other.fractions && named == other.named &&
               best == other.best && share == other.share &&
               (fraction != nullptr) == (other.fraction != nullptr) &&
               (fraction == nullptr || *fraction == *other.fraction);
    }
};

// ---- to bytes and back

class Bytes final : public asyncio::Writer {
public:
    Bytes() = default;
    template <class T>
    explicit Bytes(const T& value) {
        (*this)(value);
    }

    std::span<const char> view() const { return {memory_.data(), size()}; }
    std::vector<char> copy() const { return {view().begin(), view().end()}; }

private:
    void grow(std::size_t size) override {
        memory_.resize(2 * (this->size() + size));
        set_room(memory_.data(), memory_.size());
    }

    std::vector<char> memory_;  // as aligned as anything
};

template <class T>
T decode(std::span<const char> bytes) {
    asyncio::Reader reader(bytes);
    auto value = T();
    reader(value);
    reader.finish();
    return value;
}

// Not a number is the same as itself here.
template <class T>
bool same(const T& a, const T& b) {
    return a == b || Bytes(a).copy() == Bytes(b).copy();
}

}  // namespace zoo
