// Another process as the kernel shows it: its memory and what is mapped there.
#pragma once

#include "inspect/memory.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace asyncio::inline v0 {
namespace inspect {

// One line of /proc/PID/maps.
struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t file_offset = 0;
    bool is_data = false;  // writable, and not shared with others
    bool deleted = false;  // the file has no name any more
    std::string path;
};

class Process final : public Memory {
public:
    explicit Process(pid_t pid) noexcept : pid_(pid) {}

    pid_t pid() const noexcept { return pid_; }

    // What is mapped from files. Raises: ReadError.
    std::vector<Mapping> file_mappings() const;

    // Paths by which this process may open the mapped file, the surest first.
    std::vector<std::string> paths_of(const Mapping& mapping) const;

private:
    bool fetch(std::uint64_t address, void* to, std::size_t size) override;
    [[noreturn]] void throw_gone() const;
    [[noreturn]] void throw_refused() const;

    pid_t pid_;
};

}  // namespace inspect
}  // namespace asyncio::inline v0
