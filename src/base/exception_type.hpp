// Looking at exceptions without knowing their type.
#pragma once

#include <exception>
#include <string>

namespace asyncio::inline v0 {
namespace detail {

// How the scheduler treats an exception that ends a task or callback.
enum class ExceptionClass { ordinary, cancelled, loop_break };

// Cost: constant for a CancelledError, a throw for anything else.
ExceptionClass classify(const std::exception_ptr& exception) noexcept;

// The dynamic type, demangled, without this library's namespace.
std::string exception_type_name(const std::exception_ptr& exception);
std::string demangle(const char* mangled);
// The type's name in programs; empty if it is not one of C++.
std::string mangled_type_name(const std::exception_ptr& exception);

}  // namespace detail
}  // namespace asyncio::inline v0
