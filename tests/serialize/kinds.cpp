// Each type of the zoo, compiled once.
#include "kinds.hpp"

#include "random_value.hpp"
#include "zoo.hpp"

namespace zoo {

Kind::~Kind() = default;

namespace {

// Memory for so many bytes: the largest element, and again for the growth of a vector; what an
// empty std::deque has.
constexpr std::size_t memory_per_byte = 200;
constexpr std::size_t memory_for_nothing = 4096;

class MemoryLimit {
public:
    explicit MemoryLimit(std::size_t more) { Memory::limit = Memory::used + more; }
    MemoryLimit(const MemoryLimit&) = delete;
    MemoryLimit& operator=(const MemoryLimit&) = delete;
    ~MemoryLimit() { Memory::limit = std::numeric_limits<std::size_t>::max(); }
};

template <class T>
class KindOf final : public Kind {
public:
    explicit KindOf(const char* name) : name_(name) {}

    const char* name() const override { return name_; }

    std::vector<char> random(const Below& below) const override {
        return Bytes(RandomValues(below).make<T>()).copy();
    }

    bool comes_back(const Below& below) const override {
        const T value = RandomValues(below).make<T>();
        T there = RandomValues(below).make<T>();
        const Bytes bytes(value);
        asyncio::Reader reader(bytes.view());
        reader(there);
        return same(there, value) && same(decode<T>(bytes.view()), value);
    }

    bool refuses(std::span<const char> bytes) const override {
        try {
            decode<T>(bytes);
            return false;
        } catch (const asyncio::DecodeError&) {
            return true;
        }
    }

    std::optional<std::string> harm(std::span<const char> bytes) const override {
        try {
            const T value =
                decode_within(memory_for_nothing + memory_per_byte * bytes.size(), bytes);
            if (!same(decode<T>(Bytes(value).view()), value)) {
                return "it is another one after a round";
            }
        } catch (const asyncio::DecodeError&) {
            // As it should be.
        } catch (const TooMuchMemory&) {
            return "too much memory for " + std::to_string(bytes.size()) + " bytes";
        }
        return std::nullopt;
    }

private:
    static T decode_within(std::size_t memory, std::span<const char> bytes) {
        const MemoryLimit limit(memory);
        return decode<T>(bytes);
    }

    const char* const name_;
};

}  // namespace

std::span<const Kind* const> kinds() {
    static const KindOf<Numbers> numbers("Numbers");
    static const KindOf<Texts> texts("Texts");
    static const KindOf<Times> times("Times");
    static const KindOf<Parts> parts("Parts");
    static const KindOf<Containers> containers("Containers");
    static const KindOf<Hashed> hashed("Hashed");
    static const KindOf<Nothings> nothings("Nothings");
    static const KindOf<Tree> tree("Tree");
    static const KindOf<Chain> chain("Chain");
    static const KindOf<Json> json("Json");
    static const KindOf<Own> own("Own");
    static const Kind* const all[] = {&numbers,  &texts, &times, &parts, &containers, &hashed,
                                      &nothings, &tree,  &chain, &json,  &own};
    return all;
}

}  // namespace zoo
