// Streams: connections as something to read from and something to write to, for coroutines.
#pragma once

#include <asyncio/async_generator.hpp>
#include <asyncio/clock.hpp>
#include <asyncio/transports.hpp>

#include <concepts>
#include <initializer_list>
#include <vector>

namespace asyncio::inline v0 {

class SSLContext;
class StreamReader;
class StreamWriter;

/// What `readuntil`, `readline` and the like may buffer; the peer is asked to pause when twice as
/// much waits to be read.
inline constexpr std::size_t default_stream_limit = std::size_t{64} * 1024;

/// How long a TLS handshake may take, and the exchange of ends that closes a connection.
inline constexpr Duration default_ssl_handshake_timeout = std::chrono::seconds(60);
inline constexpr Duration default_ssl_shutdown_timeout = std::chrono::seconds(30);

/// How to go on in TLS.
struct StartTlsOptions {
    /// The streams of a server's handler are on that side anyway.
    bool server_side = false;
    /// Whom the server's certificate must be for. A client must give it.
    std::string server_hostname{};
    Duration ssl_handshake_timeout = default_ssl_handshake_timeout;
    Duration ssl_shutdown_timeout = default_ssl_shutdown_timeout;
};

namespace detail {

struct ReaderState;
class StreamProtocol;
struct WriterEnd;
struct StreamAccess;

}  // namespace detail

/// What `readuntil` looks for: one text, or several.
class Separators {
public:
    Separators(std::string separator)  // NOLINT(google-explicit-constructor)
        : texts_{std::move(separator)} {}
    Separators(const char* separator) : texts_{separator} {}  // NOLINT(google-explicit-constructor)
    Separators(std::vector<std::string> separators)           // NOLINT(google-explicit-constructor)
        : texts_(std::move(separators)) {}
    Separators(std::initializer_list<std::string> separators) : texts_(separators) {}

    const std::vector<std::string>& texts() const noexcept { return texts_; }

private:
    std::vector<std::string> texts_;
};

/// The reading end of a stream. A cheap handle: copies name the same stream.
///
/// What arrives is buffered, within limits, until somebody reads. One task reads at a time; a
/// second one gets a RuntimeError. After an error of the connection every read throws it, also if
/// bytes were left.
///
/// Thread safety: loop thread only. Cancel safety: a cancelled read takes nothing: what has arrived
/// is there for the next one. Source: S252 to S265, CPython's streams.StreamReader.
class ASYNCIO_API StreamReader {
public:
    /// One that nothing feeds but `feed_data`: for tests, and for protocols of your own. Raises:
    /// ValueError for a limit of 0.
    explicit StreamReader(std::size_t limit = default_stream_limit);

    // ---- reading

    /// Everything up to the end of the stream, whatever the limit. To bound it, read pieces.
    Coro<std::string> read();
    /// What is there, at least one byte and at most `size_max`; "" at the end of the stream.
    Coro<std::string> read(std::size_t size_max);
    /// As `read(buffer.size())`, without a string. Returns the number of bytes, 0 at the end of the
    /// stream. `buffer` must live until then.
    Coro<std::size_t> read_into(std::span<std::byte> buffer);
    /// Exactly `size` bytes, also more than the limit. Raises: IncompleteReadError at the end of
    /// the stream, with what was there; ValueError for a negative size.
    Coro<std::string> readexactly(std::size_t size);
    /// A line with its "\n". The last one may lack it, and at the end of the stream it is "".
    /// Raises: ValueError for a line that is longer than the limit, which is dropped.
    Coro<std::string> readline();
    /// Everything up to and including the separator; of several, as in `readuntil({"\r\n", "\n"})`,
    /// the one that ends first. Raises: IncompleteReadError at the end of the stream, with what was
    /// there; LimitOverrunError if there is none within the limit: what has arrived stays in the
    /// buffer; ValueError for an empty separator.
    Coro<std::string> readuntil(Separators separators = "\n");
    /// The lines, up to the end of the stream: `while (auto line = co_await lines.next())`.
    AsyncGenerator<std::string> lines() const;
    /// True if the end was reached and everything was read.
    bool at_eof() const noexcept;

    // ---- feeding

    /// Adds what arrived. Raises: RuntimeError after `feed_eof`.
    void feed_data(std::string_view data);
    void feed_eof() noexcept;
    /// Makes every read throw it, the one that waits included.
    void set_exception(std::exception_ptr error);
    const std::exception_ptr& exception() const noexcept;
    /// Whom to ask to pause when too much waits to be read. Raises: RuntimeError if there is one.
    void set_transport(std::shared_ptr<Transport> transport);

    friend bool operator==(const StreamReader&, const StreamReader&) = default;

private:
    friend struct detail::StreamAccess;
    explicit StreamReader(std::shared_ptr<detail::ReaderState> state) noexcept
        : state_(std::move(state)) {}

    std::shared_ptr<detail::ReaderState> state_;
};

/// The writing end of a stream. A cheap handle: copies name the same stream.
///
///     writer.write(request);
///     co_await writer.drain();
///
/// When the last handle goes, the stream is closed: what was written is still sent. In debug mode
/// that is reported, because nobody hears whether it arrived; `close` and `wait_closed` tell.
///
/// Thread safety: loop thread only. Cancel safety: `drain` and `wait_closed` change nothing.
/// Source: S266 to S269, CPython's streams.StreamWriter.
class ASYNCIO_API StreamWriter {
public:
    /// Sends, or keeps a copy until the peer takes more; never waits. Follow it with `drain`, which
    /// keeps memory within bounds. Raises: RuntimeError after `write_eof`.
    void write(std::string_view data) { transport().write(data); }
    void write(std::string&& data) { transport().write(std::move(data)); }
    void write(const char* text) { transport().write(text); }
    void write(std::span<const std::byte> data) { transport().write(data); }
    /// Several pieces, with as few system calls as possible.
    template <class Pieces>
        requires requires(const Pieces& pieces) {
            { *pieces.begin() } -> std::convertible_to<std::string_view>;
            pieces.end();
        }
    void writelines(const Pieces& pieces) {
        std::vector<std::string_view> views;
        for (const auto& piece : pieces) {
            views.emplace_back(piece);
        }
        transport().writelines(views);
    }
    /// Waits until what waits to be sent has fallen below the limit; goes on at once if it has not
    /// exceeded it. Several tasks may wait. Raises: std::system_error (ECONNRESET, or the cause)
    /// once the connection is lost.
    Coro<void> drain();

    /// The peer sees the end once it has read what was written; reading goes on.
    void write_eof() { transport().write_eof(); }
    bool can_write_eof() const { return transport().can_write_eof(); }

    /// Sends what was written, then closes; reading ends at once. Idempotent.
    void close() { transport().close(); }
    bool is_closing() const { return transport().is_closing(); }
    /// Waits until the connection is closed. Raises: the error that it was lost with.
    Coro<void> wait_closed();

    /// Goes on in TLS, on a client's or an accepted connection; the handles stay the same. Bytes
    /// that arrived and were not read are taken for the peer's side of the handshake. Raises:
    /// SSLError and others if the handshake fails; the connection is closed then. Source: S272.
    Coro<void> start_tls(std::shared_ptr<const SSLContext> ssl, StartTlsOptions options = {});

    template <class T>
    std::optional<T> get_extra_info(ExtraInfo<T> which) const {
        return transport().get_extra_info(which);
    }
    /// For `abort`, `set_write_buffer_limits` and the like.
    Transport& transport() const;

    friend bool operator==(const StreamWriter&, const StreamWriter&) = default;

private:
    friend struct detail::StreamAccess;
    explicit StreamWriter(std::shared_ptr<detail::WriterEnd> end) noexcept : end_(std::move(end)) {}

    std::shared_ptr<detail::WriterEnd> end_;
};

/// What `open_connection` gives: `auto [reader, writer] = co_await open_connection(...)`.
struct StreamPair {
    StreamReader reader;
    StreamWriter writer;
};

}  // namespace asyncio::inline v0
