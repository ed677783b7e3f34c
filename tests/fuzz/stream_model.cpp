// The model, and how words become reads.
#include "stream_model.hpp"

#include <asyncio/exceptions.hpp>

#include <algorithm>
#include <sstream>
#include <utility>

namespace fuzz {

namespace {

std::string with_newlines(std::string text) {
    std::ranges::replace(text, 'n', '\n');
    return text;
}

}  // namespace

std::string fed_by(const std::string& word) {
    if (word.at(0) == '+') {
        return with_newlines(word.substr(1));
    }
    std::string text(std::stoul(word.substr(1)), '\0');
    for (std::size_t i = 0; i < text.size(); ++i) {
        text[i] = "abba\nbaab"[i * i % 9];
    }
    return text;
}

Read parse_read(const std::string& word) {
    Read read{.kind = word.at(0), .size = {}, .separators = {}};
    const std::string rest = word.substr(1);
    if (read.kind == 'u') {
        std::istringstream texts(rest);
        for (std::string text; std::getline(texts, text, ',');) {
            read.separators.push_back(with_newlines(text));
        }
    } else if (!rest.empty()) {
        read.size = std::stoul(rest);
    }
    return read;
}

std::optional<Found> find_first(std::string_view text, const std::vector<std::string>& separators) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
        std::optional<Found> found;
        for (const std::string& separator : separators) {
            if (text.substr(0, end).ends_with(separator)) {
                const std::size_t begin = end - separator.size();
                found = {std::max(begin, found ? found->begin : 0), end};
            }
        }
        if (found) {
            return found;
        }
    }
    return std::nullopt;
}

asyncio::Coro<std::string> perform(asyncio::StreamReader reader, Read read) {
    try {
        const std::size_t size = read.size.value_or(0);
        switch (read.kind) {
        case 'r':
            co_return "got " + (read.size ? co_await reader.read(size) : co_await reader.read());
        case 'i': {
            std::string room(size, '\0');
            room.resize(co_await reader.read_into(std::as_writable_bytes(std::span(room))));
            co_return "got " + room;
        }
        case 'k':
            co_return "got " + co_await reader.readexactly(size);
        case 'l':
            co_return "got " + co_await reader.readline();
        case 'u':
            co_return "got " + co_await reader.readuntil(read.separators);
        default:
            throw std::invalid_argument(std::string("no step is called ") + read.kind);
        }
    } catch (const asyncio::CancelledError&) {
        co_return "cancelled";
    } catch (const asyncio::IncompleteReadError& error) {
        co_return "incomplete " + error.partial();
    } catch (const asyncio::LimitOverrunError& error) {
        co_return "overrun " + std::to_string(error.consumed());
    } catch (const asyncio::ValueError&) {
        co_return "too long";
    } catch (const StreamError&) {
        co_return "error";
    }
}

void StreamModel::feed(const std::string& text) {
    if (!text.empty()) {
        buffer_ += text;
        paused = paused || buffer_.size() > 2 * limit_;
    }
}

std::optional<std::string> StreamModel::attempt() {
    if (!read_) {
        return std::nullopt;
    }
    std::optional<std::string> result = cancelled ? "cancelled" : outcome();
    if (result) {
        buffer_.insert(0, std::exchange(taken_, {}));
        read_.reset();
        cancelled = false;
    }
    return result;
}

std::optional<std::string> StreamModel::outcome() {
    if (failed) {
        return "error";
    }
    const std::size_t size = read_->size.value_or(0);
    switch (read_->kind) {
    case 'r':
        if (!read_->size) {
            taken_ += take(buffer_.size());
            return eof ? "got " + std::exchange(taken_, {}) : wait();
        }
        [[fallthrough]];
    case 'i':
        return size == 0 || !buffer_.empty() || eof ? "got " + take(size) : wait();
    case 'k':
        if (buffer_.size() >= size) {
            return "got " + take(size);
        }
        return eof ? "incomplete " + take(buffer_.size()) : wait();
    case 'l':
        return read_line();
    default:
        return read_until(read_->separators);
    }
}

std::optional<std::string> StreamModel::read_until(const std::vector<std::string>& separators) {
    if (const auto found = find_first(buffer_, separators)) {
        return found->begin > limit_ ? "overrun " + std::to_string(found->begin)
                                     : "got " + take(found->end);
    }
    const std::size_t longest = std::ranges::max(separators, {}, &std::string::size).size();
    const std::size_t without = buffer_.size() + 1 - std::min(longest, buffer_.size() + 1);
    if (without > limit_) {
        return "overrun " + std::to_string(without);
    }
    return eof ? "incomplete " + take(buffer_.size()) : wait();
}

std::optional<std::string> StreamModel::read_line() {
    const std::optional<std::string> result = read_until({"\n"});
    if (!result || result->starts_with("got")) {
        return result;
    }
    if (result->starts_with("incomplete ")) {
        return "got " + result->substr(std::string_view("incomplete ").size());
    }
    take(std::min(buffer_.find('\n'), buffer_.size() - 1) + 1);
    return "too long";
}

std::optional<std::string> StreamModel::wait() {
    paused = false;
    return std::nullopt;
}

std::string StreamModel::take(std::size_t size) {
    std::string taken = buffer_.substr(0, size);
    buffer_.erase(0, size);
    paused = paused && buffer_.size() > limit_;
    return taken;
}

}  // namespace fuzz
