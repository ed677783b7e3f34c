// The echo servers on Asio's C++20 coroutines, without and with TLS.
#include "network/announce.hpp"

#include <asio.hpp>
#include <asio/ssl.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

constexpr std::size_t buffer_size = std::size_t{64} * 1024;

template <class Stream>
awaitable<void> echo(Stream stream) {
    try {
        if constexpr (!std::is_same_v<Stream, tcp::socket>) {
            co_await stream.async_handshake(asio::ssl::stream_base::server, use_awaitable);
        }
        std::vector<char> buffer(buffer_size);
        while (true) {
            const std::size_t size =
                co_await stream.async_read_some(asio::buffer(buffer), use_awaitable);
            co_await asio::async_write(stream, asio::buffer(buffer.data(), size), use_awaitable);
        }
    } catch (const std::exception&) {
        // The end of the connection.
    }
}

awaitable<void> serve(bool tls) {
    const auto executor = co_await asio::this_coro::executor;
    asio::ssl::context context(asio::ssl::context::tls_server);
    if (tls) {
        context.use_certificate_chain_file(std::getenv("BENCH_CERTIFICATE"));
        context.use_private_key_file(std::getenv("BENCH_CERTIFICATE"), asio::ssl::context::pem);
    }
    tcp::acceptor acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    acceptor.listen(4096);
    bench::announce(acceptor.local_endpoint().port());
    while (true) {
        tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
        socket.set_option(tcp::no_delay(true));
        if (tls) {
            asio::co_spawn(executor,
                           echo(asio::ssl::stream<tcp::socket>(std::move(socket), context)),
                           asio::detached);
        } else {
            asio::co_spawn(executor, echo(std::move(socket)), asio::detached);
        }
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view row = count > 1 ? arguments[1] : "";
    if (row == "version") {
        std::printf("version %d.%d.%d\n", ASIO_VERSION / 100'000, ASIO_VERSION / 100 % 1000,
                    ASIO_VERSION % 100);
        return 0;
    }
    if (row != "echo" && row != "tls") {
        std::fprintf(stderr, "usage: %s echo|tls\n", arguments[0]);
        return 2;
    }
    asio::io_context loop(1);
    asio::co_spawn(loop, serve(row == "tls"), asio::detached);
    loop.run();
}
