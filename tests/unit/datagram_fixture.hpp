// What the tests of datagrams share: a protocol that notes what it is told, and endpoints.
#pragma once

#include <asyncio/datagrams.hpp>

#include "coordination_fixture.hpp"

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

// Notes every call, and does in it what a test wants.
class NotingDatagrams : public asyncio::DatagramProtocol {
public:
    void connection_made(std::shared_ptr<asyncio::DatagramTransport> made) override {
        transport = std::move(made);
        note("made ", on_made);
    }
    void datagram_received(std::string_view data, const asyncio::Address& sender) override {
        senders.push_back(sender);
        sizes.push_back(data.size());
        note("<" + std::string(data.substr(0, 20)) + "> ", on_datagram);
    }
    void error_received(const std::system_error& error) override {
        errors.push_back(error.code());
        note("error ", on_error);
    }
    void connection_lost(const std::exception_ptr& error) override {
        lost = true;
        note(error == nullptr ? "lost " : "lost:" + asyncio::describe_exception(error) + " ",
             on_lost);
    }
    void pause_writing() override { note("pause ", on_pause); }
    void resume_writing() override { note("resume ", nullptr); }

    asyncio::Address address() const {
        return transport->get_extra_info(asyncio::extra_info::sockname).value();
    }

    std::string notes;
    std::shared_ptr<asyncio::DatagramTransport> transport;
    std::vector<asyncio::Address> senders;
    std::vector<std::size_t> sizes;
    std::vector<std::error_code> errors;
    bool lost = false;
    std::function<void()> on_made, on_datagram, on_error, on_lost, on_pause;

private:
    void note(const std::string& text, const std::function<void()>& action) {
        notes += text;
        if (action) {
            action();
        }
    }
};

using DatagramsPtr = std::shared_ptr<NotingDatagrams>;

class DatagramFixture : public Coordination {
protected:
    void TearDown() override {
        for (const DatagramsPtr& protocol : protocols_) {
            protocol->transport.reset();
        }
        protocols_.clear();
        Coordination::TearDown();
    }

    template <class Where>
    asyncio::Coro<asyncio::DatagramEndpoint<NotingDatagrams>> create(Where where) {
        return asyncio::create_datagram_endpoint(
            [this] {
                protocols_.push_back(std::make_shared<NotingDatagrams>());
                if (prepare) {
                    prepare(*protocols_.back());
                }
                return protocols_.back();
            },
            std::move(where));
    }
    template <class Where>
    DatagramsPtr open(Where where) {
        return loop->run_until_complete(create(std::move(where))).protocol;
    }
    DatagramsPtr open(asyncio::DatagramOptions options) {
        return open<asyncio::DatagramOptions>(std::move(options));
    }
    // What opening it throws.
    std::string failure(asyncio::DatagramOptions options) {
        try {
            open(std::move(options));
        } catch (...) {
            return asyncio::describe_exception(std::current_exception());
        }
        return "none";
    }
    // As long as it takes: it may need another thread.
    void iterate_until(const std::function<bool()>& happened) {
        while (!happened()) {
            iterate();
            std::this_thread::yield();
        }
    }
    void iterate_until_lost(NotingDatagrams& protocol) {
        iterate_until([&] { return protocol.lost; });
    }

    std::function<void(NotingDatagrams&)> prepare;

private:
    std::vector<DatagramsPtr> protocols_;
};

// An endpoint over one end of a pair of Unix sockets, of which the test holds the other, and
// decides when that is read.
class DatagramPair : public DatagramFixture {
protected:
    void connect() {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        far = asyncio::Socket(ends[1]);
        protocol = open(asyncio::Socket(ends[0]));
    }
    asyncio::DatagramTransport& transport() { return *protocol->transport; }
    void send(std::string_view text) const {
        ASSERT_EQ(::send(far.fileno(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    // One datagram that has arrived, or "none".
    std::string receive() const {
        char buffer[4096];
        const ssize_t count = ::recv(far.fileno(), buffer, sizeof buffer, 0);
        return count < 0 ? "none" : std::string(buffer, static_cast<std::size_t>(count));
    }
    // Sends the numbers from 0 until the kernel takes no more; returns how many it took.
    int fill() {
        int number = 0;
        while (transport().get_write_buffer_size() == 0) {
            transport().sendto(std::to_string(number++));
        }
        return number - 1;
    }

    asyncio::Socket far;
    DatagramsPtr protocol;
};
