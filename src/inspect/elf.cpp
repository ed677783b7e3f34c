// Just enough of ELF.
#include "inspect/elf.hpp"

#include <elf.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <vector>

namespace asyncio::inline v0 {
namespace inspect {

namespace {

// Real files have at most some kilobytes of section names.
constexpr std::size_t names_size_max = 1 << 24;

bool read_at(std::ifstream& file, std::uint64_t offset, void* to, std::size_t size) {
    file.clear();
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
    return file.good();
}

bool is_readable_elf(const Elf64_Ehdr& header) {
    constexpr unsigned char order =
        std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
    return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == order;
}

bool find_first_segment(std::ifstream& file, const Elf64_Ehdr& header, SectionSearch& search) {
    if (header.e_phentsize != sizeof(Elf64_Phdr)) {
        return false;
    }
    const auto page_size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment;
        if (!read_at(file, header.e_phoff + i * sizeof segment, &segment, sizeof segment)) {
            return false;
        }
        if (segment.p_type == PT_LOAD) {
            search.first_offset = segment.p_offset / page_size * page_size;
            search.first_address = segment.p_vaddr / page_size * page_size;
            return true;
        }
    }
    return false;
}

}  // namespace

SectionSearch find_section(const std::string& path, std::string_view name) {
    SectionSearch search;
    std::ifstream file(path, std::ios::binary);
    Elf64_Ehdr header;
    if (!file) {
        return search;
    }
    if (!read_at(file, 0, &header, sizeof header) || !is_readable_elf(header)) {
        search.outcome = SectionSearch::Outcome::absent;
        return search;
    }
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 ||
        header.e_shstrndx >= header.e_shnum || !find_first_segment(file, header, search)) {
        return search;
    }
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    if (!read_at(file, header.e_shoff, sections.data(), sections.size() * sizeof(Elf64_Shdr))) {
        return search;
    }
    const Elf64_Shdr& names_section = sections[header.e_shstrndx];
    if (names_section.sh_size == 0 || names_section.sh_size > names_size_max) {
        return search;
    }
    std::string names(names_section.sh_size, '\0');
    if (!read_at(file, names_section.sh_offset, names.data(), names.size())) {
        return search;
    }
    search.outcome = SectionSearch::Outcome::absent;
    for (const Elf64_Shdr& section : sections) {
        if (section.sh_name < names.size() && names.c_str() + section.sh_name == name &&
            (section.sh_flags & SHF_ALLOC) != 0) {
            search.outcome = SectionSearch::Outcome::found;
            search.address = section.sh_addr;
            break;
        }
    }
    return search;
}

}  // namespace inspect
}  // namespace asyncio::inline v0
