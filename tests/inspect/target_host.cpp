// The library is part of a shared object, beside the program, that is loaded while it runs.
#include "target.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>

int main(int argc, char** argv) {
    const auto plugin = std::filesystem::read_symlink("/proc/self/exe").parent_path() /
                        "libinspect_target_plugin.so";
    void* const handle = ::dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        return 1;
    }
    const auto run = reinterpret_cast<decltype(&run_target)>(::dlsym(handle, "run_target"));
    return run(argc, argv);
}
