// The echo server on this library, as a protocol and as a coroutine on streams.
#pragma once

#include <asyncio/asyncio.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace bench {

class EchoProtocol : public asyncio::Protocol {
public:
    void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
        transport_ = std::move(transport);
    }
    void data_received(std::string_view data) override { transport_->write(data); }
    void pause_writing() override { transport_->pause_reading(); }
    void resume_writing() override { transport_->resume_reading(); }

private:
    std::shared_ptr<asyncio::Transport> transport_;
};

// At most 64 KiB at a time.
inline asyncio::Coro<void> echo_stream(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
    while (true) {
        std::string data = co_await reader.read(std::size_t{64} * 1024);
        if (data.empty()) {
            co_return;
        }
        writer.write(std::move(data));
        co_await writer.drain();
    }
}

}  // namespace bench
