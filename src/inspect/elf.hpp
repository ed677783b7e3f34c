// Finds a section in an ELF file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace asyncio::inline v0 {
namespace inspect {

struct SectionSearch {
    enum class Outcome : std::uint8_t {
        found,
        absent,   // the file has sections, and not this one; or is not of this kind
        unknown,  // the file cannot be opened, or its table of sections was removed
    };
    Outcome outcome = Outcome::unknown;
    // If found: the address the file gives it, and where and at which address the file's first
    // segment begins, in whole pages. Where that is mapped tells how far addresses are moved.
    std::uint64_t address = 0;
    std::uint64_t first_offset = 0;
    std::uint64_t first_address = 0;
};

// Looks for 64-bit files of this machine's byte order.
SectionSearch find_section(const std::string& path, std::string_view name);

}  // namespace inspect
}  // namespace asyncio::inline v0
