// The transport over a file descriptor: a stream socket, or one end of a pipe.
#pragma once

#include "net/file_part.hpp"
#include "net/selector_transport.hpp"
#include "net/server_core.hpp"
#include "net/write_buffer.hpp"

#include <sys/stat.h>

namespace asyncio::inline v0 {
namespace detail {

// As _SelectorSocketTransport of CPython's selector_events.py, and the pipe transports of its
// unix_events.py.
//
// It reads once per readiness and writes at once what can be written, so a request and its answer
// cost one recv and one send. What it asks of the system is virtual, for connections in memory.
//
// Invariant: `file_` is what is sent once `buffer_` is empty, or null; `file_sent_` is pending as
// long, or was cancelled.
class FdTransport : public SelectorTransport<Transport, ProtocolSlot>, public ServerMember {
public:
    enum class Kind : std::uint8_t { socket, read_pipe, write_pipe };

    FdTransport(EventLoop& loop, Socket socket, Kind kind, Address peer,
                std::shared_ptr<Protocol> protocol, std::shared_ptr<ServerCore> server = nullptr);

    // Lets the descriptor block again when the connection is lost.
    void block_at_the_end() noexcept { block_at_the_end_ = true; }

    // Also tells the server of it.
    void begin(Future<void> connected = {});

    // Transport
    using Transport::write;
    void write(std::string_view data) override { write_some(data, nullptr); }
    void write(std::string&& data) override { write_some(data, &data); }
    void writelines(std::span<const std::string_view> pieces) override;
    void write_eof() override;
    bool can_write_eof() const noexcept override { return kind_ != Kind::read_pipe; }
    std::size_t get_write_buffer_size() const noexcept override { return buffer_.size(); }

    // Has the kernel send a part of a file, behind what was written, which must not be more until
    // `sent` gets its result: 0, or the error number of sendfile(2). If the connection is lost, it
    // gets an exception. Raises: RuntimeError if a file is being sent.
    void begin_file(FilePart& part, Future<int> sent);
    // Lets go of the part, which nobody waits for any more.
    void end_file() noexcept;

    bool is_socket() const noexcept { return file_type_ == S_IFSOCK; }

protected:
    // What is called in a later iteration when the direction that is watched is ready.
    void on_readable();
    void on_writable();

private:
    // These return the number of bytes, or -1 and errno; receiving, 0 at the peer's end.
    virtual ssize_t receive_now(std::span<std::byte> room) noexcept;
    virtual ssize_t send_now(std::span<const iovec> pieces) noexcept;
    virtual void shut_down_writing() noexcept;

    std::any extra(std::string_view name) const override;
    BaseTransport& transport() noexcept override { return *this; }
    bool can_be_read() const noexcept override;
    bool has_unsent() const noexcept override { return !buffer_.empty() || file_ != nullptr; }
    void drop_unsent(const std::exception_ptr& error) noexcept override;
    void disconnect() noexcept override;
    void released() noexcept override;

    void on_eof();
    void on_hang_up();
    void on_file_turn();

    // Sends as much as it can if nothing waits. False: the connection is lost.
    bool send_first(std::span<const iovec> pieces, std::size_t& sent);
    void write_some(std::string_view data, std::string* owner);
    // False if what is written would be dropped. Raises: RuntimeError where that is a mistake.
    bool may_write() {
        const bool is_usual =
            !lost_ && !eof_written_ && file_ == nullptr && kind_ != Kind::read_pipe;
        return is_usual || drop_or_refuse();
    }
    bool drop_or_refuse();
    void fail_errno(const char* message);

    // Constant after construction.
    const Kind kind_;
    const mode_t file_type_;

    // Loop thread only.
    std::shared_ptr<ServerCore> server_;  // which accepted it, or null
    WriteBuffer buffer_;
    FilePart* file_ = nullptr;
    Future<int> file_sent_;
    bool eof_written_ = false;
    bool block_at_the_end_ = false;
};

}  // namespace detail
}  // namespace asyncio::inline v0
