// A client for programs that nobody here wrote: sends its standard input, and prints what comes.
//
//     peers_client HOST PORT [OPTION...]      of a Unix socket: PATH 0
//         --tls=FILE             speaks TLS, trusting the authority of the file
//         --name=NAME            whom the certificate must be for
//         --certificate=FILE     shows it
//         --half-close=yes       says that nothing more will be sent, when all of it was
//         --answer=SIZE          closes after so many bytes; without it the peer's end is waited
//         for
//         --timeout=MS           how long the peer may be silent
//         --keepalive=SECONDS    has the kernel ask after that time whether the peer is there
//         --crowd=COUNT          that many connections at once; each sends a line and gets it
//         back when it has connected, and again when all have
//
// Fails with a line for the error on the standard error output.
#include <asyncio/asyncio.hpp>
#include <asyncio/openssl.hpp>

#include "options.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <iostream>
#include <iterator>
#include <vector>

namespace ssl = asyncio::ssl;
using asyncio::Coro;
using asyncio::StreamPair;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

asyncio::ConnectOptions options_of(peers::Arguments arguments) {
    asyncio::ConnectOptions options;
    if (const auto authority = peers::option(arguments, "tls")) {
        const auto context =
            ssl::create_default_context(ssl::Purpose::server_auth, {.cafile = *authority});
        if (const auto certificate = peers::option(arguments, "certificate")) {
            context->load_cert_chain(*certificate);
        }
        options.ssl = context;
    }
    options.server_hostname = peers::option(arguments, "name").value_or("");
    return options;
}

Coro<StreamPair> connect(peers::Arguments arguments, asyncio::ConnectOptions options) {
    const std::string host = arguments[0];
    if (host.starts_with('/')) {
        return asyncio::open_unix_connection(
            host, {.ssl = options.ssl, .server_hostname = options.server_hostname});
    }
    return asyncio::open_connection(host, static_cast<std::uint16_t>(peers::number(arguments[1])),
                                    std::move(options));
}

// As man 7 tcp has it: ask when nothing came for that time, every second then, give up after two
// questions, and after the same time if something was sent and nobody said it came.
void keep_alive(const StreamWriter& writer, int seconds) {
    const int fd = writer.get_extra_info(asyncio::extra_info::socket).value();
    const auto set = [fd](int level, int name, int value) {
        if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
            throw std::system_error(errno, std::generic_category(), "setsockopt");
        }
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, 2);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
}

Coro<void> send(StreamWriter writer, std::string input, bool half_close) {
    std::string_view rest = input;
    while (!rest.empty()) {
        const std::string_view piece = rest.substr(0, 100'000);
        writer.write(piece);
        co_await writer.drain();
        rest.remove_prefix(piece.size());
    }
    if (half_close) {
        writer.write_eof();
    }
}

Coro<void> receive(StreamReader reader, std::size_t size, std::optional<std::size_t> timeout) {
    const auto limit = timeout ? std::optional(std::chrono::milliseconds(*timeout)) : std::nullopt;
    while (size > 0) {
        const auto read = [&] { return reader.read(std::min<std::size_t>(size, 1 << 16)); };
        const std::string data = limit ? co_await asyncio::timeout(*limit, read) : co_await read();
        if (data.empty()) {
            break;
        }
        std::cout << data << std::flush;
        size -= data.size();
    }
}

Coro<void> talk(peers::Arguments arguments, std::string input) {
    auto [reader, writer] = co_await connect(arguments, options_of(arguments));
    if (const auto seconds = peers::option(arguments, "keepalive")) {
        keep_alive(writer, static_cast<int>(peers::number(*seconds)));
    }
    const auto size = peers::option(arguments, "answer");
    const auto timeout = peers::option(arguments, "timeout");
    const auto sending = asyncio::create_task(send, writer, std::move(input),
                                              peers::option(arguments, "half-close").has_value());
    co_await receive(reader, size ? peers::number(*size) : std::string::npos,
                     timeout ? std::optional(peers::number(*timeout)) : std::nullopt);
    co_await sending;
    writer.close();
    co_await writer.wait_closed();
}

// ---- many at once

struct Crowd {
    Crowd(peers::Arguments given, std::size_t count)
        : arguments(given), options(options_of(given)), all_open(count), all_answered(count) {}
    peers::Arguments arguments;
    asyncio::ConnectOptions options;
    asyncio::Semaphore connecting{50};  // less than a server's backlog
    asyncio::Barrier all_open;
    asyncio::Barrier all_answered;
};

Coro<void> echo(StreamPair& streams, const std::string& line) {
    streams.writer.write(line);
    if (co_await streams.reader.readline() != line) {
        throw std::runtime_error("another answer to " + line);
    }
}

Coro<void> be_one_of(Crowd& crowd, std::string line) {
    std::optional<StreamPair> streams;
    {
        auto guard = co_await crowd.connecting.scoped();
        streams = co_await connect(crowd.arguments, crowd.options);
        // It is open before the server has accepted it, which only an answer shows. Those that the
        // server's backlog has no place for would be tried again after seconds.
        co_await echo(*streams, line);
    }
    co_await crowd.all_open.wait();
    co_await echo(*streams, line);
    co_await crowd.all_answered.wait();
    streams->writer.close();
    co_await streams->writer.wait_closed();
}

Coro<void> gather_crowd(peers::Arguments arguments, std::size_t count) {
    Crowd crowd(arguments, count);
    co_await asyncio::task_group([&](asyncio::TaskGroup& group) -> Coro<void> {
        for (std::size_t i = 0; i < count; ++i) {
            group.create_task(be_one_of, std::ref(crowd), std::to_string(i) + "\n");
        }
        co_return;
    });
    peers::say(std::to_string(count) + " were open at once");
}

Coro<void> main_task(peers::Arguments arguments) {
    if (const auto count = peers::option(arguments, "crowd")) {
        co_await gather_crowd(arguments, peers::number(*count));
    } else {
        co_await talk(arguments, {std::istreambuf_iterator<char>(std::cin), {}});
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        asyncio::run(main_task(peers::Arguments(argv + 1, argv + argc)));
    } catch (...) {
        std::cerr << asyncio::describe_exception(std::current_exception()) << '\n';
        return 1;
    }
}
