// The parts of transports and protocols that are the same for all.
#include <asyncio/exceptions.hpp>
#include <asyncio/transports.hpp>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace asyncio::inline v0 {

BaseProtocol::~BaseProtocol() = default;
Protocol::~Protocol() = default;
BufferedProtocol::~BufferedProtocol() = default;
DatagramProtocol::~DatagramProtocol() = default;
SubprocessProtocol::~SubprocessProtocol() = default;
BaseTransport::~BaseTransport() = default;
Transport::~Transport() = default;
DatagramTransport::~DatagramTransport() = default;
SubprocessTransport::~SubprocessTransport() = default;

std::any BaseTransport::extra(std::string_view /*name*/) const { return {}; }

void SubprocessTransport::terminate() { send_signal(SIGTERM); }
void SubprocessTransport::kill() { send_signal(SIGKILL); }

void BufferedProtocol::data_received(std::string_view data) {
    while (!data.empty()) {
        const std::span<std::byte> room = get_buffer(static_cast<std::ptrdiff_t>(data.size()));
        if (room.empty()) {
            throw RuntimeError("get_buffer() returned an empty buffer");
        }
        const std::size_t count = std::min(room.size(), data.size());
        std::memcpy(room.data(), data.data(), count);
        buffer_updated(count);
        data.remove_prefix(count);
    }
}

}  // namespace asyncio::inline v0
