// What a failed ASYNCIO_ASSERT does: say where, and stop before the damage spreads.
#include <asyncio/detail/config.hpp>

#include <cstdio>
#include <cstdlib>

namespace asyncio::inline v0 {
namespace detail {

void assertion_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "asyncio: internal error: %s does not hold at %s:%d\n", condition, file,
                 line);
    std::abort();
}

}  // namespace detail
}  // namespace asyncio::inline v0
