// Exceptions that go from one process to another.
#include <asyncio/fs.hpp>
#include <asyncio/process_pool.hpp>
#include <asyncio/workers.hpp>

#include "base/exception_type.hpp"
#include "base/function_name.hpp"
#include "exec/process_worker.hpp"
#include "exec/throw_trace.hpp"

#include <any>
#include <array>
#include <filesystem>
#include <functional>
#include <ios>
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

// ---- errors that have a code

// Whose codes mean the same in both processes.
const std::error_category& known_category(std::size_t index) {
    const std::array<const std::error_category*, 3> known = {
        &std::generic_category(), &std::system_category(), &std::iostream_category()};
    return *known.at(index);
}
constexpr std::size_t known_categories = 3;

struct SystemErrorParts {
    std::size_t category = 0;  // `known_categories` for another one
    int value = 0;
    std::string text{};
    std::string path1{};
    std::string path2{};
};

void remove_suffix(std::string& text, std::string_view suffix) {
    if (text.ends_with(suffix)) {
        text.resize(text.size() - suffix.size());
    }
}

template <class E>
SystemErrorParts parts_of(const E& error) {
    // It has the code's text at its end, and the copy adds it again. That of a class derived from
    // it may have more.
    SystemErrorParts parts{.value = error.code().value(), .text = error.std::system_error::what()};
    while (parts.category < known_categories &&
           error.code().category() != known_category(parts.category)) {
        ++parts.category;
    }
    remove_suffix(parts.text, error.code().message());
    remove_suffix(parts.text, ": ");
    if constexpr (std::is_same_v<E, std::filesystem::filesystem_error>) {
        parts.path1 = error.path1().native();
        parts.path2 = error.path2().native();
    } else if constexpr (std::is_same_v<E, fs::FileError>) {
        parts.path1 = error.path();
        remove_suffix(parts.text, " '" + error.path() + "'");
    }
    return parts;
}

template <class E>
E made_of(const SystemErrorParts& parts) {
    const std::error_code code(parts.value, known_category(parts.category));
    if constexpr (std::is_same_v<E, std::filesystem::filesystem_error>) {
        return !parts.path2.empty()   ? E(parts.text, parts.path1, parts.path2, code)
               : !parts.path1.empty() ? E(parts.text, parts.path1, code)
                                      : E(parts.text, code);
    } else if constexpr (std::is_same_v<E, fs::FileError>) {
        return E(parts.value, parts.text, parts.path1);
    } else if constexpr (std::is_same_v<E, std::system_error>) {
        return parts.text.empty() ? E(code) : E(code, parts.text);
    } else {
        return E(parts.text, code);
    }
}

template <class E>
void write_system_error(const std::exception_ptr& error, Writer& writer) {
    try {
        std::rethrow_exception(error);
    } catch (const E& e) {
        writer(parts_of(e));
    }
}

template <class E>
std::exception_ptr read_system_error(Reader& reader, const RemoteError& remote) {
    SystemErrorParts parts;
    reader(parts);
    return parts.category < known_categories ? with_cause(made_of<E>(parts), remote) : nullptr;
}

// ---- which are known

using ByName = std::unordered_map<std::string, ExceptionCodec>;

template <class... E>
void add_simple(ByName& codecs) {
    ((codecs[typeid(E).name()] = {&write_exception<E>, &read_exception<E>}), ...);
}
template <class... E>
void add_with_code(ByName& codecs) {
    ((codecs[typeid(E).name()] = {&write_system_error<E>, &read_system_error<E>}), ...);
}

struct Codecs {
    Codecs() {
        add_simple<std::runtime_error, std::logic_error, std::invalid_argument, std::domain_error,
                   std::length_error, std::out_of_range, std::range_error, std::overflow_error,
                   std::underflow_error, std::exception, std::bad_exception, std::bad_alloc,
                   std::bad_array_new_length, std::bad_cast, std::bad_any_cast, std::bad_typeid,
                   std::bad_function_call, std::bad_weak_ptr, std::bad_optional_access,
                   std::bad_variant_access>(by_name);
        add_simple<Error, RuntimeError, ValueError, TypeError, InvalidStateError, TimeoutError,
                   BrokenBarrierError, QueueEmpty, QueueFull, QueueShutDown,
                   SendfileNotAvailableError, DeadlockError, DecodeError, BrokenThreadPool,
                   BrokenProcessPool, BrokenWorker>(by_name);
        add_with_code<std::system_error, std::ios_base::failure, std::filesystem::filesystem_error,
                      fs::FileError>(by_name);
        // What the streams of libstdc++ throw; nobody can name the type.
        by_name["St13__ios_failure"] = by_name[typeid(std::ios_base::failure).name()];
    }

    std::mutex mutex;
    ByName by_name;  // the mangled one, which is the same in both processes
};

Codecs& codecs() {
    static auto* const owned = new Codecs;  // exceptions come until the very end
    return *owned;
}

const ExceptionCodec* find_codec(const std::string& name) {
    const std::lock_guard lock(codecs().mutex);
    const auto found = codecs().by_name.find(name);
    return found != codecs().by_name.end() ? &found->second : nullptr;
}

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        const char* const text = e.what();
        return text != nullptr ? text : "";
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
    const std::string name = mangled_type_name(error);
    // Demangled here: a short name can stand for gigabytes, and the other side trusts nothing.
    const std::string demangled = demangle(name.c_str());
    const std::string text = text_of(error);
    const std::size_t start = writer.size();
    if (const ExceptionCodec* const codec = find_codec(name)) {
        try {
            writer(name, demangled, text, where);
            codec->write(error, writer);
            return;
        } catch (...) {
            writer.rewind(start);
        }
    }
    // Without its contents it is one of a type that nobody knows, though the other side may.
    writer(std::string(), demangled, text, where);
}

void write_bad_alloc(Writer& writer) {
    // Each is short enough to lie in the string itself.
    writer(std::string(typeid(std::bad_alloc).name()), std::string("std::bad_alloc"),
           std::string("std::bad_alloc"), std::string("a process"));
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
