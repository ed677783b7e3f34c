#include "talks.hpp"

#include "options.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <vector>

namespace peers {

namespace {

constexpr std::size_t piece_size = std::size_t{64} * 1024;

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](unsigned char letter) { return std::tolower(letter); });
    return text;
}

// A line without its end; nullopt at the end of the stream.
Coro<std::optional<std::string>> read_line(StreamReader reader) {
    std::string line = co_await reader.readline();
    if (line.empty()) {
        co_return std::nullopt;
    }
    line.erase(line.find_last_not_of("\r\n") + 1);
    co_return line;
}

// ---- HTTP

struct Request {
    std::string first_line;
    std::map<std::string, std::string> fields;

    std::string field(const std::string& name) const {
        const auto found = fields.find(name);
        return found == fields.end() ? "" : found->second;
    }
    bool keeps_open() const {
        const std::string connection = lower(field("connection"));
        return first_line.ends_with("1.1") ? connection != "close" : connection == "keep-alive";
    }
};

Coro<std::optional<Request>> read_request(StreamReader reader) {
    const auto first = co_await read_line(reader);
    if (!first) {
        co_return std::nullopt;
    }
    Request request{.first_line = *first, .fields = {}};
    for (auto line = co_await read_line(reader); line && !line->empty();
         line = co_await read_line(reader)) {
        const std::size_t colon = line->find(':');
        const std::size_t value = line->find_first_not_of(' ', colon + 1);
        request.fields[lower(line->substr(0, colon))] =
            value == std::string::npos ? "" : line->substr(value);
    }
    co_return request;
}

// ---- RESP

std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// A command as an array of texts; nullopt at the end of the stream.
Coro<std::optional<std::vector<std::string>>> read_command(StreamReader reader) {
    auto head = co_await read_line(reader);
    while (head && head->empty()) {  // redis-cli --pipe ends with one, in case something is wrong
        head = co_await read_line(reader);
    }
    if (!head || !head->starts_with('*')) {
        co_return std::nullopt;
    }
    std::vector<std::string> words(number(head->substr(1)));
    for (std::string& word : words) {
        const std::string size = co_await reader.readline();
        word = co_await reader.readexactly(number(std::string_view(size).substr(1)));
        co_await reader.readexactly(2);
    }
    co_return words;
}

std::string answer(const std::vector<std::string>& words,
                   std::map<std::string, std::string>& values) {
    const std::string command = lower(words.at(0));
    if (command == "ping") {
        return words.size() > 1 ? bulk(words[1]) : "+PONG\r\n";
    }
    if (command == "echo" && words.size() == 2) {
        return bulk(words[1]);
    }
    if (command == "set" && words.size() == 3) {
        values[words[1]] = words[2];
        return "+OK\r\n";
    }
    if (command == "get" && words.size() == 2) {
        const auto found = values.find(words[1]);
        return found == values.end() ? "$-1\r\n" : bulk(found->second);
    }
    return "-ERR unknown command '" + words[0] + "'\r\n";
}

}  // namespace

Coro<void> echo(StreamReader reader, StreamWriter writer) {
    bool was_full = false;
    const std::size_t limit = writer.transport().get_write_buffer_limits().high;
    for (std::string data = co_await reader.read(piece_size); !data.empty();
         data = co_await reader.read(piece_size)) {
        writer.write(std::move(data));
        if (!was_full && writer.transport().get_write_buffer_size() > limit) {
            was_full = true;
            say("full");
        }
        co_await writer.drain();
    }
}

Coro<void> lines(StreamReader reader, StreamWriter writer) {
    for (std::string line = co_await reader.readline(); !line.empty();
         line = co_await reader.readline()) {
        writer.write(std::move(line));
        co_await writer.drain();
    }
}

Coro<void> http(StreamReader reader, StreamWriter writer) {
    for (auto request = co_await read_request(reader); request;
         request = co_await read_request(reader)) {
        if (lower(request->field("expect")) == "100-continue") {
            writer.write("HTTP/1.1 100 Continue\r\n\r\n");
        }
        std::string body = request->first_line.substr(0, request->first_line.rfind(' ')) + "\n";
        if (const std::string size = request->field("content-length"); !size.empty()) {
            body += co_await reader.readexactly(number(size));
        }
        const bool goes_on = request->keeps_open();
        writer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                     "\r\nConnection: " + (goes_on ? "keep-alive" : "close") + "\r\n\r\n" + body);
        co_await writer.drain();
        if (!goes_on) {
            break;
        }
    }
}

Coro<void> resp(StreamReader reader, StreamWriter writer) {
    // As a cache's, the values are those of all connections.
    static std::map<std::string, std::string> values;
    for (auto words = co_await read_command(reader); words; words = co_await read_command(reader)) {
        writer.write(answer(*words, values));
        co_await writer.drain();
    }
}

Talk smtp(std::shared_ptr<const asyncio::SSLContext> ssl) {
    return [ssl](StreamReader reader, StreamWriter writer) -> Coro<void> {
        return [](auto context, StreamReader from, StreamWriter to) -> Coro<void> {
            to.write("220 ready\r\n");
            co_await from.readline();
            to.write("250 STARTTLS\r\n");
            co_await from.readline();
            to.write("220 go ahead\r\n");
            co_await to.start_tls(context);
            co_await lines(from, to);
        }(ssl, std::move(reader), std::move(writer));
    };
}

}  // namespace peers
