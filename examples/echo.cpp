// A server and its clients on the loop's low-level sockets.
#include <asyncio/asyncio.hpp>

#include <cstdio>
#include <string>
#include <vector>

using asyncio::Coro;
using asyncio::Socket;

Coro<void> echo(Socket connection) {
    for (;;) {
        const std::string received = co_await asyncio::sock_recv(connection, 4096);
        if (received.empty()) {
            co_return;  // the client has closed
        }
        co_await asyncio::sock_sendall(connection, received);
    }
}

Coro<void> serve(Socket& listener) {
    co_await asyncio::task_group([&listener](asyncio::TaskGroup& connections) -> Coro<void> {
        for (;;) {
            auto accepted = co_await asyncio::sock_accept(listener);
            connections.create_task(echo, std::move(accepted.socket));
        }
    });
}

Coro<std::string> ask(asyncio::Address server, std::string text) {
    const Socket connection(server.family());
    co_await asyncio::sock_connect(connection, server);
    co_await asyncio::sock_sendall(connection, text);
    std::string answer;
    while (answer.size() < text.size()) {
        answer += co_await asyncio::sock_recv(connection, 4096);
    }
    co_return answer;
}

Coro<void> main_task() {
    Socket listener = Socket::listen_on(asyncio::Address::parse("127.0.0.1:0"));
    const asyncio::Address address = listener.getsockname();
    const auto server = asyncio::create_task(serve, std::ref(listener));

    std::vector<asyncio::Task<std::string>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(asyncio::create_task(ask, address, "hello " + std::to_string(i)));
    }
    for (const std::string& answer : co_await asyncio::gather(clients)) {
        std::puts(answer.c_str());
    }
    server.cancel();
    co_await asyncio::gather(asyncio::return_exceptions, server);
}

int main() { asyncio::run(main_task()); }
