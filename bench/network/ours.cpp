// The network rows on this library, with nothing but its public interface, as a user would write
// them.
#include <asyncio/asyncio.hpp>
#include <asyncio/openssl.hpp>

#include "network/announce.hpp"
#include "network/echo.hpp"
#include "network/programs.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using asyncio::Coro;

Coro<void> serve(bool streams, bool tls) {
    asyncio::ServerOptions options{.backlog = 1024};
    if (tls) {
        auto context = asyncio::ssl::create_default_context(asyncio::ssl::Purpose::client_auth);
        context->load_cert_chain(std::getenv("BENCH_CERTIFICATE"));
        options.ssl = std::move(context);
    }
    asyncio::Server server =
        streams
            ? co_await asyncio::start_server(bench::echo_stream, "127.0.0.1", 0, options)
            : co_await asyncio::create_server(
                  [] { return std::make_shared<bench::EchoProtocol>(); }, "127.0.0.1", 0, options);
    bench::announce(server.sockets().front().port());
    co_await server.serve_forever();
}

Coro<void> start_programs(long count) {
    asyncio::Semaphore places(bench::programs_at_once);
    co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> Coro<void> {
        for (long index = 0; index < count; ++index) {
            co_await places.acquire();
            group.create_task([&places]() -> Coro<void> {
                const asyncio::Process process =
                    co_await asyncio::create_subprocess_exec({bench::program});
                co_await process.wait();
                places.release();
            });
        }
    });
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view row = count > 1 ? arguments[1] : "";
    if (row == "subprocess") {
        return bench::measure_programs(
            count, arguments, [](long programs) { asyncio::run(start_programs, programs); });
    }
    const std::string_view level = count > 2 ? arguments[2] : "";
    if ((row == "echo" || row == "tls") && (level == "transport" || level == "streams")) {
        asyncio::run(serve, level == "streams", row == "tls");
        return 0;
    }
    std::fprintf(stderr, "usage: %s echo|tls transport|streams, or subprocess COUNT\n",
                 arguments[0]);
    return 2;
}
