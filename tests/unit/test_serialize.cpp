// Values as bytes: what comes back, and what wrong bytes do.
#include <asyncio/process_pool.hpp>
#include <asyncio/serialize.hpp>

#include "../serialize/kinds.hpp"
#include "../serialize/zoo.hpp"
#include "exec/process_worker.hpp"
#include "random_seed.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

namespace {

using asyncio::DecodeError;
using zoo::Bytes;
using zoo::decode;

// Tries something with a value of each kind.
class Sent : public testing::Test {
public:
    template <class Try>
    void attempt(int times, Try with_kind) {
        for (const zoo::Kind* const kind : zoo::kinds()) {
            SCOPED_TRACE(kind->name());
            for (int i = 0; i < times && !HasFailure(); ++i) {
                with_kind(*kind);
            }
        }
    }
    const zoo::Below& below() const { return below_; }

private:
    const RandomSeed seed_;
    std::mt19937_64 engine_{seed_.value()};
    const zoo::Below below_ = [this](std::size_t n) {
        return static_cast<std::size_t>(engine_() % n);
    };
};

TEST_F(Sent, comes_back_as_itself) {
    attempt(50, [&](const zoo::Kind& kind) { EXPECT_TRUE(kind.comes_back(below())); });
}

TEST_F(Sent, is_refused_wherever_the_bytes_end_early) {
    attempt(5, [&](const zoo::Kind& kind) {
        const std::vector<char> bytes = kind.random(below());
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            // A copy of just so many, so that a sanitizer sees what is read behind them.
            const auto first = std::span(bytes).first(size);
            const std::vector<char> cut(first.begin(), first.end());
            EXPECT_TRUE(kind.refuses(cut)) << size << " of " << bytes.size();
        }
    });
}

TEST_F(Sent, is_refused_if_the_bytes_go_on) {
    attempt(5, [&](const zoo::Kind& kind) {
        std::vector<char> bytes = kind.random(below());
        bytes.push_back(0);
        EXPECT_TRUE(kind.refuses(bytes));
    });
}

TEST_F(Sent, is_harmless_with_changed_bytes) {
    constexpr unsigned char values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    attempt(300, [&](const zoo::Kind& kind) {
        std::vector<char> bytes = kind.random(below());
        for (std::size_t changes = 1 + below()(4); changes > 0; --changes) {
            bytes[below()(bytes.size())] = static_cast<char>(values[below()(std::size(values))]);
        }
        EXPECT_EQ(kind.harm(bytes), std::nullopt);
    });
}

TEST_F(Sent, is_harmless_with_random_bytes) {
    attempt(300, [&](const zoo::Kind& kind) {
        std::vector<char> bytes(below()(200));
        for (char& byte : bytes) {
            byte = static_cast<char>(below()(3) == 0 ? below()(256) : 0);
        }
        EXPECT_EQ(kind.harm(bytes), std::nullopt);
    });
}

// Changes bytes at random from another process, as one that has gone mad may.
class Disturbance {
public:
    explicit Disturbance(std::span<char> bytes) : child_(::fork()) {
        if (child_ == 0) {
            std::minstd_rand engine;
            while (true) {
                volatile char& byte = bytes[engine() % bytes.size()];
                byte = static_cast<char>(engine() % 4 == 0 ? engine() : engine() % 3);
            }
        }
    }
    Disturbance(const Disturbance&) = delete;
    Disturbance& operator=(const Disturbance&) = delete;
    ~Disturbance() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }

private:
    const pid_t child_;
};

TEST_F(Sent, is_harmless_while_the_bytes_change) {
    constexpr std::size_t size = 200;
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    const std::span shared(static_cast<char*>(memory), size);
    {
        const Disturbance disturbance(shared);
        attempt(300, [&](const zoo::Kind& kind) {
            std::vector<char> bytes = kind.random(below());
            bytes.resize(std::min(bytes.size(), size));
            std::ranges::copy(bytes, shared.begin());
            EXPECT_EQ(kind.harm(shared.first(bytes.size())), std::nullopt);
        });
    }
    ::munmap(memory, size);
}

// ---- what wrong bytes are

// A message of these.
template <class... T>
std::vector<char> message(const T&... values) {
    Bytes bytes;
    bytes(values...);
    return bytes.copy();
}

template <class T>
std::string fault(const std::vector<char>& bytes) {
    try {
        decode<T>(bytes);
        return "none";
    } catch (const DecodeError& error) {
        return error.what();
    }
}

TEST(Decoding, tells_what_is_wrong) {
    const std::string prefix = "the bytes from another process are wrong: ";
    EXPECT_EQ(fault<int>({}), prefix + "they end too early");
    EXPECT_EQ(fault<char>({1, 2}), prefix + "they go on after the end");
    EXPECT_EQ(fault<bool>({2}), prefix + "a bool that is neither true nor false");
    EXPECT_EQ(fault<zoo::Switch>({2}), prefix + "a bool that is neither true nor false");
    EXPECT_EQ(fault<std::optional<int>>({2, 0, 0, 0, 0}),
              prefix + "a bool that is neither true nor false");
    EXPECT_EQ((fault<std::variant<int, bool>>(message(std::size_t{2}, 0))),
              prefix + "a variant with an alternative that it does not have");
    EXPECT_EQ(fault<zoo::Fraction>(message(1, 0)), prefix + "a fraction of zero parts");
    for (const std::size_t size : {std::size_t{9}, ~std::size_t{0}, ~std::size_t{0} / 8 + 1}) {
        EXPECT_EQ(fault<std::vector<double>>(message(size, 0.0)),
                  prefix + "a container with more elements than there are bytes");
        EXPECT_EQ(fault<std::list<std::string>>(message(size, 0.0)),
                  prefix + "a container with more elements than there are bytes");
    }
}

TEST(Decoding, takes_a_flag_in_a_vector_of_bool_only_if_it_is_one) {
    EXPECT_EQ(decode<std::vector<bool>>(message(std::size_t{2}, '\0', '\1')),
              (std::vector<bool>{false, true}));
    EXPECT_THROW(decode<std::vector<bool>>(message(std::size_t{2}, '\0', '\2')), DecodeError);
}

// Each level would multiply the memory by the size of the message.
TEST(Decoding, counts_elements_that_take_no_bytes) {
    using Nothings = std::vector<std::vector<std::tuple<>>>;
    const Nothings value(3, std::vector<std::tuple<>>(1000));
    const Bytes bytes(value);
    EXPECT_GE(bytes.size(), 3000);
    EXPECT_EQ(decode<Nothings>(bytes.view()), value);
    EXPECT_THROW(decode<Nothings>(message(std::size_t{1}, std::size_t{2}, '\0')), DecodeError);
}

// ---- limits of the writer

zoo::Chain chain_of(int links) {
    zoo::Chain first;
    for (zoo::Chain* last = &first; links > 1; --links) {
        last->next = std::make_unique<zoo::Chain>();
        last = last->next.get();
    }
    return first;
}

TEST(Encoding, refuses_what_is_nested_too_deeply_to_be_read) {
    const zoo::Chain most = chain_of(250);
    EXPECT_EQ(decode<zoo::Chain>(Bytes(most).view()), most);
    EXPECT_THROW(Bytes(chain_of(251)), asyncio::ValueError);
}

TEST(Encoding, goes_on_after_a_value_that_was_refused) {
    Bytes bytes;
    for (int i = 0; i < 1000; ++i) {
        EXPECT_THROW(bytes(chain_of(300)), asyncio::ValueError);
        bytes.rewind(0);
    }
    const zoo::Chain most = chain_of(250);
    bytes(most);
    EXPECT_EQ(decode<zoo::Chain>(bytes.view()), most);
}

TEST(Decoding, refuses_what_is_nested_too_deeply_for_the_stack) {
    // A chain of links that all have a successor.
    std::vector<char> bytes;
    for (int i = 0; i < 100'000; ++i) {
        bytes.insert(bytes.end(), {0, 0, 0, 0, 1});
    }
    EXPECT_EQ(fault<zoo::Chain>(bytes),
              "the bytes from another process are wrong: values within values, too deep");
}

struct Thrower {
    explicit Thrower(int) { throw 1; }
    Thrower() = default;
    std::string text;  // without it, the variant would keep its value
};
template <class Archive>
void serialize(Archive&, Thrower&) {}

TEST(Encoding, refuses_a_variant_without_a_value) {
    std::variant<int, Thrower> value;
    EXPECT_THROW(value.emplace<1>(1), int);
    EXPECT_THROW(Bytes{value}, asyncio::ValueError);
}

TEST(Encoding, copies_no_padding) {
    // What was in memory before is none of the other process's business.
    zoo::Padded padded;
    std::memset(static_cast<void*>(&padded), 0xff, sizeof padded);
    padded = {'a', 1};
    EXPECT_EQ(Bytes(padded).size(), 9);
    EXPECT_EQ(Bytes(std::vector{padded, padded}).size(), 8 + 2 * 9);
    if (std::numeric_limits<long double>::digits == 64) {
        EXPECT_EQ(Bytes(1.0L).size(), 10);
    }
}

TEST(Encoding, writes_numbers_in_one_piece_where_they_can_be_used) {
    Bytes bytes;
    const std::vector<zoo::Segment> segments(3);
    const std::vector<zoo::Aligned> aligned(3);
    bytes('a', segments, 'b', aligned);
    EXPECT_EQ(bytes.size(),
              1 + 8 + 7 + 3 * sizeof(zoo::Segment) + 1 + 8 + 3 * sizeof(zoo::Aligned));
}

// ---- arguments that are used where they lie

TEST(Arguments, are_views_of_the_bytes) {
    const std::vector<char> bytes = message(7, std::string("text"), std::vector{1.5, 2.5});
    std::tuple<int, std::string_view, std::span<const double>> arguments;
    asyncio::Reader reader(bytes);
    asyncio::detail::read_arguments(reader, arguments);
    const auto& [number, text, numbers] = arguments;
    EXPECT_EQ(number, 7);
    EXPECT_EQ(text, "text");
    EXPECT_EQ(std::vector(numbers.begin(), numbers.end()), (std::vector{1.5, 2.5}));
    EXPECT_GE(text.data(), bytes.data());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(numbers.data()) % alignof(double), 0U);
}

TEST(Arguments, that_end_early_are_refused_wherever_they_end) {
    const std::vector<char> bytes = message(7, std::string("text"), std::vector{1.5, 2.5});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        std::tuple<int, std::string_view, std::span<const double>> arguments;
        asyncio::Reader reader(std::span(bytes).first(size));
        EXPECT_THROW(asyncio::detail::read_arguments(reader, arguments), DecodeError) << size;
    }
}

// ---- errors

TEST(RemoteErrors, have_the_name_that_was_sent) {
    // A name of 300 bytes that stands for more than there is memory.
    std::string name = "S_IiiE";
    for (int i = 0; i < 36; ++i) {
        const char digit = static_cast<char>(i < 10 ? '0' + i : 'A' + i - 10);
        name = "S_I" + name + "S" + digit + "_E";
    }
    name.replace(0, 2, "1A");
    const std::vector<char> bytes =
        message(name, std::string("A"), std::string("text"), std::string("way"));
    asyncio::Reader reader(bytes);
    try {
        std::rethrow_exception(asyncio::detail::read_error(reader));
    } catch (const asyncio::RemoteError& error) {
        EXPECT_EQ(error.type_name(), "A");
        EXPECT_EQ(error.text(), "text");
    }
}

TEST(RemoteErrors, whose_bytes_go_on_are_refused) {
    const std::vector<char> bytes =
        message(std::string(typeid(std::range_error).name()), std::string("range_error"),
                std::string("text"), std::string("way"), std::string("text"), true);
    asyncio::Reader reader(bytes);
    EXPECT_THROW((void)asyncio::detail::read_error(reader), DecodeError);
}

// ---- what can be sent

using asyncio::Sendable;
using asyncio::detail::obstacle;
using asyncio::detail::Obstacle;

struct WithArray {
    int numbers[3];
    std::string name;
};
struct WithArrayOfOne {
    int numbers[1];
};
struct WithConstant {
    const int number = 0;
};
int global = 0;
struct WithReference {
    int number = 0;
    int& reference = global;
};
struct OnlyReference {
    const int& reference = global;
};
struct Base {
    int number = 0;
};
struct Derived : Base {
    int other = 0;
};
struct NoBase {};
struct DerivedFromNothing : NoBase {
    int other = 0;
};
struct DerivedFromFraction : zoo::Fraction {
    int other = 0;
};
struct DerivedFromContainer : std::vector<int> {
    int other = 0;
};
struct Sixteen {
    int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o;
    std::string p;
};
struct Seventeen {
    int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q;
};
class Secret {
public:
    Secret() = default;

private:
    [[maybe_unused]] int number_ = 0;
};
struct Polymorphic {
    virtual ~Polymorphic() = default;
    template <class Archive>
    friend void serialize(Archive&, Polymorphic&) {}
};
class NoDefault {
public:
    explicit NoDefault(int) {}
    template <class Archive>
    friend void serialize(Archive&, NoDefault&) {}
};
template <class T>
struct Around {
    std::vector<std::optional<T>> values;
};
struct Recursive {
    std::vector<Recursive> children;
    int* pointer = nullptr;
};
union Either {
    int number;
    float real;
};
enum Old { first, second };

static_assert(Sendable<int> && Sendable<Old> && Sendable<Sixteen> && Sendable<std::monostate>);
static_assert(Sendable<zoo::Account> && Sendable<std::unique_ptr<zoo::Account>>);
static_assert(Sendable<std::tuple<>> && Sendable<std::array<std::u32string, 0>>);
static_assert(Sendable<std::map<std::string, std::unique_ptr<zoo::Json>>>);

template <class T>
constexpr bool is_refused_for(Obstacle reason) {
    return !Sendable<T> && obstacle<T>() == reason && obstacle<Around<T>>() == reason &&
           obstacle<std::variant<int, T>>() == reason;
}
static_assert(is_refused_for<int*>(Obstacle::pointer));
static_assert(is_refused_for<int (*)()>(Obstacle::pointer));
static_assert(is_refused_for<int Base::*>(Obstacle::pointer));
static_assert(is_refused_for<std::shared_ptr<int>>(Obstacle::pointer));
static_assert(is_refused_for<Recursive>(Obstacle::pointer));
static_assert(is_refused_for<std::string_view>(Obstacle::view));
static_assert(is_refused_for<std::span<const int>>(Obstacle::view));
static_assert(is_refused_for<std::unique_ptr<Polymorphic>>(Obstacle::polymorphic));
static_assert(is_refused_for<std::set<int, bool (*)(int, int)>>(Obstacle::order));
static_assert(is_refused_for<std::map<int, int, std::function<bool(int, int)>>>(Obstacle::order));
static_assert(is_refused_for<std::unordered_set<int, std::size_t (*)(int)>>(Obstacle::order));
static_assert(is_refused_for<Derived>(Obstacle::base));
static_assert(is_refused_for<DerivedFromNothing>(Obstacle::base));
static_assert(is_refused_for<DerivedFromFraction>(Obstacle::base));
static_assert(is_refused_for<DerivedFromContainer>(Obstacle::base));
static_assert(is_refused_for<WithArray>(Obstacle::members));
static_assert(is_refused_for<WithArrayOfOne>(Obstacle::members));
static_assert(is_refused_for<WithConstant>(Obstacle::members));
static_assert(is_refused_for<WithReference>(Obstacle::members));
static_assert(is_refused_for<OnlyReference>(Obstacle::members));
static_assert(is_refused_for<Seventeen>(Obstacle::members));
static_assert(is_refused_for<NoDefault>(Obstacle::construction));
static_assert(is_refused_for<Secret>(Obstacle::contents));
static_assert(is_refused_for<Either>(Obstacle::contents));
static_assert(is_refused_for<std::function<void()>>(Obstacle::contents));
static_assert(is_refused_for<std::chrono::duration<Secret>>(Obstacle::contents));

}  // namespace
