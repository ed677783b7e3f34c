// StreamReader on its own: what is fed, and what the functions that read make of it.
#include <asyncio/asyncio.hpp>
#include <asyncio/streams.hpp>
#include <asyncio/testing/gtest.hpp>

#include "coordination_fixture.hpp"
#include "random_seed.hpp"

#include <algorithm>
#include <array>
#include <random>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::StreamReader;

namespace {

class StreamReaders : public Coordination {
protected:
    // Feeds when the tasks that are ready have run.
    void feed_later(StreamReader& reader, std::string data) {
        loop->call_soon([reader, data = std::move(data)]() mutable { reader.feed_data(data); });
    }
    // The exception a read ends with, and what it says.
    template <class T>
    std::string failure(Coro<T> read) {
        try {
            loop->run_until_complete(std::move(read));
        } catch (const std::exception&) {
            return asyncio::describe_exception(std::current_exception());
        }
        return "none";
    }
    template <class T>
    T get(Coro<T> read) {
        return loop->run_until_complete(std::move(read));
    }
    static StreamReader fed(std::string_view data, bool eof = false,
                            std::size_t limit = asyncio::default_stream_limit) {
        StreamReader reader(limit);
        reader.feed_data(data);
        if (eof) {
            reader.feed_eof();
        }
        return reader;
    }
};

TEST_F(StreamReaders, S252_a_limit_of_zero_is_refused) {
    EXPECT_THROW(StreamReader(0), asyncio::ValueError);
    EXPECT_EQ(asyncio::default_stream_limit, 65536U);
}

TEST_F(StreamReaders, S253_read_gives_what_is_there_and_no_more_than_asked_for) {
    StreamReader reader = fed("abcdef");
    EXPECT_EQ(get(reader.read(4)), "abcd");
    EXPECT_EQ(get(reader.read(4)), "ef");
    feed_later(reader, "late");
    EXPECT_EQ(get(reader.read(100)), "late");
}

TEST_F(StreamReaders, S253_read_of_nothing_does_not_wait) {
    StreamReader reader;
    EXPECT_EQ(get(reader.read(0)), "");
}

TEST_F(StreamReaders, S253_read_without_a_size_reads_to_the_end_beyond_the_limit) {
    StreamReader reader = fed("line1\n", false, 4);
    feed_later(reader, "line2");
    loop->call_soon([reader]() mutable { reader.feed_eof(); });
    EXPECT_EQ(get(reader.read()), "line1\nline2");
    EXPECT_EQ(get(reader.read()), "");
    EXPECT_EQ(get(reader.read(static_cast<std::size_t>(-1))), "");
}

TEST_F(StreamReaders, S253_read_at_the_end_gives_nothing) {
    StreamReader reader;
    loop->call_soon([reader]() mutable { reader.feed_eof(); });
    EXPECT_EQ(get(reader.read(1024)), "");
}

TEST_F(StreamReaders, S253_the_limit_does_not_apply_to_read) {
    StreamReader reader = fed("chunk", false, 3);
    EXPECT_EQ(get(reader.read(5)), "chunk");
}

TEST_F(StreamReaders, read_into_takes_from_the_buffer_or_waits) {
    StreamReader reader = fed("abc");
    std::array<std::byte, 2> room{};
    EXPECT_EQ(get(reader.read_into(room)), 2U);
    EXPECT_EQ(room[1], std::byte{'b'});
    EXPECT_EQ(get(reader.read_into(room)), 1U);
    feed_later(reader, "xyz");
    EXPECT_EQ(get(reader.read_into(room)), 2U);
    EXPECT_EQ(room[0], std::byte{'x'});
    EXPECT_EQ(get(reader.read_into({})), 0U);
    EXPECT_EQ(get(reader.read(9)), "z");
    reader.feed_eof();
    EXPECT_EQ(get(reader.read_into(room)), 0U);
}

TEST_F(StreamReaders, S254_readexactly_waits_for_all_of_it_beyond_the_limit) {
    StreamReader reader = fed("abc", false, 3);
    feed_later(reader, "defg");
    feed_later(reader, "hij");
    EXPECT_EQ(get(reader.readexactly(9)), "abcdefghi");
    EXPECT_EQ(get(reader.readexactly(1)), "j");
    EXPECT_EQ(get(reader.readexactly(0)), "");
}

TEST_F(StreamReaders, S254_readexactly_at_the_end_throws_what_was_there_and_empties_the_buffer) {
    StreamReader reader = fed("some", true);
    try {
        get(reader.readexactly(8));
        FAIL() << "no error";
    } catch (const asyncio::IncompleteReadError& error) {
        EXPECT_EQ(error.partial(), "some");
        EXPECT_EQ(error.expected(), 8U);
        EXPECT_STREQ(error.what(), "4 bytes read on a total of 8 expected bytes");
    }
    EXPECT_TRUE(reader.at_eof());
}

TEST_F(StreamReaders, S254_readexactly_of_a_negative_size_is_refused) {
    StreamReader reader;
    EXPECT_EQ(failure(reader.readexactly(static_cast<std::size_t>(-1))),
              "ValueError: readexactly size can not be less than zero");
}

TEST_F(StreamReaders, S255_readline_includes_the_newline_and_gives_the_rest_at_the_end) {
    StreamReader reader = fed("one\ntwo\nrest", true);
    EXPECT_EQ(get(reader.readline()), "one\n");
    EXPECT_EQ(get(reader.readline()), "two\n");
    EXPECT_EQ(get(reader.readline()), "rest");
    EXPECT_EQ(get(reader.readline()), "");
}

TEST_F(StreamReaders, S255_readline_waits_for_the_newline) {
    StreamReader reader = fed("chunk1 ");
    feed_later(reader, "chunk2 ");
    feed_later(reader, "chunk3\nchunk4");
    EXPECT_EQ(get(reader.readline()), "chunk1 chunk2 chunk3\n");
    EXPECT_EQ(get(reader.read(6)), "chunk4");
}

TEST_F(StreamReaders, S256_a_line_beyond_the_limit_is_dropped_and_the_next_one_is_there) {
    StreamReader reader = fed("toolong\nok\n", false, 3);
    EXPECT_EQ(failure(reader.readline()),
              "ValueError: Separator is found, but chunk is longer than limit");
    EXPECT_EQ(get(reader.readline()), "ok\n");
}

TEST_F(StreamReaders, S256_without_a_newline_the_whole_buffer_is_dropped) {
    StreamReader reader = fed("toolong", false, 3);
    EXPECT_EQ(failure(reader.readline()),
              "ValueError: Separator is not found, and chunk exceed the limit");
    feed_later(reader, "ok\n");
    EXPECT_EQ(get(reader.readline()), "ok\n");
}

TEST_F(StreamReaders, S256_a_line_of_exactly_the_limit_is_allowed) {
    StreamReader reader = fed("abc\nabcd\n", false, 3);
    EXPECT_EQ(get(reader.readline()), "abc\n");
    EXPECT_NE(failure(reader.readline()), "none");
}

TEST_F(StreamReaders, S257_a_separator_may_arrive_in_pieces) {
    StreamReader reader = fed("dataA");
    feed_later(reader, "A");
    feed_later(reader, "Arest");
    EXPECT_EQ(get(reader.readuntil("AAA")), "dataAAA");
    EXPECT_EQ(get(reader.read(9)), "rest");
}

TEST_F(StreamReaders, S258_a_separator_beyond_the_limit_leaves_the_data) {
    StreamReader reader = fed("some datap", false, 3);
    try {
        get(reader.readuntil("p"));
        FAIL() << "no error";
    } catch (const asyncio::LimitOverrunError& error) {
        EXPECT_EQ(error.consumed(), 9U);
    }
    EXPECT_EQ(get(reader.read(100)), "some datap");
}

TEST_F(StreamReaders, S258_a_missing_separator_tells_how_much_cannot_hold_it) {
    StreamReader reader = fed("dataA", false, 3);
    try {
        get(reader.readuntil("AB"));
        FAIL() << "no error";
    } catch (const asyncio::LimitOverrunError& error) {
        EXPECT_EQ(error.consumed(), 4U);
        EXPECT_STREQ(error.what(), "Separator is not found, and chunk exceed the limit");
    }
    EXPECT_EQ(get(reader.read(100)), "dataA");
}

TEST_F(StreamReaders, S259_readuntil_at_the_end_throws_what_was_there) {
    StreamReader reader = fed("partial", true);
    try {
        get(reader.readuntil("\r\n"));
        FAIL() << "no error";
    } catch (const asyncio::IncompleteReadError& error) {
        EXPECT_EQ(error.partial(), "partial");
        EXPECT_EQ(error.expected(), std::nullopt);
    }
    EXPECT_TRUE(reader.at_eof());
}

TEST_F(StreamReaders, S259_an_empty_separator_is_refused) {
    StreamReader reader = fed("x");
    EXPECT_EQ(failure(reader.readuntil("")),
              "ValueError: Separator should be at least one-byte string");
    EXPECT_EQ(failure(reader.readuntil(std::vector<std::string>{})),
              "ValueError: Separator should contain at least one element");
    EXPECT_EQ(failure(reader.readuntil({"\n", ""})),
              "ValueError: Separator should be at least one-byte string");
}

TEST_F(StreamReaders, S260_of_several_separators_the_match_that_ends_first_wins) {
    StreamReader reader = fed("line 1\nline 2\r\nab");
    EXPECT_EQ(get(reader.readuntil({"\r\n", "\n"})), "line 1\n");
    // "\n" ends where "\r\n" does: both are the shortest.
    EXPECT_EQ(get(reader.readuntil({"\r\n", "\n"})), "line 2\r\n");
    EXPECT_EQ(get(reader.readuntil({"ab", "b", "a"})), "a");
}

TEST_F(StreamReaders, S260_separators_of_different_lengths_do_not_look_before_the_buffer) {
    StreamReader reader;
    feed_later(reader, "data");
    feed_later(reader, "A");
    EXPECT_EQ(get(reader.readuntil({"A", "long sep"})), "dataA");
}

TEST_F(StreamReaders, S260_the_limit_counts_to_the_shortest_separator_that_ends_first) {
    for (const auto& separators :
         {asyncio::Separators{"A", "ome dataA"}, asyncio::Separators{"ome dataA", "A"}}) {
        StreamReader reader = fed("some dataA", false, 3);
        EXPECT_EQ(failure(reader.readuntil(separators)),
                  "LimitOverrunError: Separator is found, but chunk is longer than limit");
        EXPECT_EQ(get(reader.read(100)), "some dataA");
    }
}

TEST_F(StreamReaders, S261_an_exception_wakes_the_reader_and_fails_reads_even_with_data) {
    StreamReader reader;
    EXPECT_EQ(reader.exception(), nullptr);
    loop->call_soon([reader]() mutable {
        reader.set_exception(std::make_exception_ptr(asyncio::ValueError("broken")));
    });
    EXPECT_EQ(failure(reader.read(2)), "ValueError: broken");
    reader.feed_data("line\n");
    EXPECT_EQ(failure(reader.read(2)), "ValueError: broken");
    EXPECT_EQ(failure(reader.readline()), "ValueError: broken");
    EXPECT_EQ(failure(reader.readexactly(1)), "ValueError: broken");
    EXPECT_EQ(failure(reader.readuntil("x")), "ValueError: broken");
    EXPECT_EQ(failure(reader.read()), "ValueError: broken");
    EXPECT_NE(reader.exception(), nullptr);
}

TEST_F(StreamReaders, S261_an_exception_after_the_reader_was_cancelled_harms_nothing) {
    StreamReader reader;
    auto task = loop->create_task(reader.readline());
    iterate();
    task.cancel();
    iterate();
    reader.set_exception(std::make_exception_ptr(asyncio::ValueError("late")));
    iterate();
    EXPECT_TRUE(task.cancelled());
}

TEST_F(StreamReaders, S262_two_reads_at_once_are_an_error_of_the_second) {
    StreamReader reader;
    auto first = loop->create_task(reader.read(10));
    iterate();
    EXPECT_EQ(failure(reader.readline()),
              "RuntimeError: readline() called while another coroutine is already waiting for "
              "incoming data: let one task read, or guard the stream with a Lock");
    reader.feed_data("x");
    EXPECT_EQ(loop->run_until_complete(first), "x");
}

TEST_F(StreamReaders, S263_a_cancelled_read_loses_nothing_at_any_step) {
    using Read = std::function<Coro<std::string>(StreamReader&)>;
    const Read reads[] = {
        [](StreamReader& reader) { return reader.read(); },
        [](StreamReader& reader) { return reader.read(64); },
        [](StreamReader& reader) { return reader.readline(); },
        [](StreamReader& reader) { return reader.readexactly(12); },
        [](StreamReader& reader) { return reader.readuntil("|"); },
        [](StreamReader& reader) -> Coro<std::string> {
            std::string room(5, '\0');
            room.resize(co_await reader.read_into(std::as_writable_bytes(std::span(room))));
            co_return room;
        },
    };
    for (const Read& read : reads) {
        for (int steps = 0; steps < 8; ++steps) {
            StreamReader reader;
            auto task = loop->create_task(read(reader));
            std::string sent;
            for (int i = 0; i < steps; ++i) {
                const std::string piece = "p" + std::to_string(i) + ";";
                sent += piece;
                reader.feed_data(piece);
                iterate();
            }
            task.cancel();
            iterate(2);
            std::string got = task.cancelled() ? "" : task.result();
            reader.feed_eof();
            got += get(reader.read());
            EXPECT_EQ(got, sent) << "read " << (&read - reads) << ", cancelled after " << steps;
        }
    }
}

TEST_F(StreamReaders, S263_what_a_cancelled_read_gives_back_wakes_who_waits_meanwhile) {
    StreamReader reader;
    auto first = loop->create_task(reader.read());
    reader.feed_data("data");
    iterate(2);  // the first has taken it, and waits for more
    auto second = loop->create_task(reader.read(10));
    first.cancel();
    iterate(4);
    EXPECT_TRUE(first.cancelled());
    ASSERT_TRUE(second.done());
    EXPECT_EQ(second.result(), "data");
}

TEST_F(StreamReaders, S264_at_eof_means_that_the_end_was_seen_and_everything_read) {
    StreamReader reader = fed("some data\n");
    EXPECT_FALSE(reader.at_eof());
    get(reader.readline());
    EXPECT_FALSE(reader.at_eof());
    reader.feed_data("some data\n");
    reader.feed_eof();
    EXPECT_FALSE(reader.at_eof());
    get(reader.readline());
    EXPECT_TRUE(reader.at_eof());
    EXPECT_THROW(reader.feed_data("x"), asyncio::RuntimeError);
}

TEST_F(StreamReaders, S265_iteration_gives_lines_until_the_end) {
    StreamReader reader = fed("a\nb\nc", true);
    const auto collect = [](StreamReader source) -> Coro<std::string> {
        std::string all;
        auto lines = source.lines();
        while (auto line = co_await lines.next()) {
            all += "[" + *line + "]";
        }
        co_return all;
    };
    EXPECT_EQ(get(collect(reader)), "[a\n][b\n][c]");
}

// However it is cut, what is read is what was fed.
TEST_F(StreamReaders, S257_random_pieces_and_random_reads_give_the_same_bytes) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    const auto below = [&random](std::size_t bound) { return random() % bound; };
    for (int round = 0; round < 300; ++round) {
        std::string text;
        for (std::size_t i = below(400); i > 0; --i) {
            text += "ab|\n"[below(4)];
        }
        StreamReader reader(20);
        auto feeding = loop->create_task([&]() -> Coro<void> {
            for (std::size_t at = 0; at < text.size();) {
                const std::size_t size = std::min(text.size() - at, 1 + below(30));
                reader.feed_data(std::string_view(text).substr(at, size));
                at += size;
                co_await asyncio::sleep(0);
            }
            reader.feed_eof();
        });
        std::string got;
        auto reading = loop->create_task([&]() -> Coro<void> {
            while (!reader.at_eof()) {
                try {
                    switch (below(4)) {
                    case 0:
                        got += co_await reader.read(1 + below(20));
                        break;
                    case 1:
                        got += co_await reader.readexactly(below(20));
                        break;
                    case 2:
                        got += co_await reader.readuntil({"|", "a|\n"});
                        break;
                    default: {
                        std::array<std::byte, 7> room{};
                        const std::size_t count = co_await reader.read_into(room);
                        got.append(reinterpret_cast<const char*>(room.data()), count);
                    }
                    }
                } catch (const asyncio::IncompleteReadError& error) {
                    got += error.partial();
                } catch (const asyncio::LimitOverrunError&) {
                    // Those without the separator stay, and the next read may take them.
                }
                co_await asyncio::sleep(0);
            }
        });
        loop->run_until_complete(reading);
        loop->run_until_complete(feeding);
        ASSERT_EQ(got, text);
    }
}

}  // namespace
