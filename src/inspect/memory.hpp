// The memory of something that was or is a process, read page by page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>

namespace asyncio::inline v0 {
namespace inspect {

// Pages that were read are kept until `forget`, because what belongs together lies close together.
//
// Invariant: every page in `pages_` was read since the latest `forget`.
class Memory {
public:
    Memory() = default;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    virtual ~Memory();

    // Return false if any byte is not mapped.
    bool read(std::uint64_t address, void* to, std::size_t size);
    template <class T>
        requires std::is_trivially_copyable_v<T>
    bool read(std::uint64_t address, T& to) {
        return read(address, &to, sizeof to);
    }
    // Text up to a null byte, or the first `size_max` characters of it.
    std::optional<std::string> read_text(std::uint64_t address, std::size_t size_max);

    // As it is at this moment.
    template <class T>
        requires std::is_trivially_copyable_v<T>
    bool read_now(std::uint64_t address, T& to) {
        return fetch(address, &to, sizeof to);
    }

    void forget() noexcept;

protected:
    // Returns false if any byte is not mapped; throws if nothing can be read at all.
    virtual bool fetch(std::uint64_t address, void* to, std::size_t size) = 0;

private:
    static constexpr std::uint64_t page_size = 4096;
    static constexpr std::size_t pages_max = 16384;
    struct Page {
        std::byte bytes[page_size];
    };

    // Null if it is not mapped.
    const Page* page(std::uint64_t address);

    std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
    std::uint64_t latest_address_ = 1;  // no page begins there
    const Page* latest_ = nullptr;
};

}  // namespace inspect
}  // namespace asyncio::inline v0
