// The protocols that the server speaks: one coroutine for a connection's life each.
#pragma once

#include <asyncio/asyncio.hpp>

#include <functional>
#include <memory>
#include <string>

namespace peers {

using asyncio::Coro;
using asyncio::StreamReader;
using asyncio::StreamWriter;

using Talk = std::function<Coro<void>(StreamReader, StreamWriter)>;

// Sends back what comes. Says "full" when what waits to be sent exceeds the limit for the first
// time.
Coro<void> echo(StreamReader reader, StreamWriter writer);
// Sends back lines.
Coro<void> lines(StreamReader reader, StreamWriter writer);
// HTTP/1.1: answers a request with its method and path in a line, and then its body.
Coro<void> http(StreamReader reader, StreamWriter writer);
// What redis-cli and redis-benchmark speak: PING, ECHO, SET and GET.
Coro<void> resp(StreamReader reader, StreamWriter writer);
// As much of SMTP as it takes to go on in TLS, in which lines are sent back.
Talk smtp(std::shared_ptr<const asyncio::SSLContext> ssl);

}  // namespace peers
