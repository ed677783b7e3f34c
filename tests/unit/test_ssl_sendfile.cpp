// Sending files over TLS, which no kernel does by itself.
#include <asyncio/asyncio.hpp>
#include <asyncio/testing/gtest.hpp>

#include "file_to_send.hpp"
#include "ssl_fixture.hpp"

using asyncio::Coro;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

class TlsSendfile : public ssl_tests::SslTest {};

TEST_F(TlsSendfile, a_file_is_read_encrypted_and_written) {
    const FileToSend file(1'000'000);
    asyncio::run([&]() -> Coro<void> {
        auto [near, far] = asyncio::socketpair();
        asyncio::StreamOptions at_server;
        at_server.ssl = server_context();
        at_server.server_side = true;
        asyncio::StreamOptions at_client;
        at_client.ssl = client_context();
        at_client.server_hostname = "localhost";
        auto [server, client] =
            co_await asyncio::gather(asyncio::open_connection(std::move(near), at_server),
                                     asyncio::open_connection(std::move(far), at_client));
        auto received = asyncio::create_task(
            [](StreamReader reader) -> Coro<std::string> {
                co_return co_await reader.readexactly(5 + 1'000'000);
            },
            client.reader);
        server.writer.write("head ");
        EXPECT_EQ(co_await asyncio::sendfile(server.writer, file), 1'000'000U);
        EXPECT_EQ(co_await received, "head " + file.content);
        EXPECT_EQ(file.position(), 1'000'000U);
        client.writer.write("answer\n");
        EXPECT_EQ(co_await server.reader.readline(), "answer\n");
        bool refused = false;
        try {
            co_await asyncio::sendfile(server.writer, file, {.fallback = false});
        } catch (const asyncio::SendfileNotAvailableError&) {
            refused = true;
        }
        EXPECT_TRUE(refused);
        client.writer.close();
        server.writer.close();
        co_await server.writer.wait_closed();
    }());
}

}  // namespace
