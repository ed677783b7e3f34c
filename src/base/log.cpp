// The log sink of the process.
#include <asyncio/log.hpp>

#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

namespace asyncio::inline v0 {

namespace {

// Never destroyed: reports may come from destructors of static objects.
struct SinkHolder {
    std::mutex mutex;
    std::shared_ptr<const LogSink> sink;
};

SinkHolder& holder() {
    static auto* const instance = new SinkHolder;
    return *instance;
}

}  // namespace

LogSink set_log_sink(LogSink sink) {
    auto replacement = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
    const std::lock_guard lock(holder().mutex);
    std::swap(holder().sink, replacement);
    return replacement ? *replacement : LogSink();
}

namespace detail {

void log(LogLevel level, std::string_view text) noexcept {
    try {
        std::shared_ptr<const LogSink> sink;
        {
            const std::lock_guard lock(holder().mutex);
            sink = holder().sink;
        }
        if (sink) {
            (*sink)(level, text);
            return;
        }
    } catch (...) {  // NOLINT(bugprone-empty-catch)
        // Falls through to standard error: nothing may be lost because a sink is broken.
    }
    std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace detail
}  // namespace asyncio::inline v0
