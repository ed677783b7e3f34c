// Files: reading and writing in the threads of the loop's default executor, because the kernel has
// no other way that never blocks. Python's asyncio leaves this to `to_thread`.
#pragma once

#include <asyncio/coro.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace asyncio::inline v0 {

namespace detail {

class OpenFile;

}  // namespace detail

/// What holds for everything here:
///
/// Content is bytes, in a std::string. Raises: FileError, which knows the path.
///
/// Cancel safety: the await resumes at once; what a thread does at that moment goes on, so a write
/// may have happened, wholly or in part, and the place in the file may have moved.
///
/// Thread safety: the running loop's thread. Cost: a hop to a thread and back, but for lines that
/// have been read ahead.
namespace fs {

/// An operation on a file failed. `code()` is the system's error.
class ASYNCIO_API FileError : public std::system_error {
public:
    FileError(int os_error, const std::string& operation, std::string path);
    ~FileError() override;

    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// The whole content of a file.
ASYNCIO_API Coro<std::string> read_file(std::string path);

struct WriteOptions {
    /// Others find the old file or the new one, never a part, also if the program or the machine
    /// stops meanwhile: the content goes to a file beside it, which then takes its name.
    bool atomic = false;
};

/// Makes or replaces a file.
ASYNCIO_API Coro<void> write_file(std::string path, std::string content, WriteOptions options = {});

/// From where `File::seek` counts.
enum class Whence : std::uint8_t { begin, current, end };

/// An open file. Operations of several tasks on the same file do not mix, but have no order.
///
/// The destructor closes it; an error of that is lost, other than that of `close`.
class ASYNCIO_API File {
public:
    /// Not a file.
    File() noexcept = default;

    /// False for one that is not a file, was moved from, or closed.
    explicit operator bool() const noexcept;

    /// Reads so many bytes, fewer only at the end of the file; without a number, everything up to
    /// the end. Raises also, as all below: ValueError if it is not open.
    Coro<std::string> read(std::optional<std::size_t> size = std::nullopt) const;
    /// Reads up to the end of a line, which is part of the result; "" at the end of the file.
    Coro<std::string> readline() const;
    /// Writes everything.
    Coro<void> write(std::string data) const;
    /// Moves to another place; returns where that is, counted from the beginning.
    Coro<std::int64_t> seek(std::int64_t offset, Whence whence = Whence::begin) const;
    /// Returns when what was written is on the disk.
    Coro<void> sync() const;
    /// Waits for what other tasks do with it. May be called again.
    Coro<void> close();

private:
    friend ASYNCIO_API Coro<File> open(std::string path, std::string mode);
    explicit File(std::shared_ptr<detail::OpenFile> file) noexcept : file_(std::move(file)) {}

    std::shared_ptr<detail::OpenFile> file_;
};

/// Opens a file. The mode is Python's: "r" reads, "w" empties or makes the file, "x" makes it and
/// fails if it exists, "a" appends; a "+" reads and writes. A "b" changes nothing.
/// Raises also: ValueError for another mode.
ASYNCIO_API Coro<File> open(std::string path, std::string mode = "r");

}  // namespace fs
}  // namespace asyncio::inline v0
