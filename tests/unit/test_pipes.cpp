// Pipes, terminals and sockets as transports of one direction, and as streams.
#include <asyncio/pipes.hpp>

#include "net_fixture.hpp"
#include "process_fixture.hpp"

#include <pty.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

using asyncio::Coro;
using asyncio::PipeEnd;
using asyncio::StreamReader;
using asyncio::StreamWriter;

namespace {

// A pipe, one end of which is given to a transport.
class Pipes : public Coordination {
protected:
    Pipes() { EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0); }
    void TearDown() override {
        if (protocol != nullptr) {
            protocol->transport.reset();
        }
        protocol.reset();
        Coordination::TearDown();
        close_far();
        EXPECT_EQ(open_descriptors(), descriptors) << "a descriptor was leaked, or closed twice";
    }
    void close_far() {
        if (far >= 0) {
            ::close(std::exchange(far, -1));
        }
    }
    void connect_reader() { connect_reader(fds[0], fds[1]); }
    void connect_reader(int near, int other) {
        far = other;
        protocol = std::make_shared<NotingProtocol>(notes);
        loop->run_until_complete(
            asyncio::connect_read_pipe([this] { return protocol; }, PipeEnd(near)));
    }
    void connect_writer() { connect_writer(fds[1], fds[0]); }
    void connect_writer(int near, int other) {
        far = other;
        protocol = std::make_shared<NotingProtocol>(notes);
        loop->run_until_complete(
            asyncio::connect_write_pipe([this] { return protocol; }, PipeEnd(near)));
    }
    void use_other(int near, int other) {
        ::close(fds[0]);
        ::close(fds[1]);
        fds[0] = near;
        fds[1] = other;
    }
    asyncio::Transport& transport() { return *protocol->transport; }
    void iterate_until_lost() {
        for (int i = 0; i < 1000 && !protocol->lost; ++i) {
            iterate();
        }
        EXPECT_TRUE(protocol->lost);
    }
    void send(std::string_view text) const {
        ASSERT_EQ(::write(far, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    std::string receive() const {
        std::string text(1 << 20, '\0');
        const ssize_t count = ::read(far, text.data(), text.size());
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    }
    std::string outcome_of(Coro<void> coro) {
        notes.clear();
        run([&] { return note_error(std::move(coro)); });
        return notes;
    }

    static inline const std::set<int> descriptors = open_descriptors();  // before the loop
    int fds[2] = {-1, -1};
    int far = -1;
    std::shared_ptr<NotingProtocol> protocol;
};

bool blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

// ---- reading

TEST_F(Pipes, S277_a_reading_end_tells_what_arrives_and_then_its_end) {
    connect_reader();
    EXPECT_EQ(notes, "made ");
    send("some");
    iterate();
    EXPECT_EQ(notes, "made data:some ");
    close_far();
    iterate_until_lost();
    EXPECT_EQ(notes, "made data:some eof lost ");
}

TEST_F(Pipes, S278_the_end_closes_a_pipe_whatever_the_protocol_says) {
    connect_reader();
    protocol->keep_open = true;
    close_far();
    iterate_until_lost();
    EXPECT_EQ(notes, "made eof lost ");
}

TEST_F(Pipes, S284_a_reading_end_can_be_paused_and_refuses_to_write) {
    connect_reader();
    EXPECT_EQ(transport().get_extra_info(asyncio::extra_info::pipe), fds[0]);
    EXPECT_EQ(transport().get_extra_info(asyncio::extra_info::socket), std::nullopt);
    transport().pause_reading();
    send("later");
    iterate(3);
    EXPECT_EQ(notes, "made ");
    transport().resume_reading();
    iterate();
    EXPECT_EQ(notes, "made data:later ");
    EXPECT_THROW(transport().write("x"), asyncio::RuntimeError);
    EXPECT_THROW(transport().write_eof(), asyncio::RuntimeError);
    EXPECT_FALSE(transport().can_write_eof());
    transport().close();
    iterate_until_lost();
}

TEST_F(Pipes, S277_a_fifo_a_socket_and_a_terminal_can_be_read) {
    char directory[] = "/tmp/asyncio-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    const std::string path = std::string(directory) + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const int fifo = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    use_other(fifo, ::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    ::unlink(path.c_str());
    ::rmdir(directory);
    connect_reader();
    send("fifo");
    iterate();
    transport().close();
    iterate_until_lost();
    close_far();

    auto [near, other] = asyncio::socketpair();
    connect_reader(near.detach(), other.detach());
    send("socket");
    iterate();
    close_far();
    iterate_until_lost();

    int master = -1;
    int slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    connect_reader(slave, master);
    send("terminal\n");
    while (protocol->received.empty()) {
        iterate();
    }
    transport().close();
    iterate_until_lost();
    EXPECT_EQ(notes, "made data:fifo lost made data:socket eof lost made data:terminal\n lost ");
}

TEST_F(Pipes, S285_the_end_of_a_terminal_is_an_error_that_is_not_reported) {
    int slave = -1;
    int master = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    use_other(master, slave);
    connect_reader();
    close_far();
    iterate_until_lost();
    EXPECT_NE(notes.find("lost:system_error: connection: Input/output error"), notes.npos) << notes;
}

// ---- writing

TEST_F(Pipes, S279_S283_a_writing_end_buffers_and_pauses_its_protocol) {
    connect_writer();
    transport().write("at once");
    EXPECT_EQ(receive(), "at once");
    transport().write(std::string(200'000, 'x'));
    EXPECT_EQ(notes, "made pause ");
    std::size_t size = 0;
    while (transport().get_write_buffer_size() > 0) {
        size += receive().size();
        iterate();
    }
    EXPECT_EQ(notes, "made pause resume ");
    transport().close();
    iterate_until_lost();
    EXPECT_EQ(size + receive().size(), 200'000U);
    EXPECT_EQ(receive(), "");
}

TEST_F(Pipes, S282_write_eof_of_a_writing_end_closes_it_after_what_was_written) {
    connect_writer();
    EXPECT_TRUE(transport().can_write_eof());
    transport().write("last");
    transport().write_eof();
    EXPECT_TRUE(transport().is_closing());
    iterate_until_lost();
    EXPECT_EQ(receive(), "last");
    EXPECT_EQ(receive(), "");
}

TEST_F(Pipes, S277_a_writing_end_notices_that_its_reader_has_gone) {
    connect_writer();
    iterate(3);
    EXPECT_EQ(notes, "made ");
    close_far();
    iterate_until_lost();
    EXPECT_EQ(notes, "made lost ");
}

TEST_F(Pipes, S285_a_reader_that_goes_with_something_unsent_is_an_error) {
    connect_writer();
    transport().write(std::string(200'000, 'x'));
    close_far();
    iterate_until_lost();
    EXPECT_NE(notes.find("lost:system_error: connection: Broken pipe"), notes.npos) << notes;
}

TEST_F(Pipes, S277_what_the_reader_of_a_socket_sends_is_no_end_of_it) {
    auto [near, other] = asyncio::socketpair();
    use_other(near.detach(), other.detach());
    connect_writer(fds[0], fds[1]);
    send("not for us");
    iterate(5);
    EXPECT_EQ(notes, "made ");
    transport().write("still here");
    EXPECT_EQ(receive(), "still here");
    transport().close();
    iterate_until_lost();
}

TEST_F(Pipes, S277_what_is_typed_at_a_terminal_does_not_end_its_writing_end) {
    int master = -1;
    int slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    use_other(slave, master);
    connect_writer(slave, master);
    send("typed\n");
    iterate(5);
    EXPECT_EQ(notes, "made ");
    transport().abort();
    iterate_until_lost();
}

// ---- what is refused, and what is left behind

TEST_F(Pipes, a_regular_file_and_a_directory_are_refused_and_closed) {
    far = fds[1];
    ::close(fds[0]);
    const auto connect = [](const char* path) -> Coro<void> {
        co_await asyncio::open_read_pipe(::open(path, O_RDONLY | O_CLOEXEC));
    };
    EXPECT_NE(outcome_of(connect("/etc/passwd")).find("ValueError: a regular file is no pipe"),
              std::string::npos);
    EXPECT_NE(outcome_of(connect("/etc")).find("ValueError: this kind of file"), std::string::npos);
    EXPECT_NE(outcome_of(connect("/no/such")).find("Bad file descriptor"), std::string::npos);
}

TEST_F(Pipes, a_device_that_cannot_be_waited_for_fails_with_the_first_read) {
    far = fds[1];
    ::close(fds[0]);
    const auto read = []() -> Coro<void> {
        StreamReader reader =
            co_await asyncio::open_read_pipe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        co_await reader.read();
    };
    EXPECT_NE(outcome_of(read()).find("Operation not permitted"), std::string::npos) << notes;
}

TEST_F(Pipes, a_descriptor_that_blocked_blocks_again_at_the_end) {
    const int kept = ::dup(fds[0]);
    connect_reader();
    EXPECT_FALSE(blocks(kept));
    transport().close();
    iterate_until_lost();
    EXPECT_TRUE(blocks(kept));
    ::close(kept);
}

TEST_F(Pipes, a_descriptor_that_did_not_block_stays_so) {
    const int kept = ::dup(fds[0]);
    ::fcntl(kept, F_SETFL, O_NONBLOCK);
    connect_reader();
    transport().close();
    iterate_until_lost();
    EXPECT_FALSE(blocks(kept));
    ::close(kept);
}

TEST_F(Pipes, cancelling_at_any_step_leaves_nothing) {
    far = fds[1];
    int steps = 0;
    run([&]() -> Coro<void> {
        const std::size_t watched = loop->poller().watched();
        for (bool finished = false; !finished; ++steps) {
            auto opening = asyncio::create_task(asyncio::open_read_pipe(::dup(fds[0])));
            co_await turns(steps);
            finished = !opening.cancel();
            try {
                co_await opening;
            } catch (const asyncio::CancelledError&) {
                EXPECT_FALSE(finished);
            }
            opening = {};
            co_await turns(5);
            EXPECT_EQ(loop->poller().watched(), watched) << steps;
        }
    });
    EXPECT_GT(steps, 2);
    ::close(fds[0]);
}

TEST_F(Pipes, a_loop_that_closes_closes_what_is_open) {
    connect_reader();
    loop.reset();
    EXPECT_EQ(::fcntl(fds[0], F_GETFD), -1);
    EXPECT_EQ(notes, "made ");
}

// ---- streams

TEST_F(Pipes, lines_go_from_a_writer_to_a_reader) {
    run([this]() -> Coro<void> {
        StreamReader reader = co_await asyncio::open_read_pipe(fds[0]);
        StreamWriter writer = co_await asyncio::open_write_pipe(fds[1]);
        writer.write("one\ntwo");
        co_await writer.drain();
        EXPECT_EQ(co_await reader.readline(), "one\n");
        writer.close();
        co_await writer.wait_closed();
        EXPECT_EQ(co_await reader.read(), "two");
        EXPECT_TRUE(reader.at_eof());
    });
}

TEST_F(Pipes, S295_drain_fails_when_the_reader_of_a_pipe_has_gone) {
    far = fds[0];
    const auto write = [this]() -> Coro<void> {
        StreamWriter writer = co_await asyncio::open_write_pipe(fds[1]);
        writer.write(std::string(200'000, 'x'));
        close_far();
        co_await writer.drain();
    };
    EXPECT_NE(outcome_of(write()).find("Broken pipe"), std::string::npos) << notes;
}

TEST_F(Pipes, the_last_handle_of_a_reader_closes_its_pipe) {
    far = fds[1];
    run([this]() -> Coro<void> {
        std::optional<StreamReader> reader = co_await asyncio::open_read_pipe(fds[0]);
        const StreamReader other = *reader;
        reader.reset();
        co_await turns(3);
        EXPECT_NE(::fcntl(fds[0], F_GETFD), -1);
    });
    iterate(3);
    EXPECT_EQ(::fcntl(fds[0], F_GETFD), -1);
}

TEST_F(Pipes, a_file_of_c_stays_open) {
    std::FILE* const file = ::fdopen(fds[0], "r");
    far = fds[1];
    run([&]() -> Coro<void> {
        StreamReader reader = co_await asyncio::open_read_pipe(file);
        send("line\n");
        EXPECT_EQ(co_await reader.readline(), "line\n");
    });
    iterate(3);
    EXPECT_TRUE(blocks(fds[0]));
    send("more\n");
    char line[16];
    EXPECT_STREQ(std::fgets(line, sizeof line, file), "more\n");
    std::fclose(file);
}

TEST_F(Pipes, a_limit_of_nothing_is_refused) {
    far = fds[1];
    const auto open = [this]() -> Coro<void> { co_await asyncio::open_read_pipe(fds[0], 0); };
    EXPECT_NE(outcome_of(open()).find("ValueError"), std::string::npos);
}

}  // namespace
