// What the kernel tells about threads: which there are, whether they sleep, and how long they ran.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace thread_states {

using Path = std::filesystem::path;

inline std::string contents(const Path& file) {
    std::string text;
    std::getline(std::ifstream(file), text, '\0');
    return text;
}

// The threads of a process but this one.
inline std::vector<Path> threads_of(const std::string& process) {
    std::vector<Path> threads;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + process + "/task")) {
        if (entry.path().filename() != std::to_string(::gettid())) {
            threads.push_back(entry.path());
        }
    }
    return threads;
}

inline bool is_asleep(const Path& thread) {
    const std::string status = contents(thread / "stat");
    const std::size_t name_end = status.rfind(')');
    return name_end == std::string::npos || status[name_end + 2] == 'S';
}

inline void await_sleep(const Path& thread) {
    while (!is_asleep(thread)) {
        std::this_thread::yield();
    }
}

// For how long each has run, in nanoseconds, and how often: what does not change while it sleeps.
inline std::map<Path, std::string> times_of(const std::vector<Path>& threads) {
    std::map<Path, std::string> times;
    for (const Path& thread : threads) {
        times[thread] = contents(thread / "schedstat");
    }
    return times;
}

// Waits until all of them sleep at the same time. One alone may be waiting for a mutex, whose owner
// is awake; if all sleep, and nobody else is about to wake them, they have nothing left to do.
inline void await_rest(const std::vector<Path>& threads) {
    std::map<Path, std::string> before;
    do {
        std::this_thread::yield();
        before = times_of(threads);
    } while (!std::ranges::all_of(threads, is_asleep) || times_of(threads) != before);
}

}  // namespace thread_states
