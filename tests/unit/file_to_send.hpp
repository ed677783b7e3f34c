// What the tests of sendfile share: a file, and who receives it.
#pragma once

#include <asyncio/streams.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

// A file whose bytes differ from place to place, open and without a name.
class FileToSend {
public:
    explicit FileToSend(std::size_t size) {
        for (std::size_t i = 0; content.size() < size; ++i) {
            content += std::to_string(i) + ' ';
        }
        content.resize(size);
        char name[] = "/tmp/asyncio-XXXXXX";
        fd_ = ::mkstemp(name);
        ::unlink(name);
        EXPECT_EQ(::pwrite(fd_, content.data(), size, 0), static_cast<ssize_t>(size));
    }
    FileToSend(const FileToSend&) = delete;
    FileToSend& operator=(const FileToSend&) = delete;
    ~FileToSend() { ::close(fd_); }

    int fileno() const noexcept { return fd_; }
    std::size_t position() const { return static_cast<std::size_t>(::lseek(fd_, 0, SEEK_CUR)); }

    std::string content;

private:
    int fd_ = -1;
};

inline asyncio::Coro<std::string> receive_all(asyncio::StreamReader reader) {
    co_return co_await reader.read();
}
