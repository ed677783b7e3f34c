// Exceptions that come from other processes.
#pragma once

#include <asyncio/exceptions.hpp>
#include <asyncio/serialize.hpp>

#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace asyncio::inline v0 {

/// What was thrown in another process: `what()` has its type, its text, and where that was. The
/// error itself, if its type is none that is registered with `register_exception`. Else it is the
/// `cause()` of an asyncio::Error, and what others are nested with: `std::rethrow_if_nested(error)`
/// throws it.
class ASYNCIO_API RemoteError : public Error {
public:
    RemoteError(std::string type_name, std::string text, std::string where);
    ~RemoteError() override;

    /// The exception's type, demangled.
    const std::string& type_name() const noexcept { return type_name_; }
    /// What its `what()` was; empty if it had none.
    const std::string& text() const noexcept { return text_; }
    /// The functions from the one that threw it to the one that was called, and the process:
    /// "read_header, called by load_image, in process 4711". Those that were inlined, and those
    /// of a program without symbols, have no names.
    const std::string& where() const noexcept { return where_; }

private:
    std::string type_name_;
    std::string text_;
    std::string where_;
};

namespace detail {

struct ExceptionCodec {
    void (*write)(const std::exception_ptr& error, Writer& writer);
    // `remote` is its cause. Null for one that cannot be made anew.
    std::exception_ptr (*read)(Reader& reader, const RemoteError& remote);
};
ASYNCIO_API void register_codec(const std::type_info& type, const ExceptionCodec& codec);

template <class E>
void write_exception(const std::exception_ptr& error, Writer& writer) {
    try {
        std::rethrow_exception(error);
    } catch (const E& e) {
        if constexpr (CustomSerialized<E>) {
            serialize(writer, const_cast<E&>(e));
        } else if constexpr (std::is_constructible_v<E, std::string>) {
            writer(std::string(e.what()));
        }
    }
}
template <class E>
std::exception_ptr with_cause(E error, const RemoteError& remote) {
    if constexpr (std::is_base_of_v<Error, E>) {
        error.set_cause(std::make_exception_ptr(remote));
        return std::make_exception_ptr(std::move(error));
    } else {
        try {
            try {
                throw remote;
            } catch (const RemoteError&) {
                std::throw_with_nested(std::move(error));
            }
        } catch (...) {
            return std::current_exception();
        }
    }
}
template <class E>
std::exception_ptr read_exception(Reader& reader, const RemoteError& remote) {
    if constexpr (CustomSerialized<E>) {
        E error;
        serialize(reader, error);
        return with_cause(std::move(error), remote);
    } else if constexpr (std::is_constructible_v<E, std::string>) {
        std::string text;
        reader(text);
        return with_cause(E(std::move(text)), remote);
    } else {
        return with_cause(E(), remote);
    }
}

}  // namespace detail

/// Lets exceptions of this very type keep it on their way out of another process: by a function
/// `serialize`, else by a constructor that takes `what()`, else without any contents. Those of the
/// standard library and of asyncio that are made so are registered, and std::system_error,
/// std::filesystem::filesystem_error, std::ios_base::failure and fs::FileError with the system's
/// errors. What an exception is nested with, or has as its cause, is left behind.
///
///     const bool registered = asyncio::register_exception<NoSuchImage>();  // at namespace scope
///
/// Must be called before the processes' server starts. Returns true. Thread safety: any thread.
template <class E>
bool register_exception() {
    static_assert(detail::CustomSerialized<E> || std::is_constructible_v<E, std::string> ||
                      std::is_default_constructible_v<E>,
                  "an exception is made anew from its text: give it a constructor that takes a "
                  "std::string, or a function serialize(archive, error)");
    detail::register_codec(typeid(E), {&detail::write_exception<E>, &detail::read_exception<E>});
    return true;
}

}  // namespace asyncio::inline v0
