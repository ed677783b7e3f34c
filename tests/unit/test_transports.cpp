// Transports over sockets, and what they tell their protocols.
#include "net_fixture.hpp"

#include <array>
#include <stdexcept>

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::Transport;

namespace {

using Transports = TransportFixture;

// ---- the order of calls

TEST_F(Transports, S277_a_protocol_is_told_in_order_and_always_from_the_loop) {
    prepare = [this](NotingProtocol& p) {
        p.on_made = [this] { EXPECT_TRUE(loop->is_running()); };
        p.on_lost = [this] { EXPECT_TRUE(loop->is_running()); };
    };
    send("early");
    connect();
    iterate();
    EXPECT_EQ(notes, "made data:early ");
    send("more");
    iterate();
    far.close();
    iterate();
    EXPECT_EQ(notes, "made data:early data:more eof ");
    iterate();
    EXPECT_EQ(notes, "made data:early data:more eof lost ");
    iterate(3);
    EXPECT_EQ(notes, "made data:early data:more eof lost ");
}

TEST_F(Transports, S277_connection_lost_never_comes_from_inside_close) {
    connect();
    protocol->on_data = [this] {
        transport().close();
        notes += "closed ";
    };
    send("x");
    iterate(2);
    EXPECT_EQ(notes, "made data:x closed lost ");
    transport().close();
    transport().abort();
    iterate(2);
    EXPECT_EQ(notes, "made data:x closed lost ");
}

TEST_F(Transports, S277_a_transport_closed_before_its_first_turn_still_says_made_then_lost) {
    prepare = [](NotingProtocol& p) { p.on_made = [&p] { p.transport->abort(); }; };
    send("never read");
    connect();
    iterate_until_lost();
    EXPECT_EQ(notes, "made lost ");
}

TEST_F(Transports, S278_eof_keeps_the_write_side_open_if_the_protocol_says_so) {
    prepare = [](NotingProtocol& p) { p.keep_open = true; };
    connect();
    far.shutdown_write();
    iterate(3);
    EXPECT_EQ(notes, "made eof ");
    EXPECT_FALSE(transport().is_closing());
    transport().write("still here");
    EXPECT_EQ(receive(), "still here");
    transport().close();
    iterate_until_lost();
}

// ---- writing

TEST_F(Transports, S279_write_sends_at_once) {
    connect();
    transport().write("abc");
    EXPECT_EQ(receive(), "abc");
    transport().write(std::string("owned"));
    EXPECT_EQ(receive(), "owned");
    const std::array<std::byte, 2> bytes{std::byte{'h'}, std::byte{'i'}};
    transport().write(bytes);
    EXPECT_EQ(receive(), "hi");
    transport().write("");
    EXPECT_EQ(transport().get_write_buffer_size(), 0U);
}

TEST_F(Transports, S279_what_the_kernel_does_not_take_is_sent_later_in_order) {
    connect();
    std::string sent;
    std::string got;
    int number = 0;
    while (transport().get_write_buffer_size() < 300000) {
        std::string piece(static_cast<std::size_t>(number % 70000 + 1), 'a');
        piece += std::to_string(number);
        number += 7919;
        sent += piece;
        if (number % 2 == 0) {
            transport().write(piece);
        } else {
            transport().write(std::string(piece));
        }
    }
    while (got.size() < sent.size()) {
        got += receive();
        iterate();
    }
    EXPECT_EQ(got, sent);
    EXPECT_EQ(transport().get_write_buffer_size(), 0U);
}

TEST_F(Transports, S279_writelines_sends_all_pieces_in_order) {
    connect();
    std::vector<std::string> lines;
    for (int i = 0; i < 200; ++i) {
        lines.push_back(std::string(static_cast<std::size_t>(i * 37), 'l') + std::to_string(i));
    }
    std::string sent;
    std::vector<std::string_view> views;
    for (const std::string& line : lines) {
        sent += line;
        views.emplace_back(line);
    }
    transport().writelines(views);
    transport().writelines({});
    std::string got;
    while (got.size() < sent.size()) {
        got += receive();
        iterate();
    }
    EXPECT_EQ(got, sent);
}

TEST_F(Transports, S280_close_sends_what_was_written_first) {
    connect();
    fill();
    const std::size_t waiting = transport().get_write_buffer_size();
    EXPECT_GT(waiting, 0U);
    transport().close();
    EXPECT_TRUE(transport().is_closing());
    iterate(3);
    EXPECT_FALSE(protocol->lost);
    empty();
    EXPECT_TRUE(protocol->lost);
    EXPECT_EQ(receive(), "EOF");
}

TEST_F(Transports, S280_abort_drops_what_was_written) {
    connect();
    fill();
    transport().abort();
    EXPECT_EQ(transport().get_write_buffer_size(), 0U);
    iterate_until_lost();
    EXPECT_EQ(notes.substr(notes.size() - 5), "lost ");
}

TEST_F(Transports, S280_close_stops_reading) {
    connect();
    fill();
    transport().close();
    send("too late");
    iterate(3);
    EXPECT_EQ(protocol->received, "");
    transport().abort();
    iterate_until_lost();
}

TEST_F(Transports, S281_writes_after_the_loss_are_dropped_and_then_warned_about) {
    connect();
    transport().abort();
    iterate_until_lost();
    for (int i = 0; i < 4; ++i) {
        transport().write("x");
    }
    EXPECT_EQ(captured.take().size(), 0U);
    const std::array<std::string_view, 1> pieces{"y"};
    transport().writelines(pieces);
    transport().write("z");
    EXPECT_EQ(captured.take().size(), 1U);
}

TEST_F(Transports, S282_write_eof_closes_one_direction_after_the_buffer) {
    connect();
    const std::size_t before = fill();
    EXPECT_GT(before, 0U);
    EXPECT_TRUE(transport().can_write_eof());
    transport().write_eof();
    transport().write_eof();
    EXPECT_THROW(transport().write("x"), asyncio::RuntimeError);
    empty();
    EXPECT_EQ(receive(), "EOF");
    send("answer");
    iterate();
    EXPECT_EQ(protocol->received, "answer");
    transport().close();
    iterate_until_lost();
}

TEST_F(Transports, S282_write_eof_of_an_empty_buffer_is_seen_at_once) {
    connect();
    transport().write("last");
    transport().write_eof();
    EXPECT_EQ(receive(), "last");
    EXPECT_EQ(receive(), "EOF");
    transport().close();
    iterate_until_lost();
}

// ---- flow control

TEST_F(Transports, S283_limits_have_defaults_and_are_checked) {
    connect();
    const auto limits = [this] {
        const asyncio::WriteBufferLimits found = transport().get_write_buffer_limits();
        return std::pair(found.low, found.high);
    };
    EXPECT_EQ(limits(), std::pair(std::size_t{16384}, std::size_t{65536}));
    transport().set_write_buffer_limits(1024);
    EXPECT_EQ(limits(), std::pair(std::size_t{256}, std::size_t{1024}));
    transport().set_write_buffer_limits(std::nullopt, 10);
    EXPECT_EQ(limits(), std::pair(std::size_t{10}, std::size_t{40}));
    transport().set_write_buffer_limits(0);
    EXPECT_EQ(limits(), std::pair(std::size_t{0}, std::size_t{0}));
    EXPECT_THROW(transport().set_write_buffer_limits(1, 2), asyncio::ValueError);
    transport().set_write_buffer_limits();
    EXPECT_EQ(limits(), std::pair(std::size_t{16384}, std::size_t{65536}));
}

TEST_F(Transports, S283_pause_above_the_upper_limit_resume_at_the_lower_in_pairs) {
    connect();
    fill();
    EXPECT_EQ(notes, "made ");
    transport().set_write_buffer_limits(transport().get_write_buffer_size() + 10, 5);
    transport().write(std::string(10, 'y'));
    EXPECT_EQ(notes, "made ") << "exactly the limit is not above it";
    transport().write("z");
    EXPECT_EQ(notes, "made pause ");
    transport().write(std::string(100000, 'y'));
    EXPECT_EQ(notes, "made pause ");
    empty();
    EXPECT_EQ(notes, "made pause resume ");
    transport().set_write_buffer_limits(0);
    fill();
    EXPECT_EQ(notes, "made pause resume pause ");
    empty();
    EXPECT_EQ(notes, "made pause resume pause resume ");
    transport().close();
    iterate_until_lost();
}

TEST_F(Transports, S283_writelines_pauses_the_protocol) {
    connect();
    const std::string large(1 << 20, 'l');
    const std::array<std::string_view, 4> pieces{large, large, large, large};
    transport().writelines(pieces);
    EXPECT_EQ(notes, "made pause ");
    transport().abort();
    iterate_until_lost();
}

TEST_F(Transports, S283_what_pause_writing_throws_is_reported) {
    connect();
    transport().set_write_buffer_limits(0);
    protocol->on_pause = [] { throw std::runtime_error("no"); };
    fill();
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "protocol.pause_writing() failed");
    EXPECT_EQ(reports[0].transport, protocol->transport.get());
    EXPECT_EQ(reports[0].protocol, protocol.get());
    EXPECT_FALSE(transport().is_closing());
    transport().abort();
    iterate_until_lost();
}

TEST_F(Transports, S284_pausing_and_resuming_reading_are_idempotent) {
    connect();
    EXPECT_TRUE(transport().is_reading());
    transport().pause_reading();
    transport().pause_reading();
    EXPECT_FALSE(transport().is_reading());
    send("waits");
    iterate(3);
    EXPECT_EQ(protocol->received, "");
    transport().resume_reading();
    transport().resume_reading();
    EXPECT_TRUE(transport().is_reading());
    iterate();
    EXPECT_EQ(protocol->received, "waits");
    transport().close();
    EXPECT_FALSE(transport().is_reading());
    transport().resume_reading();
    transport().pause_reading();
    EXPECT_FALSE(transport().is_reading());
    iterate_until_lost();
}

TEST_F(Transports, S284_reading_may_be_paused_in_connection_made) {
    prepare = [](NotingProtocol& p) { p.on_made = [&p] { p.transport->pause_reading(); }; };
    send("waits");
    connect();
    iterate(3);
    EXPECT_EQ(protocol->received, "");
    transport().resume_reading();
    iterate();
    EXPECT_EQ(protocol->received, "waits");
    transport().close();
    iterate_until_lost();
}

// ---- errors

TEST_F(Transports, S285_what_data_received_throws_is_reported_and_ends_the_connection) {
    connect();
    protocol->on_data = [] { throw std::runtime_error("bad"); };
    send("x");
    iterate(2);
    EXPECT_EQ(notes, "made data:x lost:runtime_error: bad ");
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Fatal error: protocol.data_received() call failed.");
}

TEST_F(Transports, S285_what_eof_received_throws_is_reported_and_ends_the_connection) {
    connect();
    protocol->on_eof = [] { throw std::runtime_error("bad"); };
    far.close();
    iterate(2);
    EXPECT_EQ(notes, "made eof lost:runtime_error: bad ");
    EXPECT_EQ(take_reports().size(), 1U);
}

TEST_F(Transports, S285_what_connection_made_and_lost_throw_is_reported) {
    prepare = [](NotingProtocol& p) {
        p.on_made = [] { throw std::runtime_error("bad"); };
        p.on_lost = [] { throw std::runtime_error("worse"); };
    };
    connect();
    send("goes on");
    iterate(2);
    EXPECT_EQ(protocol->received, "goes on");
    transport().close();
    iterate_until_lost();
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[0].message, "protocol.connection_made() failed");
    EXPECT_EQ(reports[1].message, "protocol.connection_lost() failed");
}

TEST_F(Transports, S285_errors_of_the_network_are_told_to_the_protocol_only) {
    connect();
    // A peer that ends with bytes unread answers with a reset.
    transport().write("unread");
    far.close();
    transport().write("x");
    iterate_until_lost();
    EXPECT_NE(notes.find("lost:system_error: connection"), std::string::npos) << notes;
}

TEST_F(Transports, S285_a_loop_break_leaves_the_loop_and_the_transport_goes_on) {
    connect();
    protocol->on_data = [this] {
        protocol->on_data = nullptr;
        throw asyncio::SystemExit(3);
    };
    send("x");
    EXPECT_THROW(loop->run_forever(), asyncio::SystemExit);
    send("y");
    iterate();
    EXPECT_EQ(protocol->received, "xy");
    transport().close();
    iterate_until_lost();
}

// ---- protocols of their own

struct Buffered final : asyncio::BufferedProtocol {
    std::span<std::byte> get_buffer(std::ptrdiff_t) override {
        return std::span(room).first(room_size);
    }
    void buffer_updated(std::size_t count) override {
        got.append(reinterpret_cast<const char*>(room.data()), count);
    }
    bool eof_received() override {
        got += "|";
        return false;
    }
    std::array<std::byte, 4> room{};
    std::size_t room_size = 4;
    std::string got;
};

TEST_F(Transports, a_buffered_protocol_gets_the_bytes_where_it_wants_them) {
    connect();
    auto buffered = std::make_shared<Buffered>();
    transport().set_protocol(buffered);
    EXPECT_EQ(transport().get_protocol(), buffered);
    send("abcdefghij");
    iterate(3);
    EXPECT_EQ(buffered->got, "abcdefghij");
    buffered->data_received("klmnop");
    EXPECT_EQ(buffered->got, "abcdefghijklmnop");
    far.close();
    iterate(3);
    EXPECT_EQ(buffered->got, "abcdefghijklmnop|");
    EXPECT_EQ(transport().get_protocol(), nullptr);
}

TEST_F(Transports, a_buffered_protocol_without_a_buffer_ends_the_connection) {
    connect();
    auto buffered = std::make_shared<Buffered>();
    buffered->room_size = 0;
    transport().set_protocol(buffered);
    send("x");
    iterate(2);
    const auto reports = take_reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].message, "Fatal error: protocol.get_buffer() call failed.");
    EXPECT_THROW(buffered->data_received("y"), asyncio::RuntimeError);
}

TEST_F(Transports, a_protocol_may_replace_itself_while_it_is_told) {
    connect();
    auto buffered = std::make_shared<Buffered>();
    protocol->on_data = [&] {
        const auto kept = protocol->transport;
        kept->set_protocol(buffered);
        protocol->on_data = nullptr;
    };
    send("x");
    iterate();
    send("y");
    iterate();
    EXPECT_EQ(protocol->received, "x");
    EXPECT_EQ(buffered->got, "y");
    transport().abort();
    iterate(2);
}

// ---- ends of life

TEST_F(Transports, a_loop_that_closes_gives_the_descriptor_back_without_calls) {
    connect();
    fill();
    const std::size_t before = notes.size();
    protocol->transport.reset();
    loop.reset();
    EXPECT_EQ(notes.size(), before);
    std::size_t got = 0;
    for (std::string text = receive(); text != "EOF" && !text.empty(); text = receive()) {
        got += text.size();
    }
    EXPECT_GT(got, 0U);
    EXPECT_EQ(protocol.use_count(), 1);
}

TEST_F(Transports, a_loop_that_closes_with_a_connection_open_says_so_in_debug_mode) {
    connect();
    loop->set_debug(true);
    loop.reset();
    const auto lines = captured.take();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("ResourceWarning"), std::string::npos);
    transport().write("harmless");
    transport().close();
    transport().abort();
    transport().pause_reading();
    transport().set_protocol(nullptr);
}

TEST_F(Transports, a_connection_nobody_holds_goes_on) {
    connect();
    protocol->transport.reset();
    send("x");
    iterate();
    EXPECT_EQ(protocol->received, "x");
    far.close();
    iterate_until_lost();
}

TEST_F(Transports, extra_info_has_the_type_its_key_tells) {
    connect();
    EXPECT_GE(transport().get_extra_info(asyncio::extra_info::socket).value_or(-1), 0);
    EXPECT_EQ(transport().get_extra_info(asyncio::extra_info::sockname), asyncio::Address());
    EXPECT_FALSE(transport().get_extra_info(asyncio::ExtraInfo<int>{"peername"}));
    EXPECT_FALSE(transport().get_extra_info(asyncio::ExtraInfo<int>{"nonsense"}));
    transport().close();
    iterate_until_lost();
    EXPECT_FALSE(transport().get_extra_info(asyncio::extra_info::socket));
}

}  // namespace
