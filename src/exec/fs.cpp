// Files, by blocking calls in threads, which may be those of an executor that signals reach.
#include <asyncio/executors.hpp>
#include <asyncio/fs.hpp>

#include "io/system_call.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace asyncio::inline v0 {

namespace detail {

/// Invariants:
///  1. `buffer_` from `begin_` on is what was read ahead of the place where the user is.
///  2. Each operation holds the mutex, and a reference of this, so the descriptor stays open.
class OpenFile {
public:
    /// Raises: FileError, which names `path`, also if the file lies at another `place`.
    OpenFile(const std::string& path, int flags) : OpenFile(path, path, flags) {}
    OpenFile(std::string path, const std::string& place, int flags)
        : path_(std::move(path)),
          fd_(uninterrupted([&] { return ::open(place.c_str(), flags | O_CLOEXEC, 0666); })) {
        check(fd_, "open");
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    ~OpenFile() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
    std::unique_lock<std::mutex> try_lock() { return std::unique_lock(mutex_, std::try_to_lock); }

    // Requires, for all that follow: the lock.

    bool is_open() const noexcept { return fd_ >= 0; }

    std::string read(std::optional<std::size_t> size) {
        const std::size_t size_max = size.value_or(std::string().max_size());
        std::string data = take(std::min(buffered(), size_max));
        if (size_max - data.size() >= ahead_max) {
            read_past_buffer(data, size_max);
            return data;
        }
        while (data.size() < size_max && fill()) {
            data += take(std::min(buffered(), size_max - data.size()));
        }
        return data;
    }

    // The next line, if all of it was read ahead.
    std::optional<std::string> buffered_line() {
        const std::size_t end = buffer_.find('\n', begin_);
        return end == buffer_.npos ? std::nullopt : std::optional(take(end + 1 - begin_));
    }

    std::string read_line() {
        std::string data;
        while (true) {
            if (const auto rest = buffered_line()) {
                return data + *rest;
            }
            data += take(buffered());
            if (!fill()) {
                return data;
            }
        }
    }

    void write(std::string_view data) {
        forget_ahead();
        while (!data.empty()) {
            const ::ssize_t written =
                uninterrupted([&] { return ::write(fd_, data.data(), data.size()); });
            check(written, "write");
            data.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    std::int64_t seek(std::int64_t offset, fs::Whence whence) {
        static constexpr int origins[] = {SEEK_SET, SEEK_CUR, SEEK_END};
        forget_ahead();
        const std::int64_t place = ::lseek(fd_, offset, origins[static_cast<int>(whence)]);
        check(place, "seek");
        return place;
    }

    void sync() {
        check(uninterrupted([this] { return ::fsync(fd_); }), "sync");
    }

    // What a file of its own takes over from the one that it replaces.
    void take_permissions_of(const std::string& other) {
        struct ::stat status{};
        if (::stat(other.c_str(), &status) == 0) {
            check(::fchmod(fd_, status.st_mode & 07777), "chmod");
        }
    }

    void close() {
        // A signal that comes between leaves the descriptor closed all the same.
        if (is_open() && ::close(std::exchange(fd_, -1)) < 0 && errno != EINTR) {
            throw fs::FileError(errno, "close", path_);
        }
    }

private:
    static constexpr std::size_t ahead_max = std::size_t{64} * 1024;

    std::size_t buffered() const noexcept { return buffer_.size() - begin_; }
    std::string take(std::size_t size) {
        begin_ += size;
        return buffer_.substr(begin_ - size, size);
    }
    // Reads ahead. False at the end. Requires: none buffered.
    bool fill() {
        buffer_.resize(ahead_max);
        begin_ = buffer_.size();
        buffer_.resize(read_some(buffer_.data(), buffer_.size()));
        begin_ = 0;
        return !buffer_.empty();
    }
    // Adds what follows, until there are `size_max` bytes. Makes more room only when it is full,
    // because each byte of it costs time. Requires: none buffered.
    void read_past_buffer(std::string& data, std::size_t size_max) {
        std::size_t size = data.size();
        data.resize(size + std::min(expected_rest(), size_max - size));
        while (size < data.size()) {
            const std::size_t more = read_some(data.data() + size, data.size() - size);
            if (more == 0) {
                break;
            }
            size += more;
            if (size == data.size()) {
                data.resize(size + std::min(size, size_max - size));
            }
        }
        data.resize(size);
    }
    // How much there is to read, as far as the kernel knows, and one byte more: what comes is less
    // than that, so it is seen to be all without a larger place.
    std::size_t expected_rest() const {
        constexpr std::int64_t unknown = 4096;
        struct ::stat status{};
        check(::fstat(fd_, &status), "stat");
        const std::int64_t rest = status.st_size - ::lseek(fd_, 0, SEEK_CUR);
        return static_cast<std::size_t>((S_ISREG(status.st_mode) && rest > 0 ? rest : unknown) + 1);
    }
    // Returns 0 at the end.
    std::size_t read_some(char* data, std::size_t size) const {
        // Only calls for this file wait for this lock.
        // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection)
        const ::ssize_t count = uninterrupted([&] { return ::read(fd_, data, size); });
        check(count, "read");
        return static_cast<std::size_t>(count);
    }
    // Back to where the user is.
    void forget_ahead() {
        if (buffered() > 0) {
            check(::lseek(fd_, -static_cast<std::int64_t>(buffered()), SEEK_CUR), "seek");
        }
        buffer_.clear();
        begin_ = 0;
    }
    void check(std::int64_t result, const char* operation) const {
        if (result < 0) {
            throw fs::FileError(errno, operation, path_);
        }
    }

    const std::string path_;
    std::mutex mutex_;
    int fd_;
    std::string buffer_;
    std::size_t begin_ = 0;
};

}  // namespace detail

namespace fs {

namespace {

using FilePtr = std::shared_ptr<detail::OpenFile>;

// Calls `function()` in a thread.
template <class F>
auto in_thread(F function) -> Coro<std::invoke_result_t<F&>> {
    co_return co_await run_in_executor(nullptr, std::move(function));
}

[[noreturn]] void throw_not_open() {
    throw ValueError("I/O operation on closed file: fs::open() gives one that is open");
}

// Calls `function(file)` in a thread, with the file locked.
template <class F>
auto with_file(FilePtr file, F function) {
    return in_thread([file = std::move(file), function = std::move(function)] {
        if (file == nullptr) {
            throw_not_open();
        }
        const auto lock = file->lock();
        if (!file->is_open()) {
            throw_not_open();
        }
        return function(*file);
    });
}

int flags_of(const std::string& mode) {
    int flags = -1;
    bool updates = false;
    for (const char letter : mode) {
        switch (letter) {
        case 'r':
            flags = flags == -1 ? 0 : -2;
            break;
        case 'w':
            flags = flags == -1 ? O_CREAT | O_TRUNC : -2;
            break;
        case 'x':
            flags = flags == -1 ? O_CREAT | O_EXCL : -2;
            break;
        case 'a':
            flags = flags == -1 ? O_CREAT | O_APPEND : -2;
            break;
        case '+':
            updates = true;
            break;
        case 'b':
            break;
        default:
            flags = -2;
        }
    }
    if (flags < 0) {
        throw ValueError("invalid mode '" + mode + "': write r, w, x or a, with + to do both");
    }
    return flags | (updates ? O_RDWR : flags == 0 ? O_RDONLY : O_WRONLY);
}

void write_in_place(const std::string& path, std::string_view content) {
    detail::OpenFile file(path, flags_of("w"));
    file.write(content);
    file.close();
}

// Where a link leads, so that the file is replaced and not the link.
std::string real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    return real == nullptr ? path : real.get();
}

void write_beside(const std::string& path, std::string_view content) {
    static std::atomic<unsigned> count{0};
    const std::string target = real_path(path);
    const std::string beside = target + "." + std::to_string(::getpid()) + "-" +
                               std::to_string(count.fetch_add(1)) + ".tmp";
    detail::OpenFile file(path, beside, flags_of("x"));
    try {
        file.take_permissions_of(target);
        file.write(content);
        file.sync();
        file.close();
        if (::rename(beside.c_str(), target.c_str()) < 0) {
            throw FileError(errno, "rename", path);
        }
    } catch (...) {
        ::unlink(beside.c_str());
        throw;
    }
}

}  // namespace

FileError::FileError(int os_error, const std::string& operation, std::string path)
    : std::system_error(os_error, std::generic_category(), operation + " '" + path + "'"),
      path_(std::move(path)) {}
FileError::~FileError() = default;

Coro<std::string> read_file(std::string path) {
    return in_thread(
        [path = std::move(path)] { return detail::OpenFile(path, O_RDONLY).read(std::nullopt); });
}

Coro<void> write_file(std::string path, std::string content, WriteOptions options) {
    return in_thread([path = std::move(path), content = std::move(content), options] {
        (options.atomic ? write_beside : write_in_place)(path, content);
    });
}

Coro<File> open(std::string path, std::string mode) {
    const int flags = flags_of(mode);
    co_return File(co_await run_in_executor(nullptr, [path = std::move(path), flags] {
        return std::make_shared<detail::OpenFile>(path, flags);
    }));
}

File::operator bool() const noexcept { return file_ != nullptr; }

Coro<std::string> File::read(std::optional<std::size_t> size) const {
    return with_file(file_, [size](detail::OpenFile& file) { return file.read(size); });
}

Coro<std::string> File::readline() const {
    if (file_ != nullptr) {
        if (const auto lock = file_->try_lock()) {
            if (auto line = file_->buffered_line()) {
                return [](std::string ready) -> Coro<std::string> {
                    co_return ready;
                }(*std::move(line));
            }
        }
    }
    return with_file(file_, [](detail::OpenFile& file) { return file.read_line(); });
}

Coro<void> File::write(std::string data) const {
    return with_file(file_, [data = std::move(data)](detail::OpenFile& file) { file.write(data); });
}

Coro<std::int64_t> File::seek(std::int64_t offset, Whence whence) const {
    return with_file(file_, [=](detail::OpenFile& file) { return file.seek(offset, whence); });
}

Coro<void> File::sync() const {
    return with_file(file_, [](detail::OpenFile& file) { file.sync(); });
}

Coro<void> File::close() {
    FilePtr file = std::exchange(file_, nullptr);
    if (file != nullptr) {
        co_await in_thread([file = std::move(file)] {
            const auto lock = file->lock();
            file->close();
        });
    }
}

}  // namespace fs
}  // namespace asyncio::inline v0
