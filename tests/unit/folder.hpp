// A place for files of a test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

// A new folder, which goes with its content.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "asyncio-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string operator/(const char* name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};
