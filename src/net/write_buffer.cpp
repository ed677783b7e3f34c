// The pieces of what waits to be sent.
#include "net/write_buffer.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Pieces grow to this size before another begins: large enough to send many small writes at once,
// small enough that memory comes back while much waits.
constexpr std::size_t piece_size = std::size_t{64} * 1024;

}  // namespace

void WriteBuffer::append(std::string_view data) {
    if (data.empty()) {
        return;
    }
    if (pieces_.empty() || pieces_.back().size() + data.size() > piece_size) {
        pieces_.emplace_back(data);
    } else {
        pieces_.back().append(data);
    }
    size_ += data.size();
}

void WriteBuffer::append(std::string&& data, std::size_t sent) {
    const std::string_view rest = std::string_view(data).substr(sent);
    if (rest.size() < piece_size / 2) {
        append(rest);
        return;
    }
    if (pieces_.empty()) {
        offset_ = sent;
    }
    size_ += rest.size();
    pieces_.push_back(std::move(data));
}

std::size_t WriteBuffer::describe(std::span<iovec> pieces) const noexcept {
    std::size_t filled = 0;
    std::size_t offset = offset_;
    for (std::size_t i = first_; i < pieces_.size() && filled < pieces.size(); ++i) {
        const std::string& piece = pieces_[i];
        pieces[filled++] = {const_cast<char*>(piece.data()) + offset, piece.size() - offset};
        offset = 0;
    }
    return filled;
}

void WriteBuffer::consume(std::size_t count) noexcept {
    size_ -= count;
    if (size_ == 0) {
        clear();
        return;
    }
    offset_ += count;
    while (offset_ >= pieces_[first_].size()) {
        offset_ -= pieces_[first_].size();
        pieces_[first_] = {};
        ++first_;
    }
    // Moving the rest to the front now and then keeps appending and sending linear.
    if (first_ > pieces_.size() / 2) {
        pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
}

void WriteBuffer::clear() noexcept {
    pieces_.clear();
    first_ = 0;
    offset_ = 0;
    size_ = 0;
}

}  // namespace detail
}  // namespace asyncio::inline v0
