// Memory that two processes share, as a place for a message.
#pragma once

#include <asyncio/serialize.hpp>

#include "exec/fork_count.hpp"
#include "io/unique_fd.hpp"

#include <span>

namespace asyncio::inline v0 {
namespace detail {

/// A message from one process to another: one writes, then the other reads, and so on. What tells
/// them whose turn it is, is not here.
///
/// Invariants:
///  1. The memory never shrinks, the kernel sees to that: what is mapped can be touched, whatever
///     the other process does.
///  2. What is mapped is not mapped in a fork of the program, where something else may lie there.
///  3. Between messages it holds at most `kept_max` bytes of the machine's memory.
class SharedBuffer {
public:
    /// No message is longer.
    static constexpr std::size_t size_max = std::size_t{1} << 30;

    /// Raises: std::system_error.
    SharedBuffer();
    /// The other process's end. Raises: std::system_error.
    explicit SharedBuffer(UniqueFd fd);
    SharedBuffer(const SharedBuffer&) = delete;
    SharedBuffer& operator=(const SharedBuffer&) = delete;
    ~SharedBuffer();

    int fd() const noexcept { return fd_.get(); }
    char* data() noexcept { return data_; }
    std::size_t capacity() const noexcept { return capacity_; }

    /// Raises: ValueError beyond `size_max`; std::system_error.
    void reserve(std::size_t size);
    /// A message of the other process. Raises: DecodeError if there are not so many bytes;
    /// std::system_error.
    std::span<const char> message(std::size_t size);
    /// A message of this size was read, or taken back but for its first `kept` bytes.
    void release(std::size_t size, std::size_t kept = 0) noexcept;

private:
    void map(std::size_t size);

    static constexpr std::size_t initial_size = std::size_t{64} << 10;
    static constexpr std::size_t kept_max = std::size_t{16} << 20;

    void enlarge(std::size_t size);

    UniqueFd fd_;
    const std::uint32_t forks_ = fork_count();
    char* data_ = nullptr;
    std::size_t capacity_ = 0;
};

/// Writes a message into shared memory.
class SharedWriter : public Writer {
public:
    explicit SharedWriter(SharedBuffer& buffer) noexcept : buffer_(buffer) {
        set_room(buffer_.data(), buffer_.capacity());
    }
    SharedWriter(const SharedWriter&) = delete;
    SharedWriter& operator=(const SharedWriter&) = delete;
    virtual ~SharedWriter() = default;

protected:
    void grow(std::size_t size) override;
    // What comes next has to `grow`.
    void leave_no_room() noexcept { set_room(buffer_.data(), size()); }

private:
    SharedBuffer& buffer_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
