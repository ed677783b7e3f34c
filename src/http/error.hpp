// From libcurl's codes to exceptions whose texts help.
#pragma once

#include <asyncio/clock.hpp>

#include <curl/curl.h>

#include <cstdint>
#include <exception>
#include <string>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

/// What is known of a transfer that failed.
struct Failure {
    CURLcode code;
    /// libcurl's own words, or "".
    std::string words;
    /// errno of the failed connect, or 0.
    int os_error;
    std::uint64_t size_max;
    Duration connect_timeout;
};

std::exception_ptr transfer_exception(const std::string& url, const Failure& failure);

/// `error` is that of getaddrinfo.
[[noreturn]] void rethrow_lookup_error(const std::string& url, const std::string& name,
                                       const std::exception_ptr& error);

/// "3 s", "0.25 s".
std::string in_words(Duration duration);

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
