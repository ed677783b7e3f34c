// Deadlines, gathering, waiting for several tasks, and task groups while tasks are cancelled at
// every step.
#include "cancel_scenarios.hpp"

#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using asyncio::Coro;
using asyncio::Duration;
using asyncio::Future;
using asyncio::Task;

Coro<void> sleep_for(Duration delay) {
    const Alive counted;
    co_await asyncio::sleep(delay);
}

Coro<void> fail_after(Duration delay) {
    const Alive counted;
    co_await asyncio::sleep(delay);
    throw Boom();
}

// Needs a second to react to a cancellation.
Coro<void> end_slowly(Duration delay) {
    const Alive counted;
    std::exception_ptr interruption;
    try {
        co_await asyncio::sleep(delay);
    } catch (const asyncio::CancelledError&) {
        interruption = std::current_exception();
    }
    co_await asyncio::sleep(1s);
    if (interruption != nullptr) {
        std::rethrow_exception(interruption);
    }
}

asyncio::TimePoint now() { return asyncio::get_running_loop().time(); }
int cancelling() { return asyncio::current_task().cancelling(); }

// ---- timeout

// Expects that a time-out leaves no request for cancellation behind.
template <class Limited>
Coro<void> expect_restored(Limited limited) {
    const Alive counted;
    const int before = cancelling();
    try {
        co_await limited();
    } catch (const asyncio::TimeoutError&) {
        EXPECT_EQ(cancelling(), before);
    }
    co_await give_way(1);
}

class TimeoutScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (const auto delay : {500ms, 1000ms, 2000ms}) {
            made.push_back(expect_restored(
                [delay] { return asyncio::timeout(1s, [delay] { return sleep_for(delay); }); }));
        }
        made.push_back(expect_restored(move_the_deadline));
        made.push_back(expect_restored(nest));
        return made;
    }

private:
    static Coro<void> move_the_deadline() {
        co_await asyncio::timeout_at(now() + 1s, [](asyncio::Timeout& scope) -> Coro<void> {
            co_await sleep_for(500ms);
            scope.reschedule(now() + 3s);
            co_await sleep_for(1s);
            scope.reschedule(std::nullopt);
            co_await sleep_for(3s);
            scope.reschedule(now());
            co_await sleep_for(1s);
        });
    }
    static Coro<void> nest() {
        return asyncio::timeout(1s, [] {
            return asyncio::timeout(
                1s, [] { return asyncio::timeout(2s, [] { return sleep_for(3s); }); });
        });
    }
};

// ---- wait_for

// A deadline that comes while a cancelled task cleans up, or before the cancellation reaches it,
// has the last message.
class WaitForScenario : public Scenario {
public:
    WaitForScenario() { keeps_message = false; }

    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(expect_restored([] { return for_task(2s); }));
        made.push_back(expect_restored([] { return for_task(1s); }));
        made.push_back(expect_restored(for_future));
        made.push_back(expect_restored(for_shielded));
        made.push_back(expect_restored([] { return asyncio::wait_for(end_slowly(2s), 1s); }));
        made.push_back(expect_restored(without_waiting));
        made.push_back(expect_restored(come_too_late));
        return made;
    }

private:
    static Coro<void> for_task(Duration delay) {
        const Task<void> task = asyncio::create_task(end_slowly, delay);
        try {
            co_await asyncio::wait_for(task, 1s);
        } catch (...) {
            EXPECT_TRUE(task.done()) << "it did not wait for the end of what it cancelled";
            throw;
        }
    }
    static Coro<void> for_future() {
        const Future<void> future = asyncio::get_running_loop().create_future<void>();
        asyncio::get_running_loop().call_later(1s, [future] {
            if (!future.done()) {
                future.set_result();
            }
        });
        co_await asyncio::wait_for(future, 1s);
    }
    static Coro<void> for_shielded() {
        const Task<void> task = asyncio::create_task(sleep_for, 2s);
        co_await asyncio::wait_for(asyncio::shield(task), 1s);
    }
    static Coro<void> without_waiting() {
        const Task<void> task = asyncio::create_task(end_slowly, 1s);
        co_await give_way(1);
        co_await asyncio::wait_for(task, 0s);
    }
    static Coro<void> come_too_late() {
        co_await asyncio::timeout(-1s, []() -> Coro<void> { co_await give_way(3); });
    }
};

// ---- wait and as_completed

// Tasks that several roles wait for, and a future that outlives all waiting.
class WaitScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        for (const auto when :
             {asyncio::ReturnWhen::all_completed, asyncio::ReturnWhen::first_completed,
              asyncio::ReturnWhen::first_exception}) {
            made.push_back(wait_for_some(when, 4s));
            made.push_back(wait_for_some(when, 2s));
        }
        return made;
    }
    void expect_conserved() override {
        if (!endless_) {
            return;
        }
        EXPECT_FALSE(endless_.done());
        asyncio::EventLoop& loop = endless_.get_loop();
        if (!loop.is_closed()) {
            endless_.set_result();
            EXPECT_TRUE(asyncio::detail::LoopAccess::ready(loop).empty())
                << "it still has a callback";
        }
        endless_ = {};
    }

protected:
    std::vector<Future<void>> futures() {
        if (!endless_) {
            endless_ = asyncio::get_running_loop().create_future<void>();
        }
        std::vector<Future<void>> made{asyncio::create_task(sleep_for, 1s),
                                       asyncio::create_task(fail_after, 2s), endless_,
                                       asyncio::create_task(sleep_for, 3s)};
        for (const Future<void>& future : made) {
            if (future != endless_) {
                future.add_done_callback([this](const asyncio::AnyFuture& done) {
                    if (!done.cancelled()) {
                        static_cast<void>(done.exception());  // it need not be retrieved
                    }
                    mark();
                });
            }
        }
        return made;
    }

private:
    Coro<void> wait_for_some(asyncio::ReturnWhen when, Duration limit) {
        const Alive counted;
        const auto [done, pending] =
            co_await asyncio::wait(futures(), {.timeout = limit, .return_when = when});
        EXPECT_EQ(done.size() + pending.size(), 4U);
    }

    Future<void> endless_;
};

class AsCompletedScenario : public WaitScenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(one_by_one(4s));
        made.push_back(one_by_one(3s));
        made.push_back(in_a_loop(4s));
        made.push_back(in_a_loop(2s));
        return made;
    }

private:
    Coro<void> one_by_one(Duration limit) {
        const Alive counted;
        auto completions = asyncio::as_completed(futures(), limit);
        try {
            while (const auto future = co_await completions.next()) {
                EXPECT_TRUE(future->done());
            }
        } catch (const asyncio::TimeoutError&) {
        }
    }
    Coro<void> in_a_loop(Duration limit) {
        const Alive counted;
        for (auto earliest : asyncio::as_completed(futures(), limit)) {
            try {
                co_await std::move(earliest);
            } catch (const asyncio::TimeoutError&) {
            } catch (const Boom&) {
            }
        }
    }
};

// ---- TaskGroup

using Children = std::vector<Task<void>>;
using GroupBody = Coro<void> (*)(asyncio::TaskGroup&, Children&);

// Runs a group and expects that its tasks have ended when it has, however that was.
Coro<void> expect_all_done(GroupBody body) {
    const Alive counted;
    Children children;
    std::exception_ptr error;
    try {
        co_await asyncio::task_group(
            [&](asyncio::TaskGroup& group) { return body(group, children); });
    } catch (...) {
        error = std::current_exception();
    }
    for (const Task<void>& child : children) {
        EXPECT_TRUE(child.done()) << "the group abandoned a child";
    }
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

class TaskGroupScenario : public Scenario {
public:
    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(expect_all_done(some_children));
        made.push_back(expect_all_done(groups_in_a_group));
        made.push_back(expect_all_done(children_of_children));
        made.push_back(expect_restored(
            [] { return asyncio::timeout(1s, [] { return expect_all_done(some_children); }); }));
        made.push_back(ended_by_a_child(3s));
        made.push_back(ended_by_a_child(0s));
        return made;
    }

private:
    static Coro<void> some_children(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task(sleep_for, 1s));
        children.push_back(group.create_task(end_slowly, 1s));
        co_await give_way(1);
        children.push_back(group.create_task(sleep_for, 2s));
    }
    static Coro<void> groups_in_a_group(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task([] { return expect_all_done(some_children); }));
        co_await expect_all_done(some_children);
    }
    static Coro<void> children_of_children(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task([&]() -> Coro<void> {
            co_await give_way(2);
            children.push_back(group.create_task(sleep_for, 1s));
        }));
        co_return;
    }
    // After the group has ended itself, a cancellation from outside still counts: while the body
    // runs, and while the scope waits for the children.
    static Coro<void> ended_by_a_child(Duration body) {
        const Alive counted;
        co_await asyncio::task_group([body](asyncio::TaskGroup& group) -> Coro<void> {
            group.create_task(end_slowly, 2s);
            group.create_task([&group]() -> Coro<void> {
                co_await asyncio::sleep(1s);
                group.cancel();
            });
            co_await asyncio::sleep(body);
        });
        co_await give_way(1);
    }
};

// Groups that fail. After the errors have been dealt with, a cancellation comes at the next await,
// without its message, as in CPython.
class FailingGroupScenario : public Scenario {
public:
    FailingGroupScenario() { keeps_message = false; }

    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(handle_errors(a_child_fails));
        made.push_back(handle_errors(body_and_children_fail));
        made.push_back(handle_errors(the_inner_group_fails));
        return made;
    }

private:
    static Coro<void> handle_errors(GroupBody body) {
        const Alive counted;
        try {
            co_await expect_all_done(body);
        } catch (const asyncio::ExceptionGroup&) {
        }
        co_await give_way(1);
    }
    static Coro<void> a_child_fails(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task(fail_after, 1s));
        children.push_back(group.create_task(end_slowly, 2s));
        co_await sleep_for(2s);
    }
    static Coro<void> body_and_children_fail(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task(fail_after, 1s));
        children.push_back(group.create_task(fail_after, 1s));
        co_await fail_after(1s);
    }
    static Coro<void> the_inner_group_fails(asyncio::TaskGroup& group, Children& children) {
        children.push_back(group.create_task(fail_after, 1s));
        co_await expect_all_done(a_child_fails);
    }
};

// ---- futures, tasks, gather and shield

// A gather that gives outcomes loses the message, as in CPython.
class GatherScenario : public Scenario {
public:
    GatherScenario() { keeps_message = false; }

    std::vector<Coro<void>> roles() override {
        std::vector<Coro<void>> made;
        made.push_back(gather_all());
        made.push_back(gather_outcomes());
        made.push_back(shield_a_gather());
        made.push_back(share(1s));
        made.push_back(share(2s));
        return made;
    }

private:
    Coro<void> gather_all() {
        const Alive counted;
        co_await asyncio::gather(sleep_for(1s), end_slowly(1s),
                                 asyncio::create_task(sleep_for, 2s));
    }
    Coro<void> gather_outcomes() {
        const Alive counted;
        co_await asyncio::gather(asyncio::return_exceptions, sleep_for(1s), fail_after(1s),
                                 end_slowly(1s));
    }
    // The inner tasks go on without it.
    Coro<void> shield_a_gather() {
        const Alive counted;
        const Task<void> inner = asyncio::create_task(gather_all());
        co_await asyncio::shield(inner);
        co_await inner;
    }
    // A future of which both wait through a shield, so that neither cancels it for the other.
    Coro<void> share(Duration delay) {
        const Alive counted;
        const Future<void> future = asyncio::get_running_loop().create_future<void>();
        asyncio::get_running_loop().call_later(delay, [this, future] {
            mark();
            future.set_result();
            mark();
        });
        const auto [first, second] = co_await asyncio::gather(
            asyncio::return_exceptions, asyncio::shield(future), asyncio::shield(future));
        EXPECT_EQ(first.has_value(), second.has_value());
    }
};

class CancelScopes : public CancelScenarios {};

TEST_P(CancelScopes, whoever_is_cancelled_at_any_moment_nothing_is_left) {
    cancel_everybody_everywhere();
}

TEST_P(CancelScopes, the_loop_closed_at_any_step_leaves_nothing) { abandon_everywhere(); }

INSTANTIATE_TEST_SUITE_P(
    Scenarios, CancelScopes,
    ::testing::Values(NamedScenario{"Timeout", make_scenario<TimeoutScenario>},
                      NamedScenario{"WaitFor", make_scenario<WaitForScenario>},
                      NamedScenario{"Wait", make_scenario<WaitScenario>},
                      NamedScenario{"AsCompleted", make_scenario<AsCompletedScenario>},
                      NamedScenario{"Gather", make_scenario<GatherScenario>},
                      NamedScenario{"TaskGroup", make_scenario<TaskGroupScenario>},
                      NamedScenario{"FailingGroup", make_scenario<FailingGroupScenario>}),
    name_of_scenario);

}  // namespace
