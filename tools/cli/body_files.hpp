// The files that `asyncio fetch -o` writes: under a temporary name until they are complete, and
// never over a file that exists.
#pragma once

#include <string>
#include <string_view>

namespace asyncio::cli {

// A directory, held open, so that files go there wherever its path may lead meanwhile.
class Directory {
public:
    // Makes it, with the directories above it. Raises: std::system_error.
    explicit Directory(const std::string& path);
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory();

    int fileno() const noexcept { return fd_; }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
    int fd_;
};

// One body. The file appears when `commit` is called, and not at all otherwise.
//
// Invariant: while `fd_` is open, `temporary_` exists in the directory and belongs to this object.
class BodyFile {
public:
    // The name must be a plain one, as file_name_of makes it.
    BodyFile(const Directory& directory, std::string name)
        : directory_(directory), name_(std::move(name)) {}
    BodyFile(const BodyFile&) = delete;
    BodyFile& operator=(const BodyFile&) = delete;
    ~BodyFile() { discard(); }

    // Raises: std::system_error, as for a full disk.
    void write(std::string_view piece);
    // Drops what was written, to begin again.
    void discard() noexcept;
    // Returns the path under which the file appeared: numbered if there was one of its name.
    // An empty body gives an empty file. Raises: std::system_error.
    std::string commit();

private:
    void open();
    bool move_to(const std::string& name);
    bool replace_new(const std::string& name);

    const Directory& directory_;
    const std::string name_;
    std::string temporary_;
    int fd_ = -1;
};

}  // namespace asyncio::cli
