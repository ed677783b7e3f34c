// A part of a file that is being sent.
#pragma once

#include <asyncio/sendfile.hpp>

#include <memory>

namespace asyncio::inline v0 {
namespace detail {

// Counts what the connection has taken; at its end the file's own position is behind that.
class FilePart {
public:
    // Raises: ValueError for a count of 0.
    FilePart(FileDescriptorLike file, const SendfileOptions& options);
    FilePart(const FilePart&) = delete;
    FilePart& operator=(const FilePart&) = delete;
    ~FilePart();

    // Has the kernel send what a socket takes that does not block, and not too much of it. Returns
    // 0 at the end of the part or the file, EAGAIN when the socket must be ready for more, else the
    // error.
    int send_some(int socket) noexcept;
    // Reads what comes next in a thread; "" at the end of the part or the file.
    Coro<std::string> read_some() const;
    // What was read was sent, or will be.
    void taken(std::size_t count) noexcept { sent_ += count; }

    std::uint64_t sent() const noexcept { return sent_; }

private:
    std::size_t next_size() const noexcept;

    const int file_;
    const std::uint64_t offset_;
    const std::optional<std::uint64_t> count_;
    std::uint64_t sent_ = 0;
};

}  // namespace detail
}  // namespace asyncio::inline v0
