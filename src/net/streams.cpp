// StreamReader and StreamWriter. Follow CPython's asyncio/streams.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/log.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/streams.hpp>

#include "net/receive_buffer.hpp"
#include "net/stream_protocol.hpp"
#include "net/upgrade.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// What is read as a whole leaves the buffer without a copy if it is at least this long: below, a
// copy costs less than the memory for what comes next.
constexpr std::size_t moved_size_min = 4096;
// What is received goes on in the string it was received in if it is at least this long: below, too
// much of the string's memory would be empty.
constexpr std::size_t adopted_size_min = receive_string_size / 2;
// An empty buffer keeps no more memory than this: there may be thousands of idle connections.
constexpr std::size_t kept_capacity_max = std::size_t{16} * 1024;
// Sizes above are negative numbers of a caller who thinks of Python.
constexpr std::size_t size_max = PTRDIFF_MAX;

[[noreturn]] void throw_lost() {
    throw std::system_error(std::make_error_code(std::errc::connection_reset), "Connection lost");
}

}  // namespace

std::size_t checked_limit(std::size_t limit) {
    if (limit == 0 || limit > size_max) {
        throw ValueError("Limit cannot be <= 0");
    }
    return limit;
}

// ---- the buffer

void ReadBuffer::append(std::string_view data) {
    // Moving the rest to the front now and then keeps appending and reading linear.
    if (begin_ > bytes_.size() / 2) {
        bytes_.erase(0, std::exchange(begin_, 0));
    }
    bytes_.append(data);
}

std::string ReadBuffer::take(std::size_t size) {
    if (size >= bytes_.size() && begin_ == 0 && bytes_.size() >= moved_size_min) {
        return std::exchange(bytes_, {});
    }
    std::string taken(view().substr(0, size));
    drop(taken.size());
    return taken;
}

void ReadBuffer::drop(std::size_t size) noexcept {
    begin_ += std::min(size, this->size());
    if (begin_ == bytes_.size()) {
        begin_ = 0;
        bytes_.clear();
        if (bytes_.capacity() > kept_capacity_max) {
            reuse(std::exchange(bytes_, {}));
        }
    }
}

// ---- reading

IoLine::Wait ReaderState::arrival(const char* function) {
    if (!line.empty()) {
        throw RuntimeError(std::string(function) +
                           "() called while another coroutine is already waiting for incoming "
                           "data: let one task read, or guard the stream with a Lock");
    }
    // A reader that wants more than the limit would wait for ever.
    if (paused) {
        paused = false;
        transport->resume_reading();
    }
    return line.wait();
}

void ReaderState::throw_if_failed() const {
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

void ReaderState::feed(std::string_view data) {
    if (data.empty()) {
        return;
    }
    buffer.append(data);
    grown();
}

void ReaderState::grown() {
    room = nullptr;  // whatever comes now is behind these bytes
    line.wake_all();
    if (transport != nullptr && !paused && buffer.size() > 2 * limit) {
        paused = true;
        transport->pause_reading();
    }
}

std::span<std::byte> ReaderState::place() const {
    if (room != nullptr) {
        return room->bytes;
    }
    return buffer.empty() ? std::as_writable_bytes(std::span(receive_string())) : receive_buffer();
}

void ReaderState::received(std::size_t count) {
    if (room != nullptr) {
        std::exchange(room, nullptr)->filled = count;
        line.wake_all();
        return;
    }
    if (!buffer.empty()) {
        feed({reinterpret_cast<const char*>(receive_buffer().data()), count});
        return;
    }
    std::string& string = receive_string();
    if (count < adopted_size_min) {
        feed(std::string_view(string).substr(0, count));
        return;
    }
    string.resize(count);
    buffer.adopt(std::move(string));
    grown();
}

void ReaderState::feed_eof() noexcept {
    eof = true;
    line.wake_all();
}

void ReaderState::fail(std::exception_ptr reason) noexcept {
    error = std::move(reason);
    line.wake_all();
}

std::string ReaderState::take(std::size_t size) {
    std::string taken = buffer.take(size);
    resume_if_read();
    return taken;
}

void ReaderState::give_back(std::string_view bytes) {
    buffer.restore(bytes);
    room = nullptr;  // as in feed
    line.wake_all();
}

void ReaderState::resume_if_read() noexcept {
    if (paused && buffer.size() <= limit) {
        paused = false;
        transport->resume_reading();
    }
}

namespace {

using State = std::shared_ptr<ReaderState>;

Coro<std::string> read_some(State state, std::size_t size) {
    state->throw_if_failed();
    if (size == 0) {
        co_return std::string();
    }
    if (state->buffer.empty() && !state->eof) {
        co_await state->arrival("read");
        state->throw_if_failed();
    }
    co_return state->take(size);
}

// A task that waits with room of its own: what arrives next is received there, without a copy. If
// the task is interrupted after that, the bytes go to the buffer.
class Room : ReadRoom {
public:
    Room(ReaderState& reader, std::span<std::byte> room) noexcept
        : ReadRoom{room}, reader_(reader) {
        reader_.room = this;
    }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    ~Room() {
        if (reader_.room == this) {  // else it is of the task that reads next
            reader_.room = nullptr;
        }
        if (filled > 0) {
            reader_.give_back({reinterpret_cast<const char*>(bytes.data()), filled});
        }
    }
    std::size_t take() noexcept { return std::exchange(filled, 0); }

private:
    ReaderState& reader_;
};

Coro<std::size_t> read_into(State state, std::span<std::byte> room) {
    state->throw_if_failed();
    if (room.empty()) {
        co_return 0;
    }
    if (state->buffer.empty() && !state->eof) {
        IoLine::Wait arrival = state->arrival("read_into");
        Room waiting(*state, room);
        co_await arrival;
        state->throw_if_failed();
        if (const std::size_t count = waiting.take(); count > 0) {
            co_return count;
        }
    }
    const std::size_t count = std::min(room.size(), state->buffer.size());
    std::memcpy(room.data(), state->buffer.view().data(), count);
    state->buffer.drop(count);
    state->resume_if_read();
    co_return count;
}

Coro<std::string> read_all(State state) {
    // What was taken out of the buffer so that the peer can go on; a read that is interrupted puts
    // it back.
    struct Taken {
        explicit Taken(ReaderState& owner) noexcept : owner(owner) {}
        Taken(const Taken&) = delete;
        Taken& operator=(const Taken&) = delete;
        ~Taken() {
            if (!bytes.empty()) {
                owner.give_back(bytes);
            }
        }
        ReaderState& owner;
        std::string bytes;
    } taken(*state);
    while (true) {
        state->throw_if_failed();
        if (state->buffer.empty()) {
            if (state->eof) {
                co_return std::exchange(taken.bytes, {});
            }
            co_await state->arrival("read");
            continue;
        }
        taken.bytes += state->take_all();
    }
}

Coro<std::string> read_exactly(State state, std::size_t size) {
    if (size > size_max) {
        throw ValueError("readexactly size can not be less than zero");
    }
    state->throw_if_failed();
    while (state->buffer.size() < size) {
        if (state->eof) {
            throw IncompleteReadError(state->take_all(), size);
        }
        co_await state->arrival("readexactly");
        state->throw_if_failed();
    }
    co_return state->take(size);
}

// Where the first separator to end begins and ends, of two that end there the shorter; npos if
// there is none.
struct Match {
    std::size_t begin = std::string_view::npos;
    std::size_t end = std::string_view::npos;
};

Match first_to_end(std::string_view text, const Separators& separators, std::size_t from) {
    Match match;
    for (const std::string& separator : separators.texts()) {
        const std::size_t begin = text.find(separator, from);
        const std::size_t end = begin + separator.size();
        if (begin != std::string_view::npos &&
            (end < match.end || (end == match.end && begin > match.begin))) {
            match = {begin, end};
        }
    }
    return match;
}

Coro<std::string> read_until(State state, Separators separators, const char* function) {
    if (separators.texts().empty()) {
        throw ValueError("Separator should contain at least one element");
    }
    std::size_t longest = 0;
    for (const std::string& separator : separators.texts()) {
        if (separator.empty()) {
            throw ValueError("Separator should be at least one-byte string");
        }
        longest = std::max(longest, separator.size());
    }
    state->throw_if_failed();
    std::size_t searched = 0;  // no separator begins before
    while (true) {
        const std::size_t size = state->buffer.size();
        const Match match = first_to_end(state->buffer.view(), separators, searched);
        if (match.end != std::string_view::npos) {
            if (match.begin > state->limit) {
                throw LimitOverrunError("Separator is found, but chunk is longer than limit",
                                        match.begin);
            }
            co_return state->take(match.end);
        }
        searched = std::max(searched, size + 1 > longest ? size + 1 - longest : 0);
        if (searched > state->limit) {
            throw LimitOverrunError("Separator is not found, and chunk exceed the limit", searched);
        }
        if (state->eof) {
            throw IncompleteReadError(state->take_all(), std::nullopt);
        }
        co_await state->arrival(function);
        state->throw_if_failed();
    }
}

Coro<std::string> read_line(State state) {
    const std::string separator = "\n";
    try {
        co_return co_await read_until(state, separator, "readline");
    } catch (IncompleteReadError& error) {
        co_return error.partial();
    } catch (const LimitOverrunError& error) {
        if (state->buffer.view().substr(error.consumed()).starts_with(separator)) {
            state->buffer.drop(error.consumed() + separator.size());
        } else {
            state->buffer.drop(state->buffer.size());
        }
        state->resume_if_read();
        throw ValueError(error.what());
    }
}

AsyncGenerator<std::string> each_line(State state) {
    while (true) {
        std::string line = co_await read_line(state);
        if (line.empty()) {
            co_return;
        }
        co_yield std::move(line);
    }
}

}  // namespace

// ---- the protocol

StreamReader StreamProtocol::reader() {
    return StreamAccess::reader(std::shared_ptr<ReaderState>(shared_from_this(), &reader_));
}

StreamReader StreamProtocol::closing_reader() {
    return StreamAccess::reader(
        std::shared_ptr<ReaderState>(std::make_shared<ReaderEnd>(shared_from_this()), &reader_));
}

StreamWriter StreamProtocol::writer() {
    return StreamAccess::writer(std::make_shared<WriterEnd>(shared_from_this()));
}

void StreamProtocol::connection_made(std::shared_ptr<Transport> transport) {
    transport_ = std::move(transport);
    reader_.transport = transport_;
    if (connected_) {
        const Connected connected = std::exchange(connected_, nullptr);
        connected(streams());
    }
}

std::span<std::byte> StreamProtocol::get_buffer(std::ptrdiff_t /*size_hint*/) {
    return reader_.place();
}

void StreamProtocol::buffer_updated(std::size_t count) { reader_.received(count); }

bool StreamProtocol::eof_received() {
    reader_.feed_eof();
    return true;
}

void StreamProtocol::connection_lost(const std::exception_ptr& error) {
    lost_ = true;
    error_ = error;
    if (error_ == nullptr) {
        reader_.feed_eof();
    } else {
        reader_.fail(error_);
    }
    closes_.wake_all();
    drains_.wake_all();
}

void StreamProtocol::resume_writing() {
    paused_ = false;
    drains_.wake_all();
}

Coro<void> StreamProtocol::drain(std::shared_ptr<StreamProtocol> self) {
    self->reader_.throw_if_failed();
    if (self->transport_->is_closing()) {
        // Lets connection_lost come, so that a task that only writes hears of the end.
        co_await sleep(Duration::zero());
    }
    if (self->lost_) {
        throw_lost();
    }
    while (self->paused_ && !self->lost_) {
        co_await self->drains_.wait();
    }
    if (self->error_ != nullptr) {
        std::rethrow_exception(self->error_);
    }
}

Coro<void> StreamProtocol::wait_closed(std::shared_ptr<StreamProtocol> self) {
    while (!self->lost_) {
        co_await self->closes_.wait();
    }
    if (self->error_ != nullptr) {
        std::rethrow_exception(self->error_);
    }
}

Coro<void> StreamProtocol::start_tls(std::shared_ptr<StreamProtocol> self,
                                     std::shared_ptr<const SSLContext> ssl,
                                     StartTlsOptions options) {
    const bool server_side = options.server_side || self->server_side_;
    std::unique_ptr<SSLObject> object = wrap(*ssl, server_side, options.server_hostname);
    co_await drain(self);
    // What has arrived already is the beginning of the peer's handshake.
    self->reader_.paused = false;
    self->transport_ = co_await upgrade(
        self->transport_, self, std::move(object),
        {.handshake = options.ssl_handshake_timeout, .shutdown = options.ssl_shutdown_timeout},
        self->reader_.buffer.take_all());
    self->reader_.transport = self->transport_;
}

namespace {

// Closes what nobody has a handle of any more.
void close_unattended(Transport& transport, const char* warning) noexcept {
    if (transport.is_closing()) {
        return;
    }
    try {
        if (const EventLoop* const loop = get_running_loop_or_null();
            warning != nullptr && loop != nullptr && loop->get_debug()) {
            log(LogLevel::warning, warning);
        }
        transport.close();
    } catch (...) {
        log(LogLevel::error, "out of memory while a stream was closed");
    }
}

}  // namespace

ReaderEnd::~ReaderEnd() { close_unattended(protocol->transport(), nullptr); }

WriterEnd::~WriterEnd() {
    close_unattended(protocol->transport(),
                     "ResourceWarning: a StreamWriter was not closed: call close(), and "
                     "wait_closed() to hear whether everything was sent");
}

}  // namespace detail

// ---- the handles

StreamReader::StreamReader(std::size_t limit)
    : state_(std::make_shared<detail::ReaderState>(detail::checked_limit(limit))) {}

Coro<std::string> StreamReader::read() { return detail::read_all(state_); }

Coro<std::string> StreamReader::read(std::size_t size_max) {
    return size_max > detail::size_max ? detail::read_all(state_)
                                       : detail::read_some(state_, size_max);
}

Coro<std::size_t> StreamReader::read_into(std::span<std::byte> buffer) {
    return detail::read_into(state_, buffer);
}

Coro<std::string> StreamReader::readexactly(std::size_t size) {
    return detail::read_exactly(state_, size);
}

Coro<std::string> StreamReader::readline() { return detail::read_line(state_); }

Coro<std::string> StreamReader::readuntil(Separators separators) {
    return detail::read_until(state_, std::move(separators), "readuntil");
}

AsyncGenerator<std::string> StreamReader::lines() const { return detail::each_line(state_); }

bool StreamReader::at_eof() const noexcept { return state_->eof && state_->buffer.empty(); }

void StreamReader::feed_data(std::string_view data) {
    if (state_->eof) {
        throw RuntimeError("feed_data after feed_eof");
    }
    state_->feed(data);
}

void StreamReader::feed_eof() noexcept { state_->feed_eof(); }

void StreamReader::set_exception(std::exception_ptr error) { state_->fail(std::move(error)); }

const std::exception_ptr& StreamReader::exception() const noexcept { return state_->error; }

void StreamReader::set_transport(std::shared_ptr<Transport> transport) {
    if (state_->transport != nullptr) {
        throw RuntimeError("Transport already set");
    }
    state_->transport = std::move(transport);
}

Transport& StreamWriter::transport() const { return end_->protocol->transport(); }

Coro<void> StreamWriter::drain() { return detail::StreamProtocol::drain(end_->protocol); }

Coro<void> StreamWriter::start_tls(std::shared_ptr<const SSLContext> ssl, StartTlsOptions options) {
    return detail::StreamProtocol::start_tls(end_->protocol, std::move(ssl), std::move(options));
}

Coro<void> StreamWriter::wait_closed() {
    return detail::StreamProtocol::wait_closed(end_->protocol);
}

}  // namespace asyncio::inline v0
