// Copies of the program: when one may be made, how it begins and how it ends.
#include "exec/process_copy.hpp"

#include "io/system_call.hpp"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>

namespace asyncio::inline v0 {
namespace detail {

namespace {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr int threads_of_sanitizer = 1;
#else
constexpr int threads_of_sanitizer = 0;
#endif
#else
constexpr int threads_of_sanitizer = 0;
#endif

// The destructors of the program's statics belong to the program, and may wait for threads that are
// not here.
void end_at_exit(int status, void*) { end_copy(status); }

int count_tasks() {
    DIR* const tasks = ::opendir("/proc/self/task");
    if (tasks == nullptr) {
        return 1;
    }
    int count = 0;
    while (const dirent* const entry = ::readdir(tasks)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    ::closedir(tasks);
    return count - threads_of_sanitizer;
}

}  // namespace

int count_threads() {
    constexpr int tries = 100;
    int threads = count_tasks();
    for (int i = 0; i < tries && threads > 1; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        threads = count_tasks();
    }
    return threads;
}

pid_t fork_program() {
    const std::ios_base::Init streams;  // a pool may be older than they are
    std::fflush(nullptr);
    std::cout.flush();
    return check(::fork(), "cannot make a copy of the program");
}

void become_copy(pid_t parent, const char* name) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(1);
    }
    ::prctl(PR_SET_NAME, name);
    ::on_exit(&end_at_exit, nullptr);
}

void end_copy(int code) noexcept {
    const std::ios_base::Init streams;
    std::fflush(nullptr);
    std::cout.flush();
    ::_exit(code);
}

std::string describe_status(int status) {
    if (!WIFSIGNALED(status)) {
        return "has exited with code " + std::to_string(WEXITSTATUS(status));
    }
    const int number = WTERMSIG(status);
    const char* const name = ::sigabbrev_np(number);
    return "was ended by " +
           (name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number)) +
           " (" + ::strsignal(number) + ")";
}

}  // namespace detail
}  // namespace asyncio::inline v0
