// What is behind the handles StreamReader and StreamWriter.
#pragma once

#include <asyncio/streams.hpp>

#include "net/io_line.hpp"

#include <functional>

namespace asyncio::inline v0 {
namespace detail {

// Bytes that arrived and wait to be read.
//
// Invariant: what waits is in `bytes_`, from `begin_` on.
class ReadBuffer {
public:
    std::string_view view() const noexcept { return std::string_view(bytes_).substr(begin_); }
    std::size_t size() const noexcept { return bytes_.size() - begin_; }
    bool empty() const noexcept { return size() == 0; }

    void append(std::string_view data);
    // Instead of append. Requires: the buffer is empty.
    void adopt(std::string&& data) noexcept { bytes_ = std::move(data); }
    // Removes the first `size` bytes, or all if there are fewer.
    std::string take(std::size_t size);
    std::string take_all() { return take(size()); }
    void drop(std::size_t size) noexcept;
    // Puts bytes that were taken back in front.
    void restore(std::string_view bytes) { bytes_.replace(0, std::exchange(begin_, 0), bytes); }

private:
    std::string bytes_;
    std::size_t begin_ = 0;
};

// Where a task that waits wants what comes next.
struct ReadRoom {
    std::span<std::byte> bytes;
    std::size_t filled = 0;
};

// The state of a StreamReader.
//
// Invariants:
//  1. `paused` tells whether the transport was asked to pause because of this reader.
//  2. Nobody is in `line` while there is something to read, or the stream has ended or failed.
//  3. `room` is that of the task in `line`, if it has one and nothing came since; else null, or of
//     a task that was cancelled and has not run yet.
struct ReaderState {
    explicit ReaderState(std::size_t limit_) : limit(limit_) {}

    // Waits until there is more, an end or an error. Raises: RuntimeError if somebody waits.
    IoLine::Wait arrival(const char* function);
    void throw_if_failed() const;
    void feed(std::string_view data);
    // Where to receive what comes next, and that many bytes were received there.
    std::span<std::byte> place() const;
    void received(std::size_t count);
    void feed_eof() noexcept;
    void fail(std::exception_ptr reason) noexcept;
    std::string take(std::size_t size);
    std::string take_all() { return take(buffer.size()); }
    // Puts bytes that an interrupted read took back in front, for whoever waits meanwhile.
    void give_back(std::string_view bytes);
    void resume_if_read() noexcept;
    // There is more in the buffer.
    void grown();

    const std::size_t limit;
    ReadBuffer buffer;
    bool eof = false;
    bool paused = false;
    std::exception_ptr error;
    std::shared_ptr<Transport> transport;
    IoLine line;
    ReadRoom* room = nullptr;
};

// What a stream's last reading handle closes where there is no writer.
struct ReaderEnd {
    explicit ReaderEnd(std::shared_ptr<StreamProtocol> protocol_) noexcept
        : protocol(std::move(protocol_)) {}
    ReaderEnd(const ReaderEnd&) = delete;
    ReaderEnd& operator=(const ReaderEnd&) = delete;
    ~ReaderEnd();
    std::shared_ptr<StreamProtocol> protocol;
};

// What a stream's last writing handle closes.
struct WriterEnd {
    explicit WriterEnd(std::shared_ptr<StreamProtocol> protocol_) noexcept
        : protocol(std::move(protocol_)) {}
    WriterEnd(const WriterEnd&) = delete;
    WriterEnd& operator=(const WriterEnd&) = delete;
    ~WriterEnd();
    std::shared_ptr<StreamProtocol> protocol;
};

// The protocol behind a pair of streams: StreamReaderProtocol of CPython's streams.py.
//
// Invariant: `transport_` is set by connection_made, replaced by start_tls, and stays.
class StreamProtocol final : public BufferedProtocol,
                             public std::enable_shared_from_this<StreamProtocol> {
public:
    using Connected = std::function<void(StreamPair)>;

    // `connected` is called with the streams of a connection that a server accepted; null for a
    // client, which asks for them.
    StreamProtocol(std::size_t limit, Connected connected)
        : reader_(limit), server_side_(connected != nullptr), connected_(std::move(connected)) {}

    StreamPair streams() { return {reader(), writer()}; }
    StreamReader reader();
    // The only one, with which the connection ends.
    StreamReader closing_reader();
    StreamWriter writer();
    Transport& transport() const noexcept { return *transport_; }

    // What StreamWriter's functions of the same names do.
    static Coro<void> drain(std::shared_ptr<StreamProtocol> self);
    static Coro<void> wait_closed(std::shared_ptr<StreamProtocol> self);
    static Coro<void> start_tls(std::shared_ptr<StreamProtocol> self,
                                std::shared_ptr<const SSLContext> ssl, StartTlsOptions options);

    void connection_made(std::shared_ptr<Transport> transport) override;
    std::span<std::byte> get_buffer(std::ptrdiff_t size_hint) override;
    void buffer_updated(std::size_t count) override;
    bool eof_received() override;
    void connection_lost(const std::exception_ptr& error) override;
    void pause_writing() override { paused_ = true; }
    void resume_writing() override;

private:
    ReaderState reader_;
    const bool server_side_;
    Connected connected_;
    std::shared_ptr<Transport> transport_;
    bool paused_ = false;
    bool lost_ = false;
    std::exception_ptr error_;  // why it was lost
    IoLine drains_;
    IoLine closes_;
};

struct StreamAccess {
    static StreamReader reader(std::shared_ptr<ReaderState> state) noexcept {
        return StreamReader(std::move(state));
    }
    static StreamWriter writer(std::shared_ptr<WriterEnd> end) noexcept {
        return StreamWriter(std::move(end));
    }
};

// Raises: ValueError for 0.
std::size_t checked_limit(std::size_t limit);

}  // namespace detail
}  // namespace asyncio::inline v0
