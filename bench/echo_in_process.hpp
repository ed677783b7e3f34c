// The echo rows of the instruction gates: 100 connections within the process, whose other ends are
// written and read with bare system calls. Without a network in between, every run is the same.
#pragma once

#include "network/echo.hpp"

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

enum class EchoLevel { transport, streams };

// So many requests of 64 bytes, one of every connection at a time.
inline asyncio::Coro<void> echo_in_process(EchoLevel level, long operations) {
    constexpr std::size_t connections = 100;
    std::vector<asyncio::Socket> clients;
    std::vector<asyncio::Task<void>> servers;
    for (std::size_t index = 0; index < connections; ++index) {
        auto [server, client] = asyncio::socketpair();
        clients.push_back(std::move(client));
        if (level == EchoLevel::streams) {
            auto [reader, writer] = co_await asyncio::open_connection(std::move(server));
            servers.push_back(asyncio::create_task(echo_stream, reader, writer));
        } else {
            co_await asyncio::connect_accepted_socket(
                [] { return std::make_shared<EchoProtocol>(); }, std::move(server));
        }
    }
    std::string message(64, 'x');
    for (long turn = 0; turn < operations / static_cast<long>(connections); ++turn) {
        for (const asyncio::Socket& client : clients) {
            ::send(client.fileno(), message.data(), message.size(), 0);
        }
        for (const asyncio::Socket& client : clients) {
            while (::recv(client.fileno(), message.data(), message.size(), 0) < 0) {
                co_await asyncio::readable(client);
            }
        }
    }
    clients.clear();
    for (const asyncio::Task<void>& server : servers) {
        co_await server;
    }
}

}  // namespace bench
