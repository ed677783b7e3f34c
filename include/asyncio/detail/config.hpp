// What every other header needs first: which compilers are refused, what is exported from the
// shared library, and the version.
#pragma once

#define ASYNCIO_VERSION_MAJOR 0
#define ASYNCIO_VERSION_MINOR 1
#define ASYNCIO_VERSION_PATCH 0

// GCC 12.1 and 12.2 destroy temporaries of a co_await expression twice and skip the body of
// coroutines that begin with `if (co_await ...)`. The faults sit in the user's own frames, so no
// library can work around them; a refused compiler is better than a silent double free.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12 && __GNUC_MINOR__ < 3
#error "asyncio: GCC 12.1 and 12.2 miscompile coroutines (double frees); use clang 16 or newer, \
or GCC 13 or newer"
#endif

#if !defined(__cpp_impl_coroutine) || __cplusplus < 202002L
#error "asyncio: C++20 with coroutines is required (-std=c++20)"
#endif
#if !defined(__cpp_exceptions) || !defined(__cpp_rtti)
#error "asyncio: exceptions and RTTI are required; cancellation is an exception"
#endif

#if defined(ASYNCIO_STATIC)
#define ASYNCIO_API
#else
#define ASYNCIO_API __attribute__((visibility("default")))
#endif

// Internal consistency, checked in development and sanitizer builds only.
#if defined(ASYNCIO_ASSERTIONS)
#define ASYNCIO_ASSERT(condition) \
    ((condition) ? void() : ::asyncio::detail::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define ASYNCIO_ASSERT(condition) void()
#endif

namespace asyncio::inline v0 {
namespace detail {

[[noreturn]] ASYNCIO_API void assertion_failed(const char* condition, const char* file, int line);

}  // namespace detail
}  // namespace asyncio::inline v0
