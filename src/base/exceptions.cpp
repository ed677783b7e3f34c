// The exception classes' key functions, and how an exception is described in a report.
#include <asyncio/exception_group.hpp>
#include <asyncio/exceptions.hpp>

#include "base/exception_type.hpp"

#include <cxxabi.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <typeinfo>

namespace asyncio::inline v0 {

Error::~Error() = default;
RuntimeError::~RuntimeError() = default;
ValueError::~ValueError() = default;
TypeError::~TypeError() = default;
InvalidStateError::~InvalidStateError() = default;
TimeoutError::~TimeoutError() = default;
BrokenBarrierError::~BrokenBarrierError() = default;
QueueEmpty::~QueueEmpty() = default;
QueueFull::~QueueFull() = default;
QueueShutDown::~QueueShutDown() = default;
LimitOverrunError::~LimitOverrunError() = default;
SendfileNotAvailableError::~SendfileNotAvailableError() = default;
DeadlockError::~DeadlockError() = default;
IncompleteReadError::~IncompleteReadError() = default;
LoopBreak::~LoopBreak() = default;
KeyboardInterrupt::~KeyboardInterrupt() = default;
SystemExit::~SystemExit() = default;

IncompleteReadError::IncompleteReadError(std::string partial, std::optional<std::size_t> expected)
    : Error(std::to_string(partial.size()) + " bytes read on a total of " +
            (expected ? std::to_string(*expected) : "undefined") + " expected bytes"),
      partial_(std::move(partial)), expected_(expected) {}

const char* KeyboardInterrupt::what() const noexcept { return "KeyboardInterrupt"; }

const char* SystemExit::what() const noexcept { return "SystemExit"; }

struct CancelMessage::Data {
    explicit Data(std::any value) : payload(std::move(value)) {}
    std::any payload;
    std::atomic<std::uint32_t> refs{1};
};

CancelMessage::CancelMessage(std::string text) : data_(new Data(std::any(std::move(text)))) {}
CancelMessage::CancelMessage(std::string_view text) : CancelMessage(std::string(text)) {}
CancelMessage::CancelMessage(const char* text) : CancelMessage(std::string(text)) {}

CancelMessage CancelMessage::of(std::any payload) {
    CancelMessage message;
    message.data_ = new Data(std::move(payload));
    return message;
}

CancelMessage::CancelMessage(const CancelMessage& other) noexcept : data_(other.data_) {
    if (data_ != nullptr) {
        data_->refs.fetch_add(1, std::memory_order_relaxed);
    }
}

void CancelMessage::release() noexcept {
    if (data_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete data_;
    }
}

const std::string& CancelMessage::text() const noexcept {
    static const auto* const empty = new std::string;
    const auto* text = data_ == nullptr ? nullptr : std::any_cast<std::string>(&data_->payload);
    return text == nullptr ? *empty : *text;
}

const std::any& CancelMessage::payload() const noexcept {
    static const auto* const empty = new std::any;
    return data_ == nullptr ? *empty : data_->payload;
}

namespace detail {

std::string demangle(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
    std::string text = name ? name.get() : mangled;
    for (const char* const prefix : {"asyncio::v0::", "std::"}) {
        if (text.rfind(prefix, 0) == 0) {
            text.erase(0, std::char_traits<char>::length(prefix));
        }
    }
    return text;
}

std::string mangled_type_name(const std::exception_ptr& exception) {
    const std::type_info* type = exception.__cxa_exception_type();
    const std::string_view name = type == nullptr ? "" : type->name();
    // What std::throw_with_nested throws is of a type around that of the exception.
    constexpr std::string_view nested = "St17_Nested_exceptionI";
    if (name.starts_with(nested) && name.ends_with('E')) {
        return std::string(name.substr(nested.size(), name.size() - nested.size() - 1));
    }
    return std::string(name);
}

std::string exception_type_name(const std::exception_ptr& exception) {
    const std::string name = mangled_type_name(exception);
    return name.empty() ? "unknown" : demangle(name.c_str());
}

ExceptionClass classify(const std::exception_ptr& exception) noexcept {
    const std::type_info* type = exception.__cxa_exception_type();
    if (type != nullptr && *type == typeid(CancelledError)) {
        return ExceptionClass::cancelled;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const CancelledError&) {
        return ExceptionClass::cancelled;
    } catch (const LoopBreak&) {
        return ExceptionClass::loop_break;
    } catch (...) {
        return ExceptionClass::ordinary;
    }
}

}  // namespace detail

std::string describe_exception(const std::exception_ptr& exception) {
    if (!exception) {
        return "no exception";
    }
    std::string text = detail::exception_type_name(exception);
    try {
        std::rethrow_exception(exception);
    } catch (const BaseExceptionGroup& group) {
        text += std::string(": ") + group.what();
        const char* separator = " [";
        for (const std::exception_ptr& member : group.exceptions()) {
            text += separator + describe_exception(member);
            separator = ", ";
        }
        text += "]";
    } catch (const CancelledError& error) {
        if (!error.message().empty()) {
            text += ": " + error.message();
        }
    } catch (const std::exception& error) {
        text += std::string(": ") + error.what();
    } catch (...) {
        return text;
    }
    return text;
}

}  // namespace asyncio::inline v0
