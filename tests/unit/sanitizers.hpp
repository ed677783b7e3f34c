// What this program is compiled with.
#pragma once

#if defined(__has_feature)
#define ASYNCIO_TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define ASYNCIO_TEST_HAS_FEATURE(feature) 0
#endif

// Throwing takes fifteen times as long under it.
#if defined(__SANITIZE_THREAD__) || ASYNCIO_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool built_with_tsan = true;
#else
inline constexpr bool built_with_tsan = false;
#endif

// It keeps memory of its own beside the program's.
#if defined(__SANITIZE_ADDRESS__) || ASYNCIO_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool built_with_asan = true;
#else
inline constexpr bool built_with_asan = false;
#endif

// It opens descriptors to look at objects, and where there are none left it reports faults.
inline constexpr bool built_with_ubsan =
    ASYNCIO_TEST_HAS_FEATURE(undefined_behavior_sanitizer) != 0;
