// Memory files, which grow and are sealed against shrinking.
#include "exec/shared_buffer.hpp"

#include "io/system_call.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace asyncio::inline v0 {
namespace detail {

SharedBuffer::SharedBuffer()
    : fd_(check(::memfd_create("asyncio-message", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                "memfd_create")) {
    check(::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL), "sealing shared memory");
    reserve(initial_size);
    // A fork of the program would keep the memory for as long as it lives.
    ::madvise(data_, capacity_, MADV_DONTFORK);
}

SharedBuffer::SharedBuffer(UniqueFd fd) : fd_(std::move(fd)) { map(initial_size); }

SharedBuffer::~SharedBuffer() {
    if (data_ != nullptr && forks_ == fork_count()) {
        ::munmap(data_, capacity_);
    }
}

void SharedBuffer::map(std::size_t size) {
    void* const mapped =
        data_ == nullptr ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0)
                         : ::mremap(data_, capacity_, size, MREMAP_MAYMOVE);
    if (mapped == MAP_FAILED) {
        throw_errno("cannot map shared memory");
    }
    data_ = static_cast<char*>(mapped);
    capacity_ = size;
}

// Beyond the limit of a file's size the kernel sends a signal as well, which would end the program.
void SharedBuffer::enlarge(std::size_t size) {
    sigset_t beyond;
    sigset_t before;
    ::sigemptyset(&beyond);
    ::sigaddset(&beyond, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &beyond, &before);
    const int result = ::ftruncate(fd_.get(), static_cast<off_t>(size));
    const int error = errno;
    if (result != 0 && error == EFBIG && ::sigismember(&before, SIGXFSZ) == 0) {
        constexpr timespec now{};
        ::sigtimedwait(&beyond, nullptr, &now);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    check(result, "cannot enlarge shared memory");
}

void SharedBuffer::reserve(std::size_t size) {
    if (size <= capacity_) {
        return;
    }
    if (size > size_max) {
        throw ValueError("what is sent to or from another process takes more than " +
                         std::to_string(size_max >> 20) + " MiB: send it in pieces, or in a file");
    }
    const std::size_t larger = std::bit_ceil(std::max(size, initial_size));
    struct ::stat status{};
    check(::fstat(fd_.get(), &status), "fstat");
    // The other process may have made it larger.
    if (static_cast<std::size_t>(status.st_size) < larger) {
        enlarge(larger);
    }
    map(larger);
}

std::span<const char> SharedBuffer::message(std::size_t size) {
    if (size > capacity_) {
        struct ::stat status{};
        check(::fstat(fd_.get(), &status), "fstat");
        const auto there = static_cast<std::size_t>(status.st_size);
        if (size > there || size > size_max) {
            throw DecodeError("a message of " + std::to_string(size) + " bytes in " +
                              std::to_string(there) + " bytes of shared memory");
        }
        map(std::min(there, size_max));
    }
    return {data_, size};
}

void SharedBuffer::release(std::size_t size, std::size_t kept) noexcept {
    const std::size_t begin = std::max(kept, kept_max);
    if (size > begin) {
        ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(begin), static_cast<off_t>(capacity_ - begin));
    }
}

void SharedWriter::grow(std::size_t size) {
    // Twice the size at least, so that many small growths copy little page tables.
    buffer_.reserve(Writer::size() + size);
    set_room(buffer_.data(), buffer_.capacity());
}

}  // namespace detail
}  // namespace asyncio::inline v0
