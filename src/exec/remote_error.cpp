// Exceptions that go from one process to another.
#include <asyncio/process_pool.hpp>

#include "base/exception_type.hpp"
#include "base/function_name.hpp"
#include "exec/process_worker.hpp"
#include "exec/throw_trace.hpp"

#include <mutex>
#include <new>
#include <system_error>
#include <unordered_map>
#include <variant>

namespace asyncio::inline v0 {

DecodeError::~DecodeError() = default;
BrokenProcessPool::~BrokenProcessPool() = default;

RemoteError::RemoteError(std::string type_name, std::string text, std::string where)
    : Error(type_name + (text.empty() ? "" : ": ") + text + " (thrown by " + where + ")"),
      type_name_(std::move(type_name)), text_(std::move(text)), where_(std::move(where)) {}
RemoteError::~RemoteError() = default;

void Reader::refuse(const char* what) {
    throw DecodeError(std::string("the bytes from another process are wrong: ") + what);
}

namespace detail {

namespace {

void write_system_error(const std::exception_ptr& error, Writer& writer) {
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error& e) {
        // what() has the code's text at its end, and the copy adds it again.
        std::string text = e.what();
        const std::string end = e.code().message();
        if (text.ends_with(end)) {
            text.resize(text.size() - end.size());
            if (text.ends_with(": ")) {
                text.resize(text.size() - 2);
            }
        }
        const bool is_system = e.code().category() == std::system_category();
        const bool is_known = is_system || e.code().category() == std::generic_category();
        writer(is_known, is_system, e.code().value(), text);
    }
}

std::exception_ptr read_system_error(Reader& reader, const RemoteError& remote) {
    bool is_known = false;
    bool is_system = false;
    int value = 0;
    std::string text;
    reader(is_known, is_system, value, text);
    if (!is_known) {
        return nullptr;
    }
    const std::error_code code(value, is_system ? std::system_category() : std::generic_category());
    return with_cause(text.empty() ? std::system_error(code) : std::system_error(code, text),
                      remote);
}

template <class... E>
std::unordered_map<std::string, ExceptionCodec> codecs_of() {
    return {{typeid(E).name(), ExceptionCodec{&write_exception<E>, &read_exception<E>}}...};
}

struct Codecs {
    std::mutex mutex;
    // By the mangled name, which is the same in both processes.
    std::unordered_map<std::string, ExceptionCodec> by_name =
        codecs_of<std::runtime_error, std::logic_error, std::invalid_argument, std::domain_error,
                  std::length_error, std::out_of_range, std::range_error, std::overflow_error,
                  std::underflow_error, std::bad_alloc, std::bad_cast, std::bad_optional_access,
                  std::bad_variant_access, Error, RuntimeError, ValueError, TypeError,
                  InvalidStateError, TimeoutError, QueueEmpty, QueueFull, QueueShutDown,
                  DecodeError, BrokenProcessPool>();
};

Codecs& codecs() {
    static auto* const owned = [] {
        auto* const made = new Codecs;  // exceptions come until the very end
        made->by_name[typeid(std::system_error).name()] = {&write_system_error, &read_system_error};
        return made;
    }();
    return *owned;
}

const ExceptionCodec* find_codec(const std::string& name) {
    const std::lock_guard lock(codecs().mutex);
    const auto found = codecs().by_name.find(name);
    return found != codecs().by_name.end() ? &found->second : nullptr;
}

std::string mangled_type(const std::exception_ptr& error) {
    const std::type_info* const type = error.__cxa_exception_type();
    return type != nullptr ? type->name() : "";
}

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "";
    }
}

}  // namespace

void register_codec(const std::type_info& type, const ExceptionCodec& codec) {
    const std::lock_guard lock(codecs().mutex);
    codecs().by_name[type.name()] = codec;
}

std::string thrown_by(const RemoteFunction& function) {
    const std::string called = function_name(function.name);
    std::string text;
    for (const std::string& name : throw_trace(reinterpret_cast<const void*>(function.call))) {
        if (name != called) {
            text += name + ", called by ";
        }
    }
    return text + called;
}

void write_error(Writer& writer, const std::exception_ptr& error, const std::string& where) {
    const std::string name = mangled_type(error);
    // Demangled here: a short name can stand for gigabytes, and the other side trusts nothing.
    const std::string demangled = demangle(name.c_str());
    const std::string text = text_of(error);
    const std::size_t start = writer.size();
    writer(name, demangled, text, where);
    if (const ExceptionCodec* const codec = find_codec(name)) {
        try {
            codec->write(error, writer);
        } catch (...) {
            // Without its contents it is one of a type that nobody knows.
            writer.rewind(start);
            writer(std::string(), demangled, text, where);
        }
    }
}

std::exception_ptr read_error(Reader& reader) {
    std::string name;
    std::string demangled;
    std::string text;
    std::string where;
    reader(name, demangled, text, where);
    const RemoteError remote(demangled, text, where);
    const ExceptionCodec* const codec = find_codec(name);
    if (codec == nullptr) {
        return std::make_exception_ptr(remote);
    }
    const std::exception_ptr error = codec->read(reader, remote);
    reader.finish();
    return error != nullptr ? error : std::make_exception_ptr(remote);
}

}  // namespace detail
}  // namespace asyncio::inline v0
