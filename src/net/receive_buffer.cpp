// The memory that connections of a thread share.
#include "net/receive_buffer.hpp"

#include <asyncio/detail/pool.hpp>

#include <array>
#include <memory>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The kernel copies to the beginning of a page faster than to anywhere else.
struct alignas(4096) ReceiveBuffer {
    std::byte bytes[receive_max];
};

// Nearly as many as one poll finds connections ready: all are filled before the first is read.
constexpr std::size_t spares_max = 128;

struct Spares {
    std::array<std::string, spares_max> strings;
    std::size_t count = 0;
};
thread_local Spares spares;

}  // namespace

std::span<std::byte> receive_buffer() {
    static thread_local const auto buffer = std::make_unique_for_overwrite<ReceiveBuffer>();
    return buffer->bytes;
}

std::string& receive_string() {
    static thread_local std::string string;
    if (string.size() != receive_string_size) {
        if (string.capacity() < receive_string_size && spares.count > 0) {
            string = std::move(spares.strings[--spares.count]);
        }
        string.resize(receive_string_size);
    }
    return string;
}

void reuse(std::string&& used) noexcept {
    // Much larger ones come from elsewhere, and are not to be kept.
    if (used.capacity() >= receive_string_size && used.capacity() <= 2 * receive_string_size &&
        spares.count < spares_max && recycling_allowed()) {
        spares.strings[spares.count++] = std::move(used);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
