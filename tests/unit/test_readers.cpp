// add_reader and add_writer, and where I/O stands in a batch.
#include <array>
#include <sys/socket.h>
#include <unistd.h>

#include "loop_fixture.hpp"

using namespace std::chrono_literals;

namespace {

// Two connected sockets, closed at the end.
struct SocketPair {
    SocketPair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0); }
    SocketPair(const SocketPair&) = delete;
    SocketPair& operator=(const SocketPair&) = delete;
    ~SocketPair() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
    // Makes `near` readable.
    void send() const { EXPECT_EQ(::write(fds[1], "x", 1), 1); }
    void receive() const {
        char byte = 0;
        EXPECT_EQ(::read(fds[0], &byte, 1), 1);
    }
    int near() const { return fds[0]; }

    std::array<int, 2> fds{-1, -1};
};

class ReaderTest : public LoopFixture {
protected:
    void TearDown() override {
        // The loop goes first: no descriptor may be closed while it is watched.
        LoopFixture::TearDown();
    }

    SocketPair first;
    SocketPair second;
};

TEST_F(ReaderTest, S003_ready_callbacks_then_readers_before_writers_then_timers) {
    first.send();
    loop->call_later(0s, note("timer "));
    loop->add_writer(first.near(), note("writer "));
    loop->add_reader(first.near(), note("reader "));
    loop->call_soon(note("soon "));
    iterate();
    EXPECT_EQ(notes, "soon reader writer timer ");
}

TEST_F(ReaderTest, S005_readers_run_although_the_ready_queue_never_empties) {
    int turns = 0;
    std::function<void()> again = [&] {
        ++turns;
        loop->call_soon(again);
    };
    loop->call_soon(again);
    loop->add_reader(first.near(), [&] {
        first.receive();
        notes += "read ";
        loop->stop();
    });
    loop->call_later(0s, [&] { first.send(); });
    loop->run_forever();
    EXPECT_EQ(notes, "read ");
    EXPECT_EQ(turns, 2) << "the descriptor is polled in every iteration in virtual time";
}

TEST_F(ReaderTest, S020_a_reader_is_called_as_long_as_there_is_something_to_read) {
    first.send();
    loop->add_reader(first.near(), note("r"));
    iterate(3);
    EXPECT_EQ(notes, "rrr");
    first.receive();
    iterate(3);
    EXPECT_EQ(notes, "rrr");
}

TEST_F(ReaderTest, S020_add_reader_replaces_the_reader_and_keeps_the_writer) {
    first.send();
    auto owned = std::make_shared<int>(1);
    loop->add_reader(first.near(), [owned] { FAIL() << "it was replaced"; });
    loop->add_writer(first.near(), note("w"));
    loop->add_reader(first.near(), note("r"));
    EXPECT_EQ(owned.use_count(), 1);
    iterate();
    EXPECT_EQ(notes, "rw");
}

TEST_F(ReaderTest, S020_add_writer_replaces_the_writer_and_keeps_the_reader) {
    first.send();
    loop->add_reader(first.near(), note("r"));
    loop->add_writer(first.near(), [] { FAIL() << "it was replaced"; });
    loop->add_writer(first.near(), note("w"));
    iterate();
    EXPECT_EQ(notes, "rw");
}

TEST_F(ReaderTest, S020_remove_tells_whether_there_was_one_and_keeps_the_other_direction) {
    first.send();
    EXPECT_FALSE(loop->remove_reader(first.near()));
    EXPECT_FALSE(loop->remove_writer(first.near()));
    EXPECT_FALSE(loop->remove_reader(-1));
    EXPECT_FALSE(loop->remove_reader(100000));
    loop->add_reader(first.near(), note("r"));
    loop->add_writer(first.near(), note("w"));
    EXPECT_TRUE(loop->remove_reader(first.near()));
    EXPECT_FALSE(loop->remove_reader(first.near()));
    iterate();
    EXPECT_EQ(notes, "w");
    EXPECT_TRUE(loop->remove_writer(first.near()));
    iterate();
    EXPECT_EQ(notes, "w");
}

TEST_F(ReaderTest, S020_a_reader_may_remove_or_replace_itself_while_it_runs) {
    first.send();
    second.send();
    auto owned = std::make_shared<std::string>("removed ");
    loop->add_reader(first.near(), [this, owned] {
        EXPECT_TRUE(loop->remove_reader(first.near()));
        notes += *owned;
    });
    loop->add_reader(second.near(), [this] {
        loop->add_reader(second.near(), note("replaced "));
        notes += "replacing ";
    });
    iterate();
    iterate();
    EXPECT_EQ(notes, "removed replacing replaced ");
    EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(ReaderTest, S007_an_exception_of_a_reader_is_reported_and_the_reader_stays) {
    first.send();
    loop->add_reader(first.near(), [] { throw std::runtime_error("broken"); });
    iterate(2);
    EXPECT_EQ(take_reports().size(), 2U);
}

// An operation of the library, such as a transport's, on a descriptor.
struct Operation : asyncio::IoOperation {
    Operation(int fd, asyncio::IoDirection direction)
        : IoOperation(&Operation::run, fd, direction, false) {}
    static void run(Runnable&, Turn) {}
};

TEST_F(ReaderTest, S021_a_descriptor_that_an_operation_waits_for_takes_no_reader) {
    Operation reading(first.near(), asyncio::IoDirection::read);
    Operation writing(second.near(), asyncio::IoDirection::write);
    loop->poller().start(reading);
    loop->poller().start(writing);
    auto owned = std::make_shared<int>(1);
    EXPECT_THROW(loop->add_reader(first.near(), [owned] {}), asyncio::RuntimeError);
    EXPECT_THROW(loop->add_writer(second.near(), [owned] {}), asyncio::RuntimeError);
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_FALSE(loop->remove_reader(first.near())) << "it is not a reader's";
    EXPECT_EQ(loop->poller().watching(first.near(), asyncio::IoDirection::read), &reading);
    loop->poller().cancel(reading);
    loop->poller().cancel(writing);
    loop->add_reader(first.near(), note("r"));
}

TEST_F(ReaderTest, S022_a_reader_removed_in_the_batch_of_its_event_does_not_run) {
    first.send();
    loop->add_reader(first.near(), note("reader "));
    loop->add_writer(second.near(), note("writer "));
    // Runs in front of both, when their events are in the queue already.
    loop->call_soon([this] {
        EXPECT_TRUE(loop->remove_reader(first.near()));
        EXPECT_TRUE(loop->remove_writer(second.near()));
        notes += "removed ";
    });
    iterate(2);
    EXPECT_EQ(notes, "removed ");
    EXPECT_EQ(loop->poller().watched(), 0U);
}

TEST_F(ReaderTest, S018_close_lets_go_of_readers) {
    first.send();
    auto owned = std::make_shared<int>(1);
    loop->add_reader(first.near(), [owned] {});
    loop->add_writer(second.near(), [owned] {});
    loop->run_once(0s);
    loop->close();
    EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
