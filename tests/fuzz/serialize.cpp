// Reads bytes that another process is said to have sent.
//
//     Json 03 00 00 00 00 00 00 00     as the value of a type of the zoo
//     reply 10 00 00 00 ...            as what calls came to: results, which are such values, too,
//                                      and errors
#include "../serialize/kinds.hpp"
#include "../serialize/zoo.hpp"
#include "exec/process_worker.hpp"
#include "target.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace {

using asyncio::Reader;
using fuzz::require;
using Bytes = std::vector<char>;

// Null if there is none of that name, as in an input where it was left out.
const zoo::Kind* kind_of(const std::string& name) {
    const auto kinds = zoo::kinds();
    const auto found = std::ranges::find(kinds, name, &zoo::Kind::name);
    return found != kinds.end() ? *found : nullptr;
}

// ---- making bytes

std::string error_name(fuzz::Choices& random) {
    static const std::string names[] = {
        typeid(std::out_of_range).name(), typeid(std::system_error).name(),
        typeid(std::bad_alloc).name(), typeid(asyncio::ValueError).name(), "4Mine"};
    return random.of(names);
}

// An outcome of a call, with its header.
Bytes make_reply(fuzz::Choices& random, const zoo::Kind& result) {
    zoo::Bytes contents;
    const bool failed = random.one_in(2);
    if (failed) {
        contents(error_name(random), std::string("Error"), std::string("text"), std::string("way"));
        if (random.one_in(3)) {
            contents(true, random.one_in(2), 2, std::string("file"));  // of a std::system_error
        } else {
            contents(std::string("text"));
        }
    } else {
        const Bytes value = result.random([&](std::size_t n) { return random.below(n); });
        contents.write(value.data(), value.size());
    }
    zoo::Bytes reply;
    reply(std::uint64_t{contents.size()}, std::uint64_t{failed});
    reply.write(contents.view().data(), contents.size());
    reply.align(alignof(std::max_align_t));
    return reply.copy();
}

Bytes make_pieces(fuzz::Choices& random) {
    zoo::Bytes bytes;
    for (std::size_t pieces = random.below(30); pieces > 0; --pieces) {
        switch (random.below(3)) {
        case 0:
            bytes(static_cast<unsigned char>(random.below(256)));
            break;
        case 1:
            bytes(static_cast<unsigned char>(random.below(2)));
            break;
        default:
            bytes(std::uint64_t{random.below(5)});  // a size
        }
    }
    return bytes.copy();
}

void change(Bytes& bytes, fuzz::Choices& random) {
    static constexpr unsigned char values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    for (std::size_t changes = random.below(5); changes > 0 && !bytes.empty(); --changes) {
        bytes[random.below(bytes.size())] = static_cast<char>(random.of(values));
    }
    if (random.one_in(8)) {
        bytes.resize(random.below(bytes.size() + 1));
    }
}

// ---- reading them

void check_error(Reader& contents) {
    const std::size_t size = contents.remaining();
    try {
        std::rethrow_exception(asyncio::detail::read_error(contents));
    } catch (const asyncio::RemoteError& error) {
        require(error.type_name().size() + error.text().size() <= size, "it has made up bytes");
    } catch (const std::exception& error) {
        require(error.what() != nullptr, "an error without a text");
    }
}

std::optional<std::string> check_replies(const Bytes& bytes, const zoo::Kind& result) {
    Reader message(bytes);
    try {
        while (message.remaining() > 0) {
            asyncio::detail::Reply reply = asyncio::detail::read_reply(message);
            if (reply.failed) {
                check_error(reply.contents);
                continue;
            }
            const std::size_t size = reply.contents.remaining();
            if (const auto problem = result.harm({reply.contents.read(size), size})) {
                return problem;
            }
        }
    } catch (const asyncio::DecodeError&) {
        // As it should be.
    }
    return std::nullopt;
}

class Serialize final : public fuzz::Target {
public:
    std::string make(fuzz::Choices random) const override {
        const zoo::Kind& kind = *random.of(all_);
        const bool is_reply = random.one_in(4);
        const auto below = [&](std::size_t n) { return random.below(n); };
        Bytes bytes;
        if (random.one_in(4)) {
            bytes = make_pieces(random);
        } else if (is_reply) {
            for (std::size_t count = 1 + random.below(3); count > 0; --count) {
                const Bytes reply = make_reply(random, kind);
                bytes.insert(bytes.end(), reply.begin(), reply.end());
            }
        } else {
            bytes = kind.random(below);
        }
        change(bytes, random);
        return (is_reply ? std::string("reply ") : "") + kind.name() + words_of(bytes);
    }

    std::optional<std::string> check(const std::string& input) const override {
        std::istringstream words(input);
        std::string name;
        words >> name;
        const bool is_reply = name == "reply";
        if (is_reply) {
            words >> name;
        }
        const zoo::Kind* const kind = kind_of(name);
        if (kind == nullptr) {
            return std::nullopt;
        }
        const Bytes bytes = bytes_of(words);
        return is_reply ? check_replies(bytes, *kind) : kind->harm(bytes);
    }

private:
    static std::string words_of(const Bytes& bytes) {
        std::ostringstream text;
        text << std::hex << std::setfill('0');
        for (const char byte : bytes) {
            text << ' ' << std::setw(2) << static_cast<unsigned>(static_cast<unsigned char>(byte));
        }
        return text.str();
    }
    static Bytes bytes_of(std::istream& words) {
        Bytes bytes;
        for (unsigned byte = 0; words >> std::hex >> byte;) {
            bytes.push_back(static_cast<char>(byte));
        }
        return bytes;
    }

    const std::span<const zoo::Kind* const> all_ = zoo::kinds();
};

}  // namespace

std::unique_ptr<fuzz::Target> fuzz::make_target() { return std::make_unique<Serialize>(); }
