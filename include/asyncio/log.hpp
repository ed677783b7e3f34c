// Where warnings and reports go. Standard error by default, as Python's "asyncio" logger.
#pragma once

#include <asyncio/detail/config.hpp>

#include <functional>
#include <string_view>

namespace asyncio::inline v0 {

enum class LogLevel { debug, info, warning, error };

using LogSink = std::function<void(LogLevel level, std::string_view text)>;

/// Replaces the sink of the process; an empty function restores standard error. Returns the
/// previous one. Thread safety: any thread; the sink may be called from any thread.
ASYNCIO_API LogSink set_log_sink(LogSink sink);

namespace detail {

// Never throws: a sink that throws is ignored.
ASYNCIO_API void log(LogLevel level, std::string_view text) noexcept;

}  // namespace detail
}  // namespace asyncio::inline v0
