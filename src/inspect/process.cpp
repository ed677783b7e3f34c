// /proc/PID and process_vm_readv.
#include "inspect/process.hpp"

#include "inspect/reader.hpp"

#include <sys/uio.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace asyncio::inline v0 {
namespace inspect {

namespace {

bool parse_mapping(const std::string& line, Mapping& mapping) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    unsigned long long offset = 0;
    char rights[5] = {};
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %*s %*s %n", &begin, &end, rights, &offset,
                    &path_at) < 4 ||
        path_at == 0) {
        return false;
    }
    mapping.begin = begin;
    mapping.end = end;
    mapping.file_offset = offset;
    mapping.is_data = rights[1] == 'w' && rights[3] == 'p';
    mapping.path = line.substr(static_cast<std::size_t>(path_at));
    constexpr std::string_view mark = " (deleted)";
    mapping.deleted = mapping.path.ends_with(mark);
    if (mapping.deleted) {
        mapping.path.resize(mapping.path.size() - mark.size());
    }
    return mapping.path.starts_with('/');
}

std::string proc_path(pid_t pid, const std::string& rest) {
    return "/proc/" + std::to_string(pid) + "/" + rest;
}

std::string hexadecimal(std::uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(number));
    return text;
}

}  // namespace

void Process::throw_gone() const {
    throw ReadError(ReadError::Reason::no_process,
                    "there is no process " + std::to_string(pid_) + ", or it has ended");
}

void Process::throw_refused() const {
    throw ReadError(
        ReadError::Reason::no_permission,
        "reading process " + std::to_string(pid_) +
            " is not permitted: it takes the rights of a debugger. Be the user that runs it, or "
            "root. Where /proc/sys/kernel/yama/ptrace_scope is not 0, be root; in a container, "
            "add the capability SYS_PTRACE");
}

std::vector<Mapping> Process::file_mappings() const {
    errno = 0;
    std::ifstream maps(proc_path(pid_, "maps"));
    if (!maps) {
        if (errno == EACCES || errno == EPERM) {
            throw_refused();
        }
        throw_gone();
    }
    std::vector<Mapping> mappings;
    std::string line;
    while (std::getline(maps, line)) {
        Mapping mapping;
        if (parse_mapping(line, mapping)) {
            mappings.push_back(std::move(mapping));
        }
    }
    if (mappings.empty()) {
        // A process that ended and was not waited for has no memory; others may not be looked at.
        std::ifstream status(proc_path(pid_, "stat"));
        std::string text;
        std::getline(status, text);
        const std::size_t name_end = text.rfind(") ");
        if (name_end == std::string::npos || text[name_end + 2] == 'Z' ||
            text[name_end + 2] == 'X') {
            throw_gone();
        }
    }
    return mappings;
}

std::vector<std::string> Process::paths_of(const Mapping& mapping) const {
    std::vector<std::string> paths{proc_path(pid_, "map_files/" + hexadecimal(mapping.begin) + "-" +
                                                       hexadecimal(mapping.end))};
    if (!mapping.deleted) {
        paths.push_back(proc_path(pid_, "root" + mapping.path));
    }
    return paths;
}

bool Process::fetch(std::uint64_t address, void* to, std::size_t size) {
    const iovec local{to, size};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address in another process.
    const iovec remote{reinterpret_cast<void*>(address), size};
    const ssize_t count = ::process_vm_readv(pid_, &local, 1, &remote, 1, 0);
    if (count >= 0) {
        return static_cast<std::size_t>(count) == size;
    }
    switch (errno) {
    case EFAULT:
    case EINVAL:  // beyond the end of the address space
        return false;
    case EPERM:
        throw_refused();
    case ESRCH:
        throw_gone();
    default:
        throw std::system_error(errno, std::generic_category(), "process_vm_readv");
    }
}

}  // namespace inspect
}  // namespace asyncio::inline v0
