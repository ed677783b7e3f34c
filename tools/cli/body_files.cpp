// Writing files that somebody else named.
#include "body_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace asyncio::cli {

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

std::string numbered(const std::string& name, unsigned number) {
    return number == 0 ? name : name + "." + std::to_string(number);
}

}  // namespace

Directory::Directory(const std::string& path) : path_(path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) {
        throw std::system_error(error, "cannot make the directory " + path);
    }
    fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ < 0) {
        fail("cannot open the directory " + path);
    }
}

Directory::~Directory() { ::close(fd_); }

void BodyFile::open() {
    // O_EXCL also refuses to follow a symbolic link that waits under this name.
    for (unsigned number = 0; fd_ < 0; ++number) {
        temporary_ = numbered(name_, number) + ".part";
        fd_ = ::openat(directory_.fileno(), temporary_.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd_ < 0 && errno != EEXIST) {
            fail("cannot create " + directory_.path() + "/" + temporary_);
        }
    }
}

void BodyFile::write(std::string_view piece) {
    if (fd_ < 0) {
        open();
    }
    while (!piece.empty()) {
        const ssize_t written = ::write(fd_, piece.data(), piece.size());
        if (written < 0 && errno != EINTR) {
            fail("cannot write " + directory_.path() + "/" + temporary_);
        }
        piece.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
}

void BodyFile::discard() noexcept {
    if (fd_ >= 0) {
        ::close(std::exchange(fd_, -1));
        ::unlinkat(directory_.fileno(), temporary_.c_str(), 0);
    }
}

// Makes an empty file of that name, and puts the body in its place. False if there is one already.
bool BodyFile::replace_new(const std::string& name) {
    const int directory = directory_.fileno();
    const int reserved =
        ::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (reserved >= 0) {
        ::close(reserved);
        if (::renameat(directory, temporary_.c_str(), directory, name.c_str()) == 0) {
            return true;
        }
    }
    if (errno != EEXIST) {
        fail("cannot rename " + directory_.path() + "/" + temporary_ + " to " + name);
    }
    return false;
}

// False if there is a file of that name.
bool BodyFile::move_to(const std::string& name) {
    const int directory = directory_.fileno();
    if (::renameat2(directory, temporary_.c_str(), directory, name.c_str(), RENAME_NOREPLACE) ==
        0) {
        return true;
    }
    if (errno == EINVAL || errno == ENOSYS) {
        // A file system that cannot do this can do the same in two steps, the first of which fails
        // if the name is taken.
        if (::linkat(directory, temporary_.c_str(), directory, name.c_str(), 0) == 0) {
            ::unlinkat(directory, temporary_.c_str(), 0);
            return true;
        }
        if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) {
            return replace_new(name);  // such as FAT, which has no links
        }
    }
    if (errno != EEXIST) {
        fail("cannot rename " + directory_.path() + "/" + temporary_ + " to " + name);
    }
    return false;
}

std::string BodyFile::commit() {
    if (fd_ < 0) {
        open();
    }
    std::string name;
    for (unsigned number = 0; name.empty(); ++number) {
        if (move_to(numbered(name_, number))) {
            name = numbered(name_, number);
        }
    }
    if (::close(std::exchange(fd_, -1)) != 0) {
        fail("cannot write " + directory_.path() + "/" + name);
    }
    return directory_.path() + "/" + name;
}

}  // namespace asyncio::cli
