// Sending files to sockets and over transports, by the kernel and without it.
#include <asyncio/pipes.hpp>
#include <asyncio/sendfile.hpp>
#include <asyncio/testing/gtest.hpp>

#include "file_to_send.hpp"
#include "net_fixture.hpp"
#include "outcome.hpp"
#include "process_fixture.hpp"
#include "socket_pairs.hpp"

#include <sys/syscall.h>

#include <thread>

using asyncio::Coro;
using asyncio::SendfileOptions;
using asyncio::sock_sendfile;
using asyncio::Socket;
using socket_tests::turns;

namespace {

constexpr std::size_t large = 3'000'000;

Coro<std::string> receive_up_to(const Socket& socket, std::size_t size) {
    std::string all;
    while (all.size() < size) {
        all += co_await asyncio::sock_recv(socket, size - all.size());
    }
    co_return all;
}

// What can be received at once.
std::string receive_now(const Socket& socket) {
    std::string all;
    char buffer[65536];
    for (ssize_t n = 0; (n = ::recv(socket.fileno(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
        all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
}

// ---- to a socket

Coro<void> send_parts_to_a_socket() {
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(large);
    const auto check = [&](SendfileOptions options, std::size_t begin,
                           std::size_t size) -> Coro<void> {
        auto received = asyncio::create_task(receive_up_to(far, size));
        EXPECT_EQ(co_await sock_sendfile(near, file, options), size);
        EXPECT_EQ(co_await received, file.content.substr(begin, size));
    };
    co_await check({}, 0, large);
    EXPECT_EQ(file.position(), large);
    co_await check({.offset = 1000, .count = 10}, 1000, 10);
    EXPECT_EQ(file.position(), 1010U);
    co_await check({.offset = 1000, .count = 1'000'000}, 1000, 1'000'000);
    co_await check({.offset = large - 5, .count = 10}, large - 5, 5);
    EXPECT_EQ(file.position(), large);
    EXPECT_EQ(co_await sock_sendfile(near, file, {.offset = large + 1}), 0U);
    EXPECT_EQ(file.position(), large) << "nothing was sent";
}

ASYNC_TEST(SockSendfile, parts_of_a_file) { co_await send_parts_to_a_socket(); }

ASYNC_TEST(SockSendfile, a_kernel_that_cannot_is_replaced_by_reading_and_writing) {
    if (!refuse(SYS_sendfile, EINVAL)) {
        co_return;  // this kernel has no system call filters
    }
    co_await send_parts_to_a_socket();
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(10);
    EXPECT_EQ((co_await outcome(sock_sendfile(near, file, {.fallback = false}))).substr(0, 27),
              "SendfileNotAvailableError: ");
    EXPECT_EQ(file.position(), 0U);
}

ASYNC_TEST(SockSendfile, what_cannot_be_sent_is_refused) {
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(10);
    EXPECT_EQ(co_await outcome(sock_sendfile(near, file, {.count = 0})),
              "ValueError: count must be a positive integer (got 0)");
    const Socket datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(co_await outcome(sock_sendfile(datagrams, file)),
              "ValueError: only SOCK_STREAM type sockets are supported");
    const PipeEnds pipe;
    EXPECT_NE((co_await outcome(sock_sendfile(near, pipe.reader.get()))).find("Illegal seek"),
              std::string::npos);
    EXPECT_NE((co_await outcome(sock_sendfile(near, -1))).find("Bad file"), std::string::npos);
}

ASYNC_TEST(SockSendfile, a_peer_that_is_gone_is_an_error_and_no_signal) {
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(large);
    auto sending = asyncio::create_task(sock_sendfile(near, file));
    co_await turns();
    far.close();
    EXPECT_NE((co_await outcome(sending)).find("Broken pipe"), std::string::npos);
    EXPECT_GT(file.position(), 0U);
}

// Cancels after so many turns; what the peer got is what the file's position tells.
Coro<void> cancel_after(int steps) {
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(large);
    auto sending =
        asyncio::create_task([&]() -> Coro<void> { co_await sock_sendfile(near, file); });
    std::string received;
    for (int i = 0; i < steps; ++i) {
        co_await turns(1);
        received += receive_now(far);
    }
    sending.cancel();
    EXPECT_EQ(co_await outcome(sending), "cancelled");
    received += receive_now(far);
    EXPECT_EQ(file.position(), received.size()) << steps;
    EXPECT_EQ(received, file.content.substr(0, received.size())) << steps;
    EXPECT_EQ(
        asyncio::get_running_loop().poller().watching(near.fileno(), asyncio::IoDirection::write),
        nullptr);
}

ASYNC_TEST(SockSendfile, S290_a_cancelled_one_tells_by_the_position_what_was_sent) {
    for (int steps = 0; steps < 6; ++steps) {
        co_await cancel_after(steps);
    }
}

ASYNC_TEST(SockSendfile, S290_so_does_a_cancelled_one_without_the_kernel) {
    if (!refuse(SYS_sendfile, ENOSYS)) {
        co_return;  // this kernel has no system call filters
    }
    for (int steps = 0; steps < 6; ++steps) {
        co_await cancel_after(steps);
    }
}

ASYNC_TEST(SockSendfile, others_have_their_turns_while_a_large_file_is_sent) {
    auto [near, far] = asyncio::socketpair();
    const FileToSend file(large);
    auto sending = asyncio::create_task(sock_sendfile(near, file));
    int count = 0;
    for (std::string received; received.size() < large; ++count) {
        co_await turns(1);
        const std::string now = receive_now(far);
        EXPECT_LE(now.size(), 2U * 256 * 1024);
        received += now;
    }
    EXPECT_GE(count, 6);
    EXPECT_EQ(co_await sending, large);
}

// ---- over a transport

class Sendfile : public TransportFixture {
protected:
    asyncio::Task<std::uint64_t> start(SendfileOptions options = {}) {
        return loop->create_task(asyncio::sendfile(protocol->transport, file, options));
    }
    void finish(const asyncio::AnyTask& sending) {
        while (!sending.done()) {
            iterate();
            received += receive_now(far);
            std::this_thread::yield();  // to the threads that read the file
        }
        received += receive_now(far);
    }
    void end() {
        transport().abort();
        iterate_until_lost();
    }
    static std::string error_of(const asyncio::AnyTask& task) {
        return task.cancelled() ? "cancelled" : asyncio::describe_exception(task.exception());
    }

    FileToSend file{large};
    std::string received;
};

TEST_F(Sendfile, what_was_written_goes_first) {
    connect();
    const std::size_t filled = fill();
    transport().write("last");
    auto sending = start();
    finish(sending);
    EXPECT_EQ(sending.result(), large);
    EXPECT_GT(received.size(), large + filled);
    EXPECT_EQ(received.substr(received.size() - large - 4, 4), "last");
    EXPECT_EQ(received.substr(received.size() - large), file.content);
    EXPECT_EQ(file.position(), large);
    transport().write("after");
    EXPECT_EQ(receive_now(far), "after");
    end();
}

TEST_F(Sendfile, reading_is_paused_meanwhile_and_nobody_may_write) {
    connect();
    auto sending = start();
    iterate(2);
    EXPECT_FALSE(transport().is_reading());
    EXPECT_THROW(transport().write("x"), asyncio::RuntimeError);
    send("later");
    iterate(3);
    EXPECT_EQ(protocol->received, "");
    auto second = start();
    iterate(2);
    EXPECT_EQ(error_of(second), "RuntimeError: unable to write; sendfile is in progress");
    finish(sending);
    iterate();
    EXPECT_EQ(received, file.content);
    EXPECT_EQ(protocol->received, "later");
    end();
}

TEST_F(Sendfile, reading_that_was_paused_stays_so) {
    connect();
    transport().pause_reading();
    auto sending = start({.count = 10});
    finish(sending);
    EXPECT_EQ(sending.result(), 10U);
    EXPECT_FALSE(transport().is_reading());
    end();
}

TEST_F(Sendfile, S280_close_waits_for_the_end_of_the_file) {
    connect();
    auto sending = start();
    iterate(2);
    transport().close();
    finish(sending);
    EXPECT_EQ(sending.result(), large);
    iterate_until_lost();
    EXPECT_EQ(received, file.content);
    EXPECT_EQ(receive(), "EOF");
    EXPECT_EQ(notes, "made lost ");
    auto late = start();
    iterate(2);
    EXPECT_EQ(error_of(late), "RuntimeError: Transport is closing");
}

TEST_F(Sendfile, S282_write_eof_waits_for_the_end_of_the_file) {
    connect();
    auto sending = start();
    iterate(2);
    transport().write_eof();
    finish(sending);
    EXPECT_EQ(received, file.content);
    EXPECT_EQ(receive(), "EOF");
    EXPECT_FALSE(transport().is_closing());
    end();
}

TEST_F(Sendfile, S280_abort_ends_it_with_an_error) {
    connect();
    auto sending = start();
    iterate(2);
    end();
    EXPECT_NE(error_of(sending).find("the connection was closed"), std::string::npos);
    EXPECT_EQ(receive_now(far).size(), file.position());
}

TEST_F(Sendfile, a_peer_that_goes_is_an_error_and_the_protocol_hears_of_it_as_always) {
    connect();
    auto sending = start();
    iterate(2);
    far.close();
    finish(sending);
    EXPECT_NE(error_of(sending).find("Broken pipe"), std::string::npos) << error_of(sending);
    iterate_until_lost();
}

TEST_F(Sendfile, cancelling_at_any_step_keeps_the_transport_and_tells_what_was_sent) {
    for (int steps = 1; steps < 8; ++steps) {
        SetUp();
        connect();
        file.content = FileToSend(large).content;
        ::lseek(file.fileno(), 0, SEEK_SET);
        received.clear();
        auto sending = start();
        for (int i = 0; i < steps; ++i) {
            iterate();
            received += receive_now(far);
        }
        sending.cancel();
        finish(sending);
        EXPECT_EQ(error_of(sending), "cancelled");
        EXPECT_EQ(received.size(), file.position()) << steps;
        EXPECT_EQ(received, file.content.substr(0, received.size()));
        EXPECT_TRUE(transport().is_reading());
        transport().write("goes on");
        EXPECT_EQ(receive_now(far), "goes on") << steps;
        end();
    }
}

TEST_F(Sendfile, a_loop_that_closes_meanwhile_leaves_nothing) {
    const auto before = open_descriptors();
    connect();
    auto sending = start();
    iterate(3);
    sending = {};
    loop.reset();
    captured.take();  // a task was destroyed
    take_reports();
    EXPECT_LT(open_descriptors().size(), before.size());
    EXPECT_EQ(notes, "made ");
}

TEST_F(Sendfile, a_kernel_that_cannot_is_replaced_by_reading_and_writing) {
    if (!refuse(SYS_sendfile, EINVAL)) {
        GTEST_SKIP() << no_filters;
    }
    connect();
    auto refused = start({.fallback = false});
    finish(refused);
    EXPECT_EQ(error_of(refused).substr(0, 27), "SendfileNotAvailableError: ");
    EXPECT_EQ(file.position(), 0U);
    const std::size_t before = fill();
    auto sending = start({.offset = 7, .count = 1'000'000});
    finish(sending);
    EXPECT_EQ(sending.result(), 1'000'000U);
    EXPECT_GT(received.size(), 1'000'000 + before);
    EXPECT_EQ(received.substr(received.size() - 1'000'000), file.content.substr(7, 1'000'000));
    EXPECT_EQ(file.position(), 1'000'007U);
    EXPECT_TRUE(transport().is_reading());
    EXPECT_EQ(transport().get_protocol(), protocol);
    EXPECT_EQ(transport().get_write_buffer_limits().high, 65536U);
    EXPECT_EQ(notes, "made ") << "the kernel was asked once the buffer was empty";
    end();
}

TEST_F(Sendfile, S283_a_cancelled_one_without_the_kernel_leaves_pauses_in_pairs) {
    if (!refuse(SYS_sendfile, EINVAL)) {
        GTEST_SKIP() << no_filters;
    }
    connect();
    auto sending = start();
    while (transport().get_write_buffer_size() == 0) {
        iterate();
    }
    EXPECT_EQ(notes, "made ") << "the file has no say in what the protocol writes";
    sending.cancel();
    iterate(3);
    EXPECT_EQ(error_of(sending), "cancelled");
    EXPECT_EQ(notes, "made pause ");
    received += receive_now(far);
    while (transport().get_write_buffer_size() > 0) {
        iterate();
        received += receive_now(far);
    }
    EXPECT_EQ(notes, "made pause resume ");
    EXPECT_EQ(received.size() % (std::size_t{256} * 1024), 0U);
    EXPECT_EQ(received.size(), file.position()) << "what the transport has taken is sent";
    end();
}

TEST_F(Sendfile, without_the_kernel_the_end_of_the_connection_reaches_all) {
    if (!refuse(SYS_sendfile, EINVAL)) {
        GTEST_SKIP() << no_filters;
    }
    connect();
    auto sending = start();
    while (transport().get_write_buffer_size() == 0) {
        iterate();
    }
    far.close();
    finish(sending);
    EXPECT_NE(error_of(sending), "none");
    iterate_until_lost();
}

ASYNC_TEST(SendfileStreams, a_stream_writer_sends_a_file_between_its_writes) {
    const FileToSend file(large);
    auto [near, far] = asyncio::socketpair();
    auto [reader, writer] = co_await asyncio::open_connection(std::move(near));
    auto [far_reader, far_writer] = co_await asyncio::open_connection(std::move(far));
    auto received = asyncio::create_task(receive_all(far_reader));
    writer.write("head ");
    EXPECT_EQ(co_await asyncio::sendfile(writer, file), large);
    writer.write(" tail");
    writer.write_eof();
    EXPECT_EQ(co_await received, "head " + file.content + " tail");
    far_writer.close();
    writer.close();
}

ASYNC_TEST(SendfileStreams, a_pipe_takes_a_file_without_the_kernel) {
    const FileToSend file(large);
    int ends[2];
    CO_ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    auto reader = co_await asyncio::open_read_pipe(ends[0]);
    auto writer = co_await asyncio::open_write_pipe(ends[1]);
    const std::string head(100'000, 'h');
    writer.write(head);  // some of which waits
    auto received = asyncio::create_task(receive_all(reader));
    EXPECT_EQ(co_await asyncio::sendfile(writer, file), large);
    co_await writer.drain();
    writer.close();
    EXPECT_EQ(co_await received, head + file.content);
}

}  // namespace
