// Just enough of ELF: a dynamic linker knows only what a file exports, its symbol table all.
#include "exec/symbols.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

template <class T>
std::vector<T> read_array(std::ifstream& file, std::uint64_t offset, std::uint64_t size) {
    std::vector<T> values(size / sizeof(T));
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(T)));
    if (!file) {
        values.clear();
        file.clear();
    }
    return values;
}

std::vector<Section> read_sections(std::ifstream& file) {
    const std::vector<Header> header = read_array<Header>(file, 0, sizeof(Header));
    if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0 ||
        header[0].e_shentsize != sizeof(Section)) {
        return {};
    }
    return read_array<Section>(file, header[0].e_shoff,
                               std::uint64_t{header[0].e_shnum} * sizeof(Section));
}

// The function at an address, as the file counts them.
std::string find_function(const std::string& path, std::uint64_t address) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<Section> sections = read_sections(file);
    for (const Section& section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) {
            continue;
        }
        const Section& names_section = sections[section.sh_link];
        for (const Symbol& symbol : read_array<Symbol>(file, section.sh_offset, section.sh_size)) {
            if ((symbol.st_info & 0xF) == STT_FUNC && address >= symbol.st_value &&
                address < symbol.st_value + symbol.st_size &&
                symbol.st_name < names_section.sh_size) {
                std::string name;
                file.seekg(static_cast<std::streamoff>(names_section.sh_offset + symbol.st_name));
                std::getline(file, name, '\0');
                return name;
            }
        }
    }
    return {};
}

std::string hexadecimal(std::uint64_t number) {
    char text[2 + 16 + 1];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
    return text;
}

}  // namespace

std::string symbol_at(const void* address) {
    Dl_info info;
    link_map* module = nullptr;
    if (::dladdr1(address, &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0) {
        return hexadecimal(reinterpret_cast<std::uintptr_t>(address));
    }
    if (info.dli_sname != nullptr) {
        return info.dli_sname;
    }
    const std::string_view path = module->l_name;  // empty for the program itself
    const std::uint64_t in_file = reinterpret_cast<std::uintptr_t>(address) - module->l_addr;
    std::string name = find_function(path.empty() ? "/proc/self/exe" : module->l_name, in_file);
    if (name.empty()) {
        const std::string_view shown = info.dli_fname;
        name = std::string(shown.substr(shown.rfind('/') + 1)) + "+" + hexadecimal(in_file);
    }
    return name;
}

}  // namespace detail
}  // namespace asyncio::inline v0
