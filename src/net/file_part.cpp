// Reading and sending a part of a file.
#include "net/file_part.hpp"

#include <asyncio/threads.hpp>

#include "io/system_call.hpp"
#include "io/unique_fd.hpp"
#include "net/broken_pipe.hpp"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// What is sent or read at once: enough to make a system call cheap, not enough to hold up others.
// CPython's SENDFILE_FALLBACK_READBUFFER_SIZE.
constexpr std::size_t piece_max = std::size_t{256} * 1024;

}  // namespace

FilePart::FilePart(FileDescriptorLike file, const SendfileOptions& options)
    : file_(file.fileno()), offset_(options.offset), count_(options.count) {
    if (count_ == std::uint64_t{0}) {
        throw ValueError("count must be a positive integer (got 0)");
    }
}

FilePart::~FilePart() {
    if (sent_ > 0) {
        ::lseek(file_, static_cast<off_t>(offset_ + sent_), SEEK_SET);
    }
}

std::size_t FilePart::next_size() const noexcept {
    return count_ ? std::min<std::uint64_t>(piece_max, *count_ - sent_) : piece_max;
}

int FilePart::send_some(int socket) noexcept {
    const std::size_t size = next_size();
    if (size == 0) {
        return 0;
    }
    auto offset = static_cast<off_t>(offset_ + sent_);
    const NoBrokenPipeSignal quiet;
    const ssize_t count = uninterrupted([&] { return ::sendfile(socket, file_, &offset, size); });
    if (count < 0) {
        return errno;
    }
    taken(static_cast<std::size_t>(count));
    return count == 0 || next_size() == 0 ? 0 : EAGAIN;
}

Coro<std::string> FilePart::read_some() const {
    if (next_size() == 0) {
        co_return std::string();
    }
    // The thread may still read when the task was cancelled, and the file was closed.
    auto file = std::make_shared<UniqueFd>(check(::fcntl(file_, F_DUPFD_CLOEXEC, 0), "fcntl"));
    co_return co_await to_thread([file = std::move(file), size = next_size(),
                                  offset = static_cast<off_t>(offset_ + sent_)] {
        std::string piece(size, '\0');
        const ssize_t count =
            uninterrupted([&] { return ::pread(file->get(), piece.data(), piece.size(), offset); });
        if (count < 0) {
            throw_errno("cannot read the file to be sent");
        }
        piece.resize(static_cast<std::size_t>(count));
        return piece;
    });
}

}  // namespace detail
}  // namespace asyncio::inline v0
