// A server for programs that nobody here wrote.
//
//     peers_server PROTOCOL [OPTION...]
//         --tls=FILE                   speaks TLS, with the certificate and key of the file
//         --authority=FILE             asks clients for a certificate from it
//         --alpn=NAME                  agrees on that protocol
//         --handshake-timeout=MS
//         --host=ADDRESS               instead of 127.0.0.1
//         --debug=yes                  prints also the log, which tells of failed handshakes
//
// Prints "port N", then for the end of each connection "end" or "error: " and the error, and
// "report: " for what the loop's exception handler is told. SIGTERM ends it, with "stopped".
#include <asyncio/openssl.hpp>

#include "options.hpp"
#include "talks.hpp"

#include <csignal>
#include <map>

namespace ssl = asyncio::ssl;
using peers::Coro;
using peers::StreamReader;
using peers::StreamWriter;
using peers::Talk;

namespace {

// Waits for the end of a connection, too, and tells how it ended.
Coro<void> attend(Talk talk, StreamReader reader, StreamWriter writer) {
    std::exception_ptr error;
    try {
        co_await talk(std::move(reader), writer);
        writer.close();
        co_await writer.wait_closed();
    } catch (const std::exception&) {
        error = std::current_exception();
        writer.close();
    }
    peers::say(error == nullptr ? "end" : "error: " + asyncio::describe_exception(error));
}

std::shared_ptr<ssl::Context> context_of(peers::Arguments arguments) {
    const auto certificate = peers::option(arguments, "tls");
    if (!certificate) {
        return nullptr;
    }
    const auto authority = peers::option(arguments, "authority");
    auto context =
        ssl::create_default_context(ssl::Purpose::client_auth, {.cafile = authority.value_or("")});
    context->load_cert_chain(*certificate);
    if (authority) {
        context->set_verify_mode(ssl::VerifyMode::required);
    }
    if (const auto name = peers::option(arguments, "alpn")) {
        context->set_alpn_protocols({*name});
    }
    return context;
}

Coro<void> serve(peers::Arguments arguments) {
    const auto context = context_of(arguments);
    const std::map<std::string, Talk> talks{{"echo", peers::echo},
                                            {"lines", peers::lines},
                                            {"http", peers::http},
                                            {"resp", peers::resp},
                                            {"smtp", peers::smtp(context)}};
    const std::string protocol = arguments.front();
    const Talk talk = talks.at(protocol);

    asyncio::get_running_loop().set_exception_handler(
        [](asyncio::EventLoop&, const asyncio::ErrorContext& report) {
            peers::say("report: " + report.message + ": " +
                       asyncio::describe_exception(report.exception));
        });
    if (peers::option(arguments, "debug")) {
        asyncio::get_running_loop().set_debug(true);
        asyncio::set_log_sink([](asyncio::LogLevel, std::string_view text) {
            peers::say("log: " + std::string(text));
        });
    }
    auto endings = asyncio::signals({SIGTERM});
    asyncio::ServerOptions options;
    if (protocol != "smtp") {
        options.ssl = context;
    }
    if (const auto limit = peers::option(arguments, "handshake-timeout")) {
        options.ssl_handshake_timeout = std::chrono::milliseconds(peers::number(*limit));
    }
    auto server = co_await asyncio::start_server(
        [talk](StreamReader reader, StreamWriter writer) {
            return attend(talk, std::move(reader), std::move(writer));
        },
        peers::option(arguments, "host").value_or("127.0.0.1"), 0, options);
    peers::say("port " + std::to_string(server.sockets().at(0).port()));

    co_await endings.next();
    server.close();
    server.abort_clients();
    co_await server.wait_closed();
    peers::say("stopped");
}

}  // namespace

int main(int argc, char** argv) { asyncio::run(serve(peers::Arguments(argv + 1, argv + argc))); }
