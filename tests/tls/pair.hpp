// Two ends of a TLS connection without a network between them.
#pragma once

#include <asyncio/openssl.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tls {

// How many bytes are delivered at once.
using Chunk = std::function<std::size_t()>;
inline std::size_t everything() { return std::numeric_limits<std::size_t>::max(); }

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

inline void feed(asyncio::SSLObject& to, std::span<const std::byte> data) {
    std::ranges::copy(data, to.incoming(data.size()).begin());
    to.commit(data.size());
}

// Takes what one end wants to send, as text.
inline std::string take(asyncio::SSLObject& from) {
    const auto data = from.outgoing();
    std::string text(reinterpret_cast<const char*>(data.data()), data.size());
    from.consume(data.size());
    return text;
}

// Writes all, which needs room to send.
inline void write(asyncio::SSLObject& to, std::string_view text) { to.write(bytes_of(text)); }

// What can be read until it waits for the peer, or the peer has ended.
struct Read {
    std::string text;
    bool ended = false;
};
inline Read read(asyncio::SSLObject& from) {
    Read result;
    char buffer[20000];
    while (const auto size = from.read(std::as_writable_bytes(std::span(buffer)))) {
        if (*size == 0) {
            result.ended = true;
            break;
        }
        result.text.append(buffer, *size);
    }
    return result;
}

struct Pair {
    Pair(const asyncio::ssl::Context& client_context, const asyncio::ssl::Context& server_context,
         std::string_view server_hostname = "localhost")
        : client(client_context.wrap_bio(false, server_hostname)),
          server(server_context.wrap_bio(true, {})) {}

    // One chunk from one end to the other. Returns whether there was anything.
    static bool deliver(asyncio::SSLObject& from, asyncio::SSLObject& to, std::size_t chunk) {
        const auto data = from.outgoing().first(std::min(chunk, from.outgoing().size()));
        feed(to, data);
        from.consume(data.size());
        return !data.empty();
    }
    void deliver(const Chunk& chunk = everything) const {
        while (deliver(*client, *server, chunk()) || deliver(*server, *client, chunk())) {
        }
    }

    // Raises what one of the ends raises. Afterwards both are done, and have nothing to send.
    void handshake(const Chunk& chunk = everything) const {
        bool moved = true;
        bool done = false;
        while (!done && moved) {
            const bool client_done = client->do_handshake();
            const bool to_server = deliver(*client, *server, chunk());
            const bool server_done = server->do_handshake();
            const bool to_client = deliver(*server, *client, chunk());
            moved = to_server || to_client;
            done = client_done && server_done;
        }
        if (!done) {
            throw std::runtime_error("the handshake stands still");
        }
        // Tickets follow it.
        do {
            tls::read(*client);
        } while (deliver(*server, *client, chunk()));
    }

    std::unique_ptr<asyncio::SSLObject> client;
    std::unique_ptr<asyncio::SSLObject> server;
};

}  // namespace tls
