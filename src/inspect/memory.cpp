// The page cache.
#include "inspect/memory.hpp"

#include <algorithm>
#include <cstring>

namespace asyncio::inline v0 {
namespace inspect {

Memory::~Memory() = default;

void Memory::forget() noexcept {
    pages_.clear();
    latest_address_ = 1;
    latest_ = nullptr;
}

const Memory::Page* Memory::page(std::uint64_t address) {
    if (address == latest_address_) {
        return latest_;
    }
    if (pages_.size() >= pages_max) {
        forget();
    }
    const auto [place, is_new] = pages_.try_emplace(address);
    if (is_new) {
        auto fresh = std::make_unique<Page>();
        if (fetch(address, fresh->bytes, page_size)) {
            place->second = std::move(fresh);
        }
    }
    latest_address_ = address;
    latest_ = place->second.get();
    return latest_;
}

bool Memory::read(std::uint64_t address, void* to, std::size_t size) {
    auto* target = static_cast<std::byte*>(to);
    while (size > 0) {
        const std::uint64_t offset = address % page_size;
        const std::size_t count = std::min<std::size_t>(size, page_size - offset);
        const Page* const source = page(address - offset);
        if (source == nullptr) {
            return false;
        }
        std::memcpy(target, source->bytes + offset, count);
        target += count;
        address += count;
        size -= count;
    }
    return true;
}

std::optional<std::string> Memory::read_text(std::uint64_t address, std::size_t size_max) {
    std::string text;
    while (text.size() < size_max) {
        const std::uint64_t offset = address % page_size;
        const Page* const source = page(address - offset);
        if (source == nullptr) {
            return std::nullopt;
        }
        const auto* const begin = reinterpret_cast<const char*>(source->bytes) + offset;
        const std::size_t count = std::min<std::size_t>(size_max - text.size(), page_size - offset);
        const std::size_t length = ::strnlen(begin, count);
        text.append(begin, length);
        if (length < count) {
            break;
        }
        address += count;
    }
    return text;
}

}  // namespace inspect
}  // namespace asyncio::inline v0
