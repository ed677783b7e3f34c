// The getaddrinfo of the tests.
#include "scripted_names.hpp"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>

#include <condition_variable>
#include <mutex>

namespace {

struct Script {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> asked;
    std::vector<std::string> threads;
    std::size_t waiting = 0;
    bool released = false;
};

// Never destroyed: threads may ask until the process ends.
Script& script() {
    static auto* const the_script = new Script;
    return *the_script;
}

using GetAddrInfo = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

int numeric(const char* text, const char* service, const addrinfo* hints, addrinfo** found) {
    static const auto original = reinterpret_cast<GetAddrInfo>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return original(text, service, hints, found);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* name,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** found) {
    const std::string text = name == nullptr ? "" : name;
    {
        Script& state = script();
        std::unique_lock lock(state.mutex);
        char thread[16] = "";
        ::pthread_getname_np(::pthread_self(), thread, sizeof thread);
        state.asked.push_back(text);
        state.threads.emplace_back(thread);
        if (text.starts_with("slow")) {
            ++state.waiting;
            state.changed.wait(lock, [&state] { return state.released; });
            --state.waiting;
        }
    }
    if (!text.ends_with(".test") && !text.ends_with(".test.")) {
        return numeric(name, service, hints, found);
    }
    if (text == "missing.test") {
        return EAI_NONAME;
    }
    if (text == "again.test") {
        return EAI_AGAIN;
    }
    const int code = numeric("127.0.0.1", service, hints, found);
    if (code == 0 && text.starts_with("two")) {
        addrinfo* first = nullptr;
        numeric("127.255.255.254", service, hints, &first);
        first->ai_next = *found;
        *found = first;
    }
    return code;
}

namespace scripted_names {

std::vector<std::string> NameScript::asked() {
    const std::lock_guard lock(script().mutex);
    return script().asked;
}
std::vector<std::string> NameScript::threads() {
    const std::lock_guard lock(script().mutex);
    return script().threads;
}
std::size_t NameScript::waiting() {
    const std::lock_guard lock(script().mutex);
    return script().waiting;
}
void NameScript::release_slow_names() {
    const std::lock_guard lock(script().mutex);
    script().released = true;
    script().changed.notify_all();
}

void NameScript::reset() {
    const std::lock_guard lock(script().mutex);
    script().asked.clear();
    script().threads.clear();
    script().released = false;
}

}  // namespace scripted_names
