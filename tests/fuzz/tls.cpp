// Two ends of a TLS connection and a wire that cuts, changes, loses, repeats and makes up bytes:
// whatever arrives, an end must not crash, and must not take anything for data but what the other
// has written.
//
// An input is a line of words. The first is the version of TLS (2 or 3), with an `a` if the client
// shows a certificate, too. The others are steps: a letter, the end whose step it is (c or s), and
// a number, which is a size or says where.
#include "../tls/certificates.hpp"
#include "../tls/pair.hpp"
#include "target.hpp"

#include <array>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace {

namespace ssl = asyncio::ssl;
using asyncio::SSLObject;
using fuzz::require;

// More than write() may leave in outgoing(): the limit, another record, and what goes with them.
constexpr std::size_t outgoing_max = (64u << 10) + (16u << 10) + 4096;

// All that follows would double what is on the wire with each step.
constexpr std::size_t repeated_max = 64u << 10;

// The byte at one place of everything that an end writes.
char letter_at(std::size_t place) { return static_cast<char>(place * 7 + place / 251); }

class End {
public:
    explicit End(std::unique_ptr<SSLObject> object) : object_(std::move(object)) {}

    // What it has to send, and has not been delivered.
    std::string wire;

    void write(std::size_t size) {
        if (!done_ || unwrapped_) {
            return;
        }
        std::string text(size, '\0');
        for (std::size_t i = 0; i < size; ++i) {
            text[i] = letter_at(written_ + i);
        }
        attempt([&] { written_ += object_->write(tls::bytes_of(text)); });
    }

    void unwrap() {
        if (done_) {
            unwrapped_ = true;
            attempt([&] { object_->unwrap(); });
        }
    }

    void feed(std::string_view data) {
        tls::feed(*object_, tls::bytes_of(data));
        go_on();
    }

    void feed_eof() {
        object_->feed_eof();
        go_on();
    }

    // Does what can be done with what has arrived.
    void go_on() {
        attempt([&] {
            done_ = object_->do_handshake();
            if (done_) {
                read();
            }
        });
    }

    bool done() const { return done_; }
    const std::string& error() const { return error_; }

    // Whether what it has read can be what the other has written.
    void check_against(const End& other) const {
        require(read_ <= other.written_, "more was read than written");
        require(!ended_ || other.unwrapped_, "an end that nobody announced was taken for one");
        require(!ended_ || unwrapped_ || read_ == other.written_, "an end came before the data");
    }
    // Whether it has read everything, as it must on a good wire.
    void check_complete(const End& other) const {
        require(error_.empty(), "an error on a good wire: " + error_);
        require(done_, "the handshake stands still");
        require(unwrapped_ || read_ == other.written_, "data were lost");
        require(ended_ == other.unwrapped_ || unwrapped_, "the end was lost");
    }

private:
    void read() {
        std::array<char, 5000> buffer;
        while (const auto size = object_->read(std::as_writable_bytes(std::span(buffer)))) {
            ended_ = *size == 0;
            if (ended_) {
                return;
            }
            for (std::size_t i = 0; !unwrapped_ && i < *size; ++i) {
                require(buffer[i] == letter_at(read_ + i), "what was read was never written");
            }
            // After unwrap() some may have been thrown away.
            read_ += unwrapped_ ? 0 : *size;
        }
    }

    // Every operation may fail on a bad wire, but only as it is documented, and then for good.
    template <class Operation>
    void attempt(Operation operation) {
        try {
            operation();
            require(error_.empty(), "after an error it works again");
        } catch (const asyncio::SSLError& error) {
            require(error_.empty() || error_ == error.what(), "another error follows");
            require(!std::string_view(error.what()).empty(), "an error without a text");
            error_ = error.what();
        }
        require(object_->outgoing().size() <= outgoing_max, "outgoing() has no limit");
        wire += tls::take(*object_);
    }

    std::unique_ptr<SSLObject> object_;
    std::size_t written_ = 0;
    std::size_t read_ = 0;
    bool done_ = false;
    bool unwrapped_ = false;
    bool ended_ = false;
    std::string error_;
};

class Connection {
public:
    Connection(const ssl::Context& client, const ssl::Context& server)
        : client_(client.wrap_bio(false, "localhost")), server_(server.wrap_bio(true, {})) {
        client_.go_on();
    }

    void step(char action, char end, std::size_t number) {
        End& from = end == 'c' ? client_ : server_;
        End& to = end == 'c' ? server_ : client_;
        const std::size_t at = from.wire.empty() ? 0 : number % from.wire.size();
        switch (action) {
        case 'm':  // moves so many bytes
            to.feed(from.wire.substr(0, number));
            from.wire.erase(0, number);
            break;
        case 'w':
            from.write(number);
            break;
        case 'u':
            from.unwrap();
            break;
        case 'e':
            from.feed_eof();
            good_ = false;
            break;
        case 'x':  // changes one bit
            if (!from.wire.empty()) {
                from.wire[at] = static_cast<char>(from.wire[at] ^ (1 << number / 64 % 8));
                good_ = false;
            }
            break;
        case 'd':  // loses some
            from.wire.erase(at, 1 + number % 7);
            good_ = false;
            break;
        case 'r':  // repeats some of what follows
            from.wire.insert(at, from.wire.substr(at, repeated_max));
            good_ = false;
            break;
        case 'g': {  // makes something up
            fuzz::Choices random(number);
            std::string made_up(1 + random.below(40), '\0');
            for (char& letter : made_up) {
                letter = static_cast<char>(random.below(256));
            }
            if (random.one_in(2)) {  // which looks like a record
                made_up.replace(0, std::min<std::size_t>(5, made_up.size()),
                                {static_cast<char>(20 + random.below(4)), 3, 3, 0,
                                 static_cast<char>(random.below(40))});
            }
            from.wire.insert(at, made_up);
            good_ = false;
            break;
        }
        default:
            throw std::invalid_argument(std::string("no step is called ") + action);
        }
        client_.check_against(server_);
        server_.check_against(client_);
    }

    void finish() {
        while (!client_.wire.empty() || !server_.wire.empty()) {
            step('m', 'c', client_.wire.size());
            step('m', 's', server_.wire.size());
        }
        if (good_) {
            client_.check_complete(server_);
            server_.check_complete(client_);
        }
    }

private:
    End client_;
    End server_;
    bool good_ = true;  // the wire
};

class Tls final : public fuzz::Target {
public:
    Tls()
        : server_file_(directory_.write("server.pem", tls::Certificate({.issuer = &authority_}))),
          client_file_(directory_.write("client.pem", tls::Certificate({.issuer = &authority_}))) {}

    std::string make(fuzz::Choices random) const override {
        const std::string good = "mmmmmmwwu";
        const std::string actions = random.one_in(3) ? good : good + "mmmmmmwwwxxdrge";
        std::string input = random.one_in(2) ? "3" : "2";
        input += random.one_in(3) ? "a" : "";
        // Most programs reach the end of the handshake, undisturbed but for the chunks.
        const std::size_t calm = random.one_in(3) ? 0 : 12;
        const std::size_t steps = 4 + random.below(60);
        for (std::size_t i = 0; i < steps; ++i) {
            const char action = i < calm ? 'm' : random.of(actions);
            const char end = i < calm ? "cs"[i % 2] : "cs"[random.below(2)];
            // The end of a connection is the end of most things: not too early.
            if ((action == 'u' || action == 'e') && !random.one_in(5)) {
                continue;
            }
            static constexpr std::size_t sizes[]{2, 20, 300, 4000, 4000, 30000};
            input += {' ', action, end};
            input += std::to_string(random.below(random.of(sizes)));
        }
        return input;
    }

    std::optional<std::string> check(const std::string& input) const override {
        std::istringstream words(input);
        std::string setting;
        words >> setting;
        const auto client =
            ssl::create_default_context(ssl::Purpose::server_auth, {.cadata = authority_.pem()});
        const auto server =
            ssl::create_default_context(ssl::Purpose::client_auth, {.cadata = authority_.pem()});
        server->load_cert_chain(server_file_);
        if (setting.starts_with('2')) {
            client->set_maximum_version(ssl::TLSVersion::TLSv1_2);
        }
        if (setting.ends_with('a')) {
            client->load_cert_chain(client_file_);
            server->set_verify_mode(ssl::VerifyMode::required);
        }
        Connection connection(*client, *server);
        for (std::string step; words >> step;) {
            connection.step(step.at(0), step.at(1), std::stoul(step.substr(2)));
        }
        connection.finish();
        // A second one may take up what the first has left.
        Connection(*client, *server).finish();
        return std::nullopt;
    }

private:
    const tls::Directory directory_;
    const tls::Certificate authority_{
        {.common_name = "authority", .subject_alt_name = "", .is_authority = true}};
    const std::string server_file_;
    const std::string client_file_;
};

}  // namespace

std::unique_ptr<fuzz::Target> fuzz::make_target() { return std::make_unique<Tls>(); }
