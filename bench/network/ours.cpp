// The network rows on this library, with nothing but its public interface, as a user would write
// them.
#include <asyncio/asyncio.hpp>
#include <asyncio/openssl.hpp>

#include "network/announce.hpp"
#include "network/programs.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using asyncio::Coro;

class Echo : public asyncio::Protocol {
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

Coro<void> echo(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
    while (true) {
        std::string data = co_await reader.read(std::size_t{64} * 1024);
        if (data.empty()) {
            co_return;
        }
        writer.write(std::move(data));
        co_await writer.drain();
    }
}

Coro<void> serve(bool streams, bool tls) {
    asyncio::ServerOptions options{.backlog = 1024};
    if (tls) {
        auto context = asyncio::ssl::create_default_context(asyncio::ssl::Purpose::client_auth);
        context->load_cert_chain(std::getenv("BENCH_CERTIFICATE"));
        options.ssl = std::move(context);
    }
    asyncio::Server server =
        streams ? co_await asyncio::start_server(echo, "127.0.0.1", 0, options)
                : co_await asyncio::create_server([] { return std::make_shared<Echo>(); },
                                                  "127.0.0.1", 0, options);
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
        return bench::measure_programs(count, arguments, [](long programs) {
            asyncio::run(start_programs, programs);
        });
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
