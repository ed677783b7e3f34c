// What the tests of connections share: protocols that note what they are told, and servers.
#pragma once

#include <asyncio/servers.hpp>

#include "coordination_fixture.hpp"

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>

// Notes every call, and does in it what a test wants.
class NotingProtocol : public asyncio::Protocol {
public:
    explicit NotingProtocol(std::string& log) : notes(log) {}

    void connection_made(std::shared_ptr<asyncio::Transport> made) override {
        transport = std::move(made);
        notes += "made ";
        call(on_made);
    }
    void data_received(std::string_view data) override {
        notes += "data:" + std::string(data) + " ";
        received += data;
        call(on_data);
    }
    bool eof_received() override {
        notes += "eof ";
        call(on_eof);
        return keep_open;
    }
    void connection_lost(const std::exception_ptr& error) override {
        notes += error == nullptr ? "lost " : "lost:" + asyncio::describe_exception(error) + " ";
        lost = true;
        call(on_lost);
    }
    void pause_writing() override {
        notes += "pause ";
        call(on_pause);
    }
    void resume_writing() override { notes += "resume "; }

    std::string& notes;
    std::shared_ptr<asyncio::Transport> transport;
    std::string received;
    bool keep_open = false;
    bool lost = false;
    std::function<void()> on_made, on_data, on_eof, on_lost, on_pause;

private:
    static void call(const std::function<void()>& action) {
        if (action) {
            action();
        }
    }
};

// A protocol over one end of a pair of sockets; the test holds the other end.
class TransportFixture : public Coordination {
protected:
    void SetUp() override {
        auto pair = asyncio::socketpair();
        far = std::move(pair.second);
        near = std::move(pair.first);
    }
    void TearDown() override {
        if (protocol != nullptr) {
            protocol->transport.reset();
        }
        protocol.reset();
        Coordination::TearDown();
    }
    // Gives the near end to a transport, and runs until the protocol knows it.
    void connect() {
        protocol = std::make_shared<NotingProtocol>(notes);
        if (prepare) {
            prepare(*protocol);
        }
        loop->run_until_complete(
            asyncio::connect_accepted_socket([this] { return protocol; }, std::move(near)));
    }
    asyncio::Transport& transport() { return *protocol->transport; }
    void iterate_until_lost() {
        for (int i = 0; i < 1000 && !protocol->lost; ++i) {
            iterate();
        }
        EXPECT_TRUE(protocol->lost);
    }
    void send(std::string_view text) {
        ASSERT_EQ(::send(far.fileno(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    // What has arrived at the far end; "EOF" at the end of the stream.
    std::string receive() const {
        std::string text(1 << 20, '\0');
        const ssize_t count = ::recv(far.fileno(), text.data(), text.size(), MSG_DONTWAIT);
        if (count == 0) {
            return "EOF";
        }
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    }
    // Writes until the kernel takes no more; returns the bytes that wait.
    std::size_t fill() {
        while (transport().get_write_buffer_size() == 0) {
            transport().write(std::string(4096, 'x'));
        }
        return transport().get_write_buffer_size();
    }
    // Reads what was written, as long as the transport has something to send.
    std::size_t empty() {
        std::size_t size = 0;
        for (int i = 0; i < 1000; ++i) {
            const std::string text = receive();
            if (text == "EOF") {
                break;
            }
            size += text.size();
            iterate();
        }
        return size;
    }

    asyncio::Socket near;
    asyncio::Socket far;
    std::shared_ptr<NotingProtocol> protocol;
    std::function<void(NotingProtocol&)> prepare;
};
