// What the tests of programs share. Every test is a process of its own: it has no other children.
#pragma once

#include "io/pipe.hpp"
#include "net/child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

using asyncio::detail::SpawnRequest;
using asyncio::detail::Stdio;

inline std::set<int> open_descriptors() {
    std::set<int> open;
    for (int fd = 0; fd < 1024; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) {
            open.insert(fd);
        }
    }
    return open;
}

inline bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

// Returns when the process has ended, and leaves it to be reaped.
inline void await_end(pid_t pid) {
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
}

// The shell with a script, whose arguments $1, $2 ... may follow.
inline SpawnRequest shell(std::string script, std::vector<std::string> arguments = {}) {
    SpawnRequest request;
    request.argv = {"/bin/sh", "-c", std::move(script), "sh"};
    request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
    return request;
}

struct PipeEnds : asyncio::detail::PipeEnds {
    PipeEnds() : asyncio::detail::PipeEnds(asyncio::detail::make_pipe()) {}
};

inline std::string read_all(int fd) {
    std::string text;
    char buffer[512];
    for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
}

// From here on the kernel refuses a system call of this thread and what it starts, as a sandbox
// does that does not know it. False: this kernel has no system call filters.
[[nodiscard]] inline bool refuse(long number, int error) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

inline constexpr auto no_filters = "this kernel has no system call filters";
