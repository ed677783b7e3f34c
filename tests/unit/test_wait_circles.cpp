// Tasks that wait for each other in a circle: cancelling one is refused, by name, without any
// effect, and the end of a run takes the circle apart.
#include <asyncio/gather.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/staggered.hpp>
#include <asyncio/task.hpp>
#include <asyncio/task_group.hpp>
#include <asyncio/timeouts.hpp>

#include "loop_fixture.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::Future;
using asyncio::Task;

using Link = Future<Task<void>>;

// Waits for a task that it is told of later.
Coro<void> await_linked(Link link) {
    const Task<void> next = co_await link;
    co_await next;
}

Coro<void> gather_linked(Link link, Task<void> sibling) {
    const Task<void> next = co_await link;
    co_await asyncio::gather(sibling, next);
}

Coro<void> sleep_for_ever() { co_await asyncio::sleep(1h); }

// Calls `cancel` and returns the text of the error that refuses it.
template <class Handle>
std::string refusal(const Handle& handle) {
    try {
        handle.cancel();
    } catch (const asyncio::RuntimeError& error) {
        return error.what();
    }
    return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class WaitCircles : public LoopFixture {
protected:
    // Tasks "t0", "t1", ... each of which waits for the next, and the last one for the first.
    std::vector<Task<void>> circle(std::size_t size) {
        std::vector<Link> links;
        std::vector<Task<void>> tasks;
        for (std::size_t i = 0; i < size; ++i) {
            links.push_back(loop->create_future<Task<void>>());
            tasks.push_back(
                loop->create_task({.name = "t" + std::to_string(i)}, await_linked, links.back()));
        }
        for (std::size_t i = 0; i < size; ++i) {
            links[i].set_result(tasks[(i + 1) % size]);
        }
        iterate(3);
        return tasks;
    }

    // Ends a circle by cancelling one of its tasks forcibly, as the end of a run does.
    void break_up(const Task<void>& task) {
        static_cast<asyncio::detail::TaskState&>(asyncio::detail::HandleAccess::state(task))
            .cancel_forcibly();
        iterate(6);
    }
};

TEST_F(WaitCircles, a_task_that_awaits_itself_gets_an_error) {
    const Link link = loop->create_future<Task<void>>();
    const Task<void> task = loop->create_task(await_linked, link);
    link.set_result(task);
    iterate(3);
    ASSERT_TRUE(task.done());
    try {
        task.result();
    } catch (const asyncio::RuntimeError& error) {
        EXPECT_TRUE(contains(error.what(), "Task cannot await on itself")) << error.what();
    }
}

TEST_F(WaitCircles, cancelling_in_a_circle_of_two_is_refused_by_name_without_effect) {
    const auto tasks = circle(2);
    const std::string text = refusal(tasks[0]);
    EXPECT_TRUE(contains(text, "'t0' -> 't1' -> 't0'")) << text;
    EXPECT_TRUE(contains(refusal(tasks[1]), "'t1' -> 't0' -> 't1'"));
    for (const Task<void>& task : tasks) {
        EXPECT_EQ(task.cancelling(), 0);
        EXPECT_FALSE(task.done());
    }
    iterate(3);
    EXPECT_FALSE(tasks[0].done());
    break_up(tasks[0]);
    EXPECT_TRUE(tasks[0].cancelled() && tasks[1].cancelled());
}

TEST_F(WaitCircles, cancelling_what_waits_for_a_circle_of_three_names_the_three) {
    const auto tasks = circle(3);
    const Task<void> outside = loop->create_task(
        {.name = "outside"}, [](Task<void> task) -> Coro<void> { co_await task; }, tasks[1]);
    iterate();
    const std::string text = refusal(outside);
    EXPECT_TRUE(contains(text, "'t1' -> 't2' -> 't0' -> 't1'")) << text;
    EXPECT_FALSE(contains(text, "outside")) << text;
    EXPECT_EQ(outside.cancelling(), 0);
    for (const Task<void>& task : tasks) {
        EXPECT_EQ(task.cancelling(), 0);
    }
    break_up(tasks[2]);
    EXPECT_TRUE(outside.cancelled());
}

TEST_F(WaitCircles, a_circle_through_a_gather_spares_the_siblings) {
    const Link forth = loop->create_future<Task<void>>();
    const Link back = loop->create_future<Task<void>>();
    const Task<void> sibling = loop->create_task({.name = "sibling"}, sleep_for_ever);
    const Task<void> gathering =
        loop->create_task({.name = "gathering"}, gather_linked, forth, sibling);
    const Task<void> waiting = loop->create_task({.name = "waiting"}, await_linked, back);
    forth.set_result(waiting);
    back.set_result(gathering);
    iterate(3);
    const std::string text = refusal(gathering);
    EXPECT_TRUE(contains(text, "'gathering' -> gather() -> 'waiting' -> 'gathering'")) << text;
    for (const Task<void>& task : {sibling, gathering, waiting}) {
        EXPECT_EQ(task.cancelling(), 0);
    }
    iterate(3);
    EXPECT_FALSE(sibling.done());
    break_up(gathering);
    EXPECT_TRUE(gathering.cancelled() && waiting.cancelled());
    EXPECT_FALSE(sibling.done());
    sibling.cancel();
    iterate(3);
    EXPECT_TRUE(sibling.cancelled());
}

TEST_F(WaitCircles, a_gather_in_a_circle_refuses_to_be_cancelled) {
    const Link link = loop->create_future<Task<void>>();
    Future<std::vector<std::monostate>> all;
    auto body = [](Link later, Future<std::vector<std::monostate>>& gathered) -> Coro<void> {
        gathered = asyncio::gather(std::vector<Task<void>>{co_await later});
        co_await gathered;
    };
    const Task<void> task = loop->create_task({.name = "self"}, body, link, std::ref(all));
    link.set_result(task);
    iterate(3);
    const std::string text = refusal(all);
    EXPECT_TRUE(contains(text, "gather() -> 'self' -> gather()")) << text;
    EXPECT_TRUE(contains(refusal(task), "'self' -> gather() -> 'self'"));
    EXPECT_EQ(task.cancelling(), 0);
    break_up(task);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(WaitCircles, tasks_that_share_a_child_are_no_circle) {
    const Task<void> shared = loop->create_task(sleep_for_ever);
    auto wait = [](Task<void> task) -> Coro<void> { co_await task; };
    const Task<void> first = loop->create_task(wait, shared);
    const Task<void> second = loop->create_task(wait, shared);
    const auto all = asyncio::gather(asyncio::return_exceptions, first, second, shared);
    iterate();
    EXPECT_TRUE(all.cancel());
    // As in CPython, the request reaches the shared one by every way there is.
    EXPECT_EQ(shared.cancelling(), 3);
    iterate(4);
    EXPECT_THROW(all.result(), CancelledError);
}

// What waits for a circle cannot be cancelled either. Scopes and races tear it out.
class ScopesAroundCircles : public WaitCircles {
protected:
    // How a task ends whose coroutine this is.
    template <class T>
    std::string end_of(Coro<T> coro) {
        const Task<T> task = loop->create_task(std::move(coro));
        loop->call_later(5s, [&] { static_cast<void>(task.done() || task.cancel()); });
        try {
            loop->run_until_complete(task);
        } catch (...) {
            return asyncio::describe_exception(std::current_exception());
        }
        return "returned";
    }
    void TearDown() override {
        const auto reports = take_reports();
        EXPECT_EQ(reports.size(), 1U);
        for (const auto& report : reports) {
            EXPECT_EQ(report.message, "tasks wait for each other in a circle");
        }
        break_up(circle_[0]);
        WaitCircles::TearDown();
    }

    static Coro<int> await_task(Task<void> task) {
        co_await task;
        co_return 1;
    }

    std::vector<Task<void>> circle_ = circle(2);
};

TEST_F(ScopesAroundCircles, a_deadline_interrupts_its_body) {
    EXPECT_EQ(end_of(asyncio::timeout(1s, [this] { return await_task(circle_[0]); })),
              "TimeoutError: timed out");
    EXPECT_EQ(clock.seconds(), 1.0);
}

TEST_F(ScopesAroundCircles, a_child_that_fails_interrupts_the_body_of_its_group) {
    EXPECT_EQ(end_of(asyncio::task_group([this](asyncio::TaskGroup& group) -> Coro<> {
                  group.create_task([]() -> Coro<> {
                      co_await asyncio::sleep(1s);
                      throw asyncio::ValueError("boom");
                  });
                  co_await await_task(circle_[0]);
              })).substr(0, 14),
              "ExceptionGroup");
    EXPECT_EQ(clock.seconds(), 1.0);
}

TEST_F(ScopesAroundCircles, a_race_that_is_cancelled_ends) {
    std::vector<std::function<Coro<int>()>> attempts(2);
    attempts[0] = [this] { return await_task(circle_[0]); };
    attempts[1] = []() -> Coro<int> {
        co_await asyncio::sleep(1h);
        co_return 2;
    };
    EXPECT_EQ(end_of(asyncio::staggered_race(attempts, 1s)), "CancelledError");
    EXPECT_EQ(clock.seconds(), 5.0);
}

TEST_F(WaitCircles, closing_a_loop_destroys_a_circle) {
    const auto tasks = circle(3);
    loop->close();
    EXPECT_EQ(take_reports().size(), 3U);
    for (const Task<void>& task : tasks) {
        EXPECT_FALSE(task.done());
    }
}

TEST(WaitCirclesAtTheEnd, run_takes_circles_apart_and_reports_them) {
    asyncio::testing::VirtualClock clock;
    std::vector<std::string> reports;
    asyncio::RunOptions options;
    options.loop_factory = [&] {
        asyncio::LoopOptions loop_options;
        loop_options.clock = &clock;
        auto loop = asyncio::new_event_loop(std::move(loop_options));
        loop->set_exception_handler(
            [&](auto&, const asyncio::ErrorContext& report) { reports.push_back(report.message); });
        return loop;
    };
    std::vector<Task<void>> tasks;
    auto main = [&tasks]() -> Coro<int> {
        asyncio::EventLoop& loop = asyncio::get_running_loop();
        for (int circle = 0; circle < 2; ++circle) {
            const Link forth = loop.create_future<Task<void>>();
            const Link back = loop.create_future<Task<void>>();
            const Task<void> sibling = asyncio::create_task(sleep_for_ever);
            tasks.push_back(circle == 0 ? asyncio::create_task(await_linked, forth)
                                        : asyncio::create_task(gather_linked, forth, sibling));
            tasks.push_back(asyncio::create_task(await_linked, back));
            forth.set_result(tasks[tasks.size() - 1]);
            back.set_result(tasks[tasks.size() - 2]);
            tasks.push_back(sibling);
        }
        co_await asyncio::sleep(1s);
        co_return 5;
    };
    EXPECT_EQ(asyncio::run(main(), std::move(options)), 5);
    for (const Task<void>& task : tasks) {
        EXPECT_TRUE(task.cancelled());
    }
    EXPECT_EQ(reports, (std::vector<std::string>(2, "tasks wait for each other in a circle")));
    EXPECT_EQ(clock.seconds(), 1.0);
}

}  // namespace
