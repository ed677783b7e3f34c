// Which processes there are, and what they hold, as the kernel tells.
#pragma once

#include <dirent.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace census {

inline std::vector<std::string> entries(const std::string& folder) {
    std::vector<std::string> names;
    if (DIR* const open = ::opendir(folder.c_str())) {
        while (const dirent* const entry = ::readdir(open)) {
            if (entry->d_name[0] != '.') {
                names.emplace_back(entry->d_name);
            }
        }
        ::closedir(open);
    }
    return names;
}

inline std::string folder_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

// The first field after the name is the state, then comes the parent. Empty if there is no process.
inline std::string status(pid_t pid) {
    std::ifstream file(folder_of(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t end = line.rfind(") ");
    return end == std::string::npos ? "" : line.substr(end + 2);
}

inline pid_t parent_of(pid_t pid) {
    const std::string text = status(pid);
    return text.size() > 2 ? std::atoi(text.c_str() + 2) : 0;
}

// Zombies, too.
inline std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    for (const std::string& name : entries("/proc")) {
        if (const pid_t pid = std::atoi(name.c_str()); pid > 0 && parent_of(pid) == parent) {
            children.push_back(pid);
        }
    }
    return children;
}

// Of a program that has no other child.
inline pid_t server_of(pid_t program) {
    const auto children = children_of(program);
    if (children.size() != 1) {
        throw std::runtime_error(std::to_string(children.size()) + " children");
    }
    return children.front();
}

inline std::size_t descriptors_of(pid_t pid) { return entries(folder_of(pid) + "/fd").size(); }

// How many pieces of memory a process shares with processes of a pool.
inline std::size_t messages_of(pid_t pid) {
    std::ifstream file(folder_of(pid) + "/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) {
        count += line.find("memfd:asyncio-message") != std::string::npos ? 1 : 0;
    }
    return count;
}

// Those that a process ignores, as bits.
inline unsigned long ignored_signals_of(pid_t pid) {
    std::ifstream file(folder_of(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("SigIgn:")) {
            return std::strtoul(line.c_str() + 7, nullptr, 16);
        }
    }
    return 0;
}

// What tells when a process has ended, whoever its parent is. Made while it is there.
class Watch {
public:
    explicit Watch(pid_t pid)
        : pid_(pid), fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
    Watch(Watch&& other) noexcept : pid_(other.pid_), fd_(std::exchange(other.fd_, -1)) {}
    Watch& operator=(Watch&&) = delete;
    ~Watch() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    pid_t pid() const { return pid_; }
    int fd() const { return fd_; }

    // Whether the process has ended, after so many milliseconds at most.
    bool has_ended(int patience) const {
        pollfd polled{fd_, POLLIN, 0};
        return fd_ >= 0 && ::poll(&polled, 1, patience) == 1;
    }

private:
    pid_t pid_;
    int fd_;
};

}  // namespace census
