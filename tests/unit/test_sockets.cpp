// The low-level operations on sockets, against the kernel's own.
#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/testing/gtest.hpp>

#include "sanitizers.hpp"
#include "socket_pairs.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <array>
#include <filesystem>
#include <numeric>

using namespace socket_tests;
using namespace std::chrono_literals;
using asyncio::Address;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Socket;
using asyncio::Task;

namespace {

// Closes a TCP socket so that its peer gets a reset instead of an end.
void reset(Socket& socket) {
    const linger now{1, 0};
    ASSERT_EQ(::setsockopt(socket.fileno(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    socket.close();
}

Coro<std::pair<Socket, Socket>> tcp_pair() {
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    Socket client(asyncio::AddressFamily::inet);
    co_await asyncio::sock_connect(client, listener.getsockname());
    asyncio::Accepted accepted = co_await asyncio::sock_accept(listener);
    co_return std::pair(std::move(client), std::move(accepted.socket));
}

// ---- Socket

TEST(Sockets, a_socket_makes_what_it_takes_over_non_blocking) {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    const Socket first(fds[0]);
    const Socket second(fds[1]);
    EXPECT_NE(::fcntl(first.fileno(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(Sockets, a_descriptor_that_is_no_descriptor_is_refused) {
    EXPECT_THROW(Socket(-1), std::system_error);
    EXPECT_THROW(Socket(100000), std::system_error);
}

TEST(Sockets, a_socket_owns_its_descriptor) {
    auto [first, second] = asyncio::socketpair();
    const int number = first.fileno();
    Socket moved = std::move(first);
    EXPECT_EQ(first.fileno(), -1);
    EXPECT_FALSE(first);
    EXPECT_EQ(moved.fileno(), number);
    moved.close();
    moved.close();
    EXPECT_EQ(::fcntl(number, F_GETFL), -1);

    const int given_up = second.detach();
    second.close();
    EXPECT_NE(::fcntl(given_up, F_GETFL), -1);
    ::close(given_up);
}

ASYNC_TEST(Sockets, closing_a_socket_that_an_operation_waits_for_is_an_error) {
    auto [near, far] = asyncio::socketpair();
    const auto reader = asyncio::create_task(asyncio::sock_recv(near, 1));
    co_await turns();
    EXPECT_THROW(near.close(), asyncio::RuntimeError);
    write_all(far, "x");
    EXPECT_EQ(co_await reader, "x");
    near.close();
    EXPECT_FALSE(near);
}

TEST(Sockets, listening_at_a_port_that_is_taken_names_the_address) {
    const Socket first = Socket::listen_on(Address("127.0.0.1", 0));
    const Address taken = first.getsockname();
    EXPECT_NE(taken.port(), 0);
    try {
        const Socket second = Socket::listen_on(taken);
        FAIL() << "no error";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::address_in_use);
        EXPECT_NE(std::string(error.what()).find(taken.str()), std::string::npos) << error.what();
    }
}

// ---- what can go on at once, and what must wait

ASYNC_TEST(Sockets, S290_an_operation_that_need_not_wait_gives_no_turn) {
    auto [near, far] = asyncio::socketpair();
    write_all(far, "ready");
    bool other_ran = false;
    asyncio::get_running_loop().call_soon([&other_ran] { other_ran = true; });
    EXPECT_EQ(co_await asyncio::sock_recv(near, 100), "ready");
    co_await asyncio::sock_sendall(near, "answer");
    co_await asyncio::writable(near);
    EXPECT_FALSE(other_ran);
    co_await turns(1);
    EXPECT_TRUE(other_ran);
}

TEST(Sockets, S290_what_waited_is_done_in_one_iteration_and_its_task_runs_in_the_next) {
    const auto loop = asyncio::new_event_loop();
    auto [near, far] = asyncio::socketpair();
    const auto reader = loop->create_task(asyncio::sock_recv(near, 100));
    loop->run_once(no_time);
    EXPECT_EQ(loop->poller().watched(), 1U);
    loop->run_once(no_time);
    EXPECT_EQ(loop->poller().watched(), 1U);
    write_all(far, "x");
    loop->run_once(no_time);
    EXPECT_EQ(loop->poller().watched(), 0U);
    EXPECT_FALSE(reader.done());
    loop->run_once(no_time);
    EXPECT_TRUE(reader.done());
    EXPECT_EQ(reader.result(), "x");
}

ASYNC_TEST(Sockets, recv_gives_at_most_what_was_asked_for_and_nothing_at_the_end) {
    auto [near, far] = asyncio::socketpair();
    write_all(far, "abcdef");
    EXPECT_EQ(co_await asyncio::sock_recv(near, 4), "abcd");
    far.close();
    EXPECT_EQ(co_await asyncio::sock_recv(near, 4), "ef");
    EXPECT_EQ(co_await asyncio::sock_recv(near, 4), "");
}

ASYNC_TEST(Sockets, recv_into_fills_the_callers_buffer) {
    auto [near, far] = asyncio::socketpair();
    std::array<std::byte, 4> buffer{};
    const auto reader = asyncio::create_task(asyncio::sock_recv_into(near, buffer));
    co_await turns();
    write_all(far, "ab");
    EXPECT_EQ(co_await reader, 2U);
    EXPECT_EQ(buffer[1], std::byte{'b'});
    EXPECT_EQ(buffer[2], std::byte{});
    far.close();
    EXPECT_EQ(co_await asyncio::sock_recv_into(near, buffer), 0U);
}

ASYNC_TEST(Sockets, sendall_sends_everything_however_little_the_kernel_takes_at_once) {
    auto [near, far] = asyncio::socketpair();
    const int small = 4096;
    CO_ASSERT_EQ(::setsockopt(near.fileno(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    std::string sent(3'000'000, '\0');
    std::iota(sent.begin(), sent.end(), '\0');
    const auto sender = asyncio::create_task(asyncio::sock_sendall(near, sent));
    std::string received;
    while (received.size() < sent.size()) {
        received += co_await asyncio::sock_recv(far, 100'000);
    }
    co_await sender;
    EXPECT_TRUE(received == sent);
    EXPECT_EQ(watched(), 0U);
}

ASYNC_TEST(Sockets, sendall_of_nothing_is_done_at_once) {
    auto [near, far] = asyncio::socketpair();
    fill(near);
    co_await asyncio::sock_sendall(near, "");
    EXPECT_EQ(watched(), 0U);
}

ASYNC_TEST(Sockets, readable_and_writable_wait_without_taking_anything) {
    auto [near, far] = asyncio::socketpair();
    const auto reader = asyncio::create_task(asyncio::readable(near));
    fill(near);
    const auto writer = asyncio::create_task(asyncio::writable(near));
    co_await turns();
    EXPECT_FALSE(reader.done());
    EXPECT_FALSE(writer.done());
    write_all(far, "x");
    co_await reader;
    EXPECT_FALSE(writer.done());
    EXPECT_EQ(co_await asyncio::sock_recv(near, 10), "x");
    while (!writer.done()) {
        (void)co_await asyncio::sock_recv(far, 65536);
        co_await turns();
    }
    EXPECT_EQ(watched(), 0U);
}

ASYNC_TEST(Sockets, readable_works_for_every_descriptor_that_can_be_polled) {
    int ends[2];
    CO_ASSERT_EQ(::pipe(ends), 0);
    const auto reader = asyncio::create_task(asyncio::readable(ends[0]));
    co_await turns();
    ::close(ends[1]);
    co_await reader;  // the end of the stream counts as readable
    ::close(ends[0]);
}

ASYNC_TEST(Sockets, operations_are_accepted_where_coroutines_are) {
    auto [near, far] = asyncio::socketpair();
    const auto [sent, received] = co_await asyncio::gather(asyncio::sock_sendall(far, "hello"),
                                                           asyncio::sock_recv(near, 100));
    (void)sent;
    EXPECT_EQ(received, "hello");
    const Coro<std::string> none;
    Coro<std::string> coro = asyncio::sock_recv(near, 100);
    write_all(far, "again");
    EXPECT_EQ(co_await std::move(coro), "again");
    const auto task =
        asyncio::create_task({.name = "reader"}, asyncio::sock_recv, near.fileno(), 100U);
    co_await turns();
    write_all(far, "once more");
    EXPECT_EQ(co_await task, "once more");
}

// ---- connections

ASYNC_TEST(Sockets, a_tcp_connection_knows_both_addresses) {
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    auto accepting = asyncio::create_task(asyncio::sock_accept(listener));
    co_await turns();
    Socket client(asyncio::AddressFamily::inet);
    co_await asyncio::sock_connect(client, listener.getsockname());
    const asyncio::Accepted accepted = co_await std::move(accepting);
    EXPECT_EQ(accepted.address, client.getsockname());
    EXPECT_EQ(client.getpeername(), accepted.socket.getsockname());
    EXPECT_NE(::fcntl(accepted.socket.fileno(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(accepted.socket.fileno(), F_GETFD) & FD_CLOEXEC, 0);
    client.set_nodelay();
    client.shutdown_write();
    EXPECT_EQ(co_await asyncio::sock_recv(accepted.socket, 1), "");
}

Coro<void> check_local_connection(Address address) {
    const Socket listener = Socket::listen_on(address);
    EXPECT_EQ(listener.getsockname(), address);
    Socket client(asyncio::AddressFamily::local);
    co_await asyncio::sock_connect(client, address);
    const asyncio::Accepted accepted = co_await asyncio::sock_accept(listener);
    EXPECT_EQ(accepted.address.family(), asyncio::AddressFamily::none);
    EXPECT_EQ(client.getpeername(), address);
    co_await asyncio::sock_sendall(client, "ping");
    EXPECT_EQ(co_await asyncio::sock_recv(accepted.socket, 100), "ping");
}

ASYNC_TEST(Sockets, unix_sockets_connect_by_path_and_by_name) {
    const std::string name = "asyncio-test-" + std::to_string(::getpid());
    const std::string path = std::filesystem::temp_directory_path() / name;
    co_await check_local_connection(Address::local(path));
    std::filesystem::remove(path);
    co_await check_local_connection(Address::local(std::string(1, '\0') + name));
}

Coro<std::error_code> connect_error(Address address) {
    const Socket client(address.family());
    const auto connecting = asyncio::create_task(asyncio::sock_connect(client, address));
    try {
        co_await connecting;
    } catch (const std::system_error& error) {
        EXPECT_NE(std::string(error.what()).find(address.str()), std::string::npos) << error.what();
        co_return error.code();
    }
    co_return std::error_code();
}

ASYNC_TEST(Sockets, a_refused_connection_is_an_error_that_names_the_address) {
    Address unused;
    {
        const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
        unused = listener.getsockname();
    }
    EXPECT_EQ(co_await connect_error(unused), std::errc::connection_refused);
    EXPECT_EQ(co_await connect_error(Address::local("/nonexistent/socket")),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(watched(), 0U);
    const Socket client(asyncio::AddressFamily::inet);
    std::exception_ptr error;
    try {
        co_await asyncio::sock_connect(client, Address());
    } catch (...) {
        error = std::current_exception();
    }
    EXPECT_EQ(error_of(error), std::errc::destination_address_required);
}

ASYNC_TEST(Sockets, a_unix_server_without_room_refuses_instead_of_seeming_to_connect) {
    const Address address =
        Address::local(std::string(1, '\0') + "asyncio-full-" + std::to_string(::getpid()));
    const Socket listener = Socket::listen_on(address, {.backlog = 0});
    const Socket first(asyncio::AddressFamily::local);
    co_await asyncio::sock_connect(first, address);
    EXPECT_EQ(co_await connect_error(address), std::errc::connection_refused);
}

ASYNC_TEST(Sockets, a_reset_by_the_peer_reaches_who_reads_and_who_writes) {
    auto [near, far] = co_await tcp_pair();
    const auto reader = asyncio::create_task(asyncio::sock_recv(near, 100));
    co_await turns();
    reset(far);
    std::exception_ptr error;
    try {
        co_await reader;
    } catch (...) {
        error = std::current_exception();
    }
    EXPECT_EQ(error_of(error), std::errc::connection_reset);
    try {
        co_await asyncio::sock_sendall(near, "too late");
    } catch (...) {
        error = std::current_exception();
    }
    EXPECT_EQ(error_of(error), std::errc::broken_pipe);  // and no SIGPIPE
    EXPECT_EQ(watched(), 0U);
}

ASYNC_TEST(Sockets, a_peer_that_leaves_ends_a_sendall_that_waits) {
    auto [near, far] = asyncio::socketpair();
    fill(near);
    const auto sender = asyncio::create_task(asyncio::sock_sendall(near, "more"));
    co_await turns();
    far.close();
    std::exception_ptr error;
    try {
        co_await sender;
    } catch (...) {
        error = std::current_exception();
    }
    EXPECT_EQ(error_of(error), std::errc::broken_pipe);
    EXPECT_EQ(watched(), 0U);
}

// ---- refusals

ASYNC_TEST(Sockets, two_operations_in_one_direction_of_a_descriptor_are_refused) {
    auto [near, far] = asyncio::socketpair();
    const auto reader = asyncio::create_task(asyncio::sock_recv(near, 1));
    co_await turns();
    std::string text;
    try {
        (void)co_await asyncio::sock_recv(near, 1);
    } catch (const asyncio::RuntimeError& error) {
        text = error.what();
    }
    EXPECT_NE(text.find("is being read by another operation"), std::string::npos) << text;
    EXPECT_THROW(asyncio::get_running_loop().add_reader(near.fileno(), [] {}),
                 asyncio::RuntimeError);
    EXPECT_FALSE(asyncio::get_running_loop().remove_reader(near.fileno()));
    write_all(far, "x");
    EXPECT_EQ(co_await reader, "x");  // which was not disturbed
}

ASYNC_TEST(Sockets, a_reader_callback_keeps_operations_away_until_it_is_removed) {
    auto [near, far] = asyncio::socketpair();
    EventLoop& loop = asyncio::get_running_loop();
    loop.add_reader(near.fileno(), [] {});
    bool refused = false;
    try {
        (void)co_await asyncio::sock_recv(near, 1);
    } catch (const asyncio::RuntimeError&) {
        refused = true;
    }
    EXPECT_TRUE(refused);
    EXPECT_TRUE(loop.remove_reader(near.fileno()));
    write_all(far, "x");
    EXPECT_EQ(co_await asyncio::sock_recv(near, 1), "x");
}

ASYNC_TEST(Sockets, a_closed_descriptor_is_an_error_of_the_system) {
    Socket none;
    std::vector<Task<void>> tasks;
    tasks.push_back(asyncio::create_task(asyncio::sock_sendall(none, "x")));
    tasks.push_back(asyncio::create_task(asyncio::readable(100000)));
    tasks.push_back(asyncio::create_task(asyncio::writable(100000)));
    tasks.push_back(asyncio::create_task(asyncio::sock_connect(none, Address("127.0.0.1", 1))));
    co_await turns();
    for (const auto& task : tasks) {
        EXPECT_TRUE(task.done());
        EXPECT_EQ(error_of(task.exception()), std::errc::bad_file_descriptor);
    }
}

ASYNC_TEST(Sockets, debug_mode_refuses_sockets_that_block) {
    int fds[2];
    CO_ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    asyncio::get_running_loop().set_debug(true);
    std::string text;
    try {
        (void)co_await asyncio::sock_recv(fds[0], 1);
    } catch (const asyncio::ValueError& error) {
        text = error.what();
    }
    EXPECT_NE(text.find("the socket must be non-blocking"), std::string::npos) << text;
    ::close(fds[0]);
    ::close(fds[1]);
}

TEST(Sockets, S290_accepting_without_descriptors_is_an_error_and_nothing_is_lost) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    const auto loop = asyncio::new_event_loop();
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    const Socket client(asyncio::AddressFamily::inet);
    loop->run_until_complete<void>(
        loop->create_task(asyncio::sock_connect(client, listener.getsockname())));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto refused = loop->create_task(asyncio::sock_accept(listener));
    loop->run_once(no_time);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_TRUE(refused.done());
    EXPECT_EQ(error_of(refused.exception()), std::errc::too_many_files_open);
    auto accepting = loop->create_task(asyncio::sock_accept(listener));
    loop->run_once(no_time);
    EXPECT_EQ(std::move(accepting).result().address, client.getsockname());
}

}  // namespace
