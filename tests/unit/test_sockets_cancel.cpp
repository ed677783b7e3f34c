// Socket operations that do not end by themselves: cancelled, or destroyed with their coroutine.
#include <asyncio/asyncio.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/testing/gtest.hpp>

#include "socket_pairs.hpp"

#include <array>
#include <functional>
#include <optional>

using namespace socket_tests;
using namespace std::chrono_literals;
using asyncio::Address;
using asyncio::Coro;
using asyncio::EventLoop;
using asyncio::Socket;
using asyncio::Task;

namespace {

// Every way to be suspended, and how a later operation shows that the descriptor is free.
struct Suspension {
    const char* name;
    std::function<Coro<void>(Socket& near)> operation;
};

Coro<void> discard_recv(Socket& socket) { (void)co_await asyncio::sock_recv(socket, 10); }
Coro<void> discard_recv_into(Socket& socket) {
    std::array<std::byte, 10> buffer;
    (void)co_await asyncio::sock_recv_into(socket, buffer);
}
Coro<void> discard_recvfrom(Socket& socket) { (void)co_await asyncio::sock_recvfrom(socket, 10); }
Coro<void> discard_recvfrom_into(Socket& socket) {
    std::array<std::byte, 10> buffer;
    (void)co_await asyncio::sock_recvfrom_into(socket, buffer);
}
Coro<void> send_to_peer(Socket& socket) {
    (void)co_await asyncio::sock_sendto(socket, "x", Address());
}
Coro<void> await_readable(Socket& socket) { co_await asyncio::readable(socket); }
Coro<void> await_writable(Socket& socket) { co_await asyncio::writable(socket); }
Coro<void> send_more(Socket& socket) {
    const std::string more(10'000'000, 'x');
    co_await asyncio::sock_sendall(socket, more);
}

const std::vector<Suspension>& suspensions() {
    static const std::vector<Suspension> all{
        {"sock_recv", discard_recv},         {"sock_recv_into", discard_recv_into},
        {"sock_recvfrom", discard_recvfrom}, {"sock_recvfrom_into", discard_recvfrom_into},
        {"sock_sendto", send_to_peer},       {"readable", await_readable},
        {"writable", await_writable},        {"sock_sendall", send_more},
    };
    return all;
}

ASYNC_TEST(SocketCancellation, S290_cancelling_unregisters_the_descriptor_at_once) {
    for (const Suspension& suspension : suspensions()) {
        auto [near, far] = asyncio::socketpair();
        fill(near);
        const auto task = asyncio::create_task(suspension.operation(near));
        co_await turns();
        EXPECT_EQ(watched(), 1U) << suspension.name;
        EXPECT_TRUE(task.cancel());
        EXPECT_EQ(watched(), 0U) << suspension.name;
        EXPECT_TRUE(task.cancel()) << "a second request is accepted, too";
        EXPECT_FALSE(task.done());
        co_await turns();
        EXPECT_TRUE(task.cancelled()) << suspension.name;

        write_all(far, "free");
        EXPECT_EQ(co_await asyncio::sock_recv(near, 10), "free") << suspension.name;
    }
}

ASYNC_TEST(SocketCancellation, S290_cancelling_an_accept_leaves_the_connection_to_the_next) {
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    const auto first = asyncio::create_task(asyncio::sock_accept(listener));
    co_await turns();
    first.cancel();
    EXPECT_EQ(watched(), 0U);
    const Socket client(asyncio::AddressFamily::inet);
    co_await asyncio::sock_connect(client, listener.getsockname());
    const asyncio::Accepted accepted = co_await asyncio::sock_accept(listener);
    EXPECT_EQ(accepted.address, client.getsockname());
    co_await turns();
    EXPECT_TRUE(first.cancelled());
}

ASYNC_TEST(SocketCancellation, S290_cancelling_a_connect_leaves_nothing_behind) {
    // A server without room lets later connections wait.
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0), {.backlog = 0});
    std::vector<Socket> clients;
    std::vector<Task<void>> tasks;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back(asyncio::AddressFamily::inet);
    }
    for (const Socket& client : clients) {
        tasks.push_back(
            asyncio::create_task(asyncio::sock_connect(client, listener.getsockname())));
    }
    co_await turns(10);
    const Task<void> last = tasks.back();
    EXPECT_FALSE(last.done());
    for (const auto& task : tasks) {
        task.cancel();
    }
    EXPECT_EQ(watched(), 0U);
    co_await turns();
    EXPECT_TRUE(last.cancelled());
}

TEST(SocketCancellation, S290_cancelled_in_the_iteration_in_which_data_came_it_leaves_the_data) {
    const auto loop = asyncio::new_event_loop();
    auto [near, far] = asyncio::socketpair();
    std::array<std::byte, 4> buffer{};
    const auto task = loop->create_task(asyncio::sock_recv_into(near, buffer));
    loop->run_once(no_time);
    // The call is in the queue before the poller's event, so both are in one iteration.
    write_all(far, "data");
    loop->call_soon([&task] { task.cancel(); });
    loop->run_once(no_time);
    EXPECT_EQ(buffer[0], std::byte{});
    const auto next = loop->create_task(asyncio::sock_recv(near, 10));
    EXPECT_EQ(loop->run_until_complete<std::string>(next), "data");
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(buffer[0], std::byte{});
}

TEST(SocketCancellation, cancelled_between_completion_and_resumption_an_accepted_socket_is_closed) {
    const auto loop = asyncio::new_event_loop();
    const Socket listener = Socket::listen_on(Address("127.0.0.1", 0));
    const auto accepting = loop->create_task(asyncio::sock_accept(listener));
    loop->run_once(no_time);
    const Socket client(asyncio::AddressFamily::inet);
    const auto connecting =
        loop->create_task(asyncio::sock_connect(client, listener.getsockname()));
    while (loop->poller().watching(listener.fileno(), asyncio::IoDirection::read) != nullptr) {
        loop->run_once();
    }
    EXPECT_FALSE(accepting.done());
    EXPECT_TRUE(accepting.cancel());
    const auto reader = loop->create_task(asyncio::sock_recv(client, 1));
    EXPECT_EQ(loop->run_until_complete<std::string>(reader), "");  // the peer is gone
    EXPECT_TRUE(accepting.cancelled());
}

Coro<std::string> receive_or_return(Socket& socket) {
    try {
        co_return co_await asyncio::sock_recv(socket, 10);
    } catch (const asyncio::CancelledError&) {
        // What comes next works although the task was cancelled.
    }
    co_return "then " + co_await asyncio::sock_recv(socket, 10);
}

ASYNC_TEST(SocketCancellation, a_task_that_survives_its_cancellation_may_wait_again) {
    auto [near, far] = asyncio::socketpair();
    const auto task = asyncio::create_task(receive_or_return, std::ref(near));
    co_await turns();
    task.cancel();
    co_await turns();
    EXPECT_EQ(watched(), 1U);
    write_all(far, "x");
    EXPECT_EQ(co_await task, "then x");
}

ASYNC_TEST(SocketCancellation, S290_racing_cancellations_leave_the_next_operation_alone) {
    auto [near, far] = asyncio::socketpair();
    for (int round = 0; round < 200; ++round) {
        const auto task = asyncio::create_task(asyncio::sock_recv(near, 10));
        co_await turns(round % 3);
        write_all(far, "x");
        co_await turns(round % 5);
        std::string got;
        if (!task.cancel()) {
            got = task.result();
        } else {
            try {
                got = co_await task;
            } catch (const asyncio::CancelledError&) {
                // Either the byte is still there, or it went with the cancelled operation.
            }
        }
        EXPECT_EQ(watched(), 0U);
        write_all(far, "y");
        const std::string rest = co_await asyncio::sock_recv(near, 10);
        EXPECT_EQ(rest.back(), 'y');
    }
}

ASYNC_TEST(SocketCancellation, S290_the_number_of_a_cancelled_operation_can_be_used_again) {
    auto [near, far] = asyncio::socketpair();
    const int number = near.fileno();
    const auto task = asyncio::create_task(asyncio::sock_recv(near, 10));
    co_await turns();
    task.cancel();
    near.close();
    auto [again, other] = asyncio::socketpair();
    CO_ASSERT_EQ(again.fileno(), number);
    const auto next = asyncio::create_task(asyncio::sock_recv(again, 10));
    co_await turns();
    EXPECT_TRUE(task.cancelled());
    EXPECT_FALSE(next.done());
    write_all(other, "new");
    EXPECT_EQ(co_await next, "new");
}

// ---- frames that are destroyed while suspended

TEST(SocketCancellation, a_loop_that_closes_takes_suspended_operations_down) {
    auto [near, far] = asyncio::socketpair();
    for (const Suspension& suspension : suspensions()) {
        const auto loop = asyncio::new_event_loop();
        loop->set_exception_handler([](EventLoop&, const asyncio::ErrorContext&) {});
        fill(near);
        const auto task = loop->create_task(suspension.operation(near));
        loop->run_once(no_time);
        EXPECT_EQ(loop->poller().watched(), 1U) << suspension.name;
        loop->close();
        EXPECT_FALSE(task.done());
    }
}

// Steps a coroutine without a task, so that it can be destroyed while its loop goes on.
class Stepper final : public asyncio::ForeignDriver, public asyncio::CancelTarget {
public:
    Stepper(EventLoop& loop, Coro<void> coro) : ForeignDriver(loop, &Stepper::run, *this) {
        start(std::move(coro), slot_);
    }
    using ForeignDriver::step;

    bool cancel(const asyncio::CancelMessage&) override { return false; }

private:
    static void run(Runnable& self, Turn turn) {
        if (turn == Turn::run) {
            static_cast<Stepper&>(self).step();
        }
    }
    asyncio::detail::Slot<void> slot_;
};

ASYNC_TEST(SocketCancellation, a_destroyed_coroutine_leaves_no_registration) {
    EventLoop& loop = asyncio::get_running_loop();
    for (const Suspension& suspension : suspensions()) {
        auto [near, far] = asyncio::socketpair();
        fill(near);
        bool suspended = false;
        std::optional<Stepper> stepper;
        stepper.emplace(loop, suspension.operation(near));
        loop.call_soon([&] {
            suspended = !stepper->step();
            // The poller's event is queued when the coroutine goes.
            write_all(far, "x");
        });
        co_await asyncio::sleep(0s);
        EXPECT_TRUE(suspended);
        EXPECT_EQ(watched(), 1U) << suspension.name;
        stepper.reset();
        EXPECT_EQ(watched(), 0U) << suspension.name;
        co_await turns();
        EXPECT_EQ(co_await asyncio::sock_recv(near, 10), "x") << suspension.name;
    }
}

}  // namespace
