// The exceptions of asyncio, with Python's names. What Python derives from BaseException and not
// from Exception does not derive from std::exception here, so `catch (const std::exception&)`
// never swallows a cancellation.
#pragma once

#include <asyncio/detail/config.hpp>

#include <any>
#include <cstddef>
#include <exception>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace asyncio::inline v0 {

/// Base of the errors that asyncio raises, as Python's Exception.
class ASYNCIO_API Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
    ~Error() override;

    /// What led to this error (Python's `__cause__`), or null.
    const std::exception_ptr& cause() const noexcept { return cause_; }
    void set_cause(std::exception_ptr cause) noexcept { cause_ = std::move(cause); }

private:
    std::exception_ptr cause_;
};

/// The API was used in a way that cannot work; the text says what to do instead.
class ASYNCIO_API RuntimeError : public Error {
public:
    using Error::Error;
    ~RuntimeError() override;
};

/// An argument has a value that is not allowed.
class ASYNCIO_API ValueError : public Error {
public:
    using Error::Error;
    ~ValueError() override;
};

/// An argument has a kind that is not allowed, where the compiler could not tell.
class ASYNCIO_API TypeError : public Error {
public:
    using Error::Error;
    ~TypeError() override;
};

/// A result was set twice, or asked for before it was there.
class ASYNCIO_API InvalidStateError : public Error {
public:
    using Error::Error;
    ~InvalidStateError() override;
};

/// A deadline has passed.
class ASYNCIO_API TimeoutError : public Error {
public:
    TimeoutError() : Error("timed out") {}
    using Error::Error;
    ~TimeoutError() override;
};

/// The barrier was aborted, or reset while the task waited.
class ASYNCIO_API BrokenBarrierError : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~BrokenBarrierError() override;
};

/// `get_nowait` of an empty queue.
class ASYNCIO_API QueueEmpty : public Error {
public:
    using Error::Error;
    ~QueueEmpty() override;
};

/// `put_nowait` into a full queue.
class ASYNCIO_API QueueFull : public Error {
public:
    using Error::Error;
    ~QueueFull() override;
};

/// The queue was shut down.
class ASYNCIO_API QueueShutDown : public Error {
public:
    using Error::Error;
    ~QueueShutDown() override;
};

/// The stream ended before as much was there as was asked for. Python: an EOFError.
class ASYNCIO_API IncompleteReadError : public Error {
public:
    /// `expected`: how many bytes were asked for; without a value, up to a separator.
    explicit IncompleteReadError(std::string partial, std::optional<std::size_t> expected);
    ~IncompleteReadError() override;

    /// What was there; it is no longer in the stream.
    const std::string& partial() const noexcept { return partial_; }
    std::optional<std::size_t> expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::optional<std::size_t> expected_;
};

/// The separator was not found within the limit of the stream.
class ASYNCIO_API LimitOverrunError : public Error {
public:
    LimitOverrunError(const std::string& what, std::size_t consumed)
        : Error(what), consumed_(consumed) {}
    ~LimitOverrunError() override;

    /// How many bytes certainly do not hold the separator; they are still in the stream.
    std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

/// The kernel cannot send the file, and `sendfile` may not send it otherwise.
class ASYNCIO_API SendfileNotAvailableError : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~SendfileNotAvailableError() override;
};

/// Nothing is left that could wake the program: raised on a virtual clock instead of blocking for
/// ever; the text lists what every task waits for.
class ASYNCIO_API DeadlockError : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
    ~DeadlockError() override;
};

/// What `cancel(message)` was given: nothing, a text, or any other copyable value.
///
/// Cost: one pointer; no message costs no allocation. Thread safety: copies may be shared.
class ASYNCIO_API CancelMessage {
public:
    CancelMessage() noexcept = default;
    CancelMessage(std::string text);       // NOLINT(google-explicit-constructor)
    CancelMessage(std::string_view text);  // NOLINT(google-explicit-constructor)
    CancelMessage(const char* text);       // NOLINT(google-explicit-constructor)
    /// Any payload; it comes out of the CancelledError unchanged.
    static CancelMessage of(std::any payload);

    CancelMessage(const CancelMessage& other) noexcept;
    CancelMessage(CancelMessage&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    CancelMessage& operator=(CancelMessage other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    ~CancelMessage() {
        if (data_ != nullptr) [[unlikely]] {
            release();
        }
    }

    /// True if a message was given.
    explicit operator bool() const noexcept { return data_ != nullptr; }
    /// The text, or "" if there is none or the payload is no text.
    const std::string& text() const noexcept;
    /// The payload: a std::string for a text; empty if there is none.
    const std::any& payload() const noexcept;

private:
    struct Data;
    void release() noexcept;
    Data* data_ = nullptr;
};

/// Thrown at the `co_await` where a task is cancelled. Not a std::exception: whoever catches it
/// must mean to.
class ASYNCIO_API CancelledError {
public:
    CancelledError() = default;
    explicit CancelledError(CancelMessage message,
                            std::source_location where = std::source_location())
        : message_(std::move(message)), where_(where) {}

    /// The text passed to `cancel()`, or "".
    const std::string& message() const noexcept { return message_.text(); }
    const CancelMessage& cancel_message() const noexcept { return message_; }
    /// The `co_await` at which the task was interrupted; line 0 if unknown.
    const std::source_location& where() const noexcept { return where_; }

private:
    CancelMessage message_;
    std::source_location where_;
};

/// Thrown at the `co_yield` where an AsyncGenerator is closed. Not a std::exception: whoever
/// catches it cleans up and lets the generator end.
class ASYNCIO_API GeneratorExit{};

/// Base of what leaves `run_forever` at once instead of being reported: not a std::exception.
class ASYNCIO_API LoopBreak {
public:
    virtual ~LoopBreak();
    virtual const char* what() const noexcept = 0;
};

/// The user pressed Ctrl-C.
class ASYNCIO_API KeyboardInterrupt : public LoopBreak {
public:
    ~KeyboardInterrupt() override;
    const char* what() const noexcept override;
};

/// The program shall end with this exit code.
class ASYNCIO_API SystemExit : public LoopBreak {
public:
    explicit SystemExit(int code = 0) noexcept : code_(code) {}
    ~SystemExit() override;
    const char* what() const noexcept override;
    int code() const noexcept { return code_; }

private:
    int code_;
};

/// "E1: text": the dynamic type of any exception, demangled, without namespaces of this library,
/// and what it says. For logs; never throws except for lack of memory.
ASYNCIO_API std::string describe_exception(const std::exception_ptr& exception);

}  // namespace asyncio::inline v0
