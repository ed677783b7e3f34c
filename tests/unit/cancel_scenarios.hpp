// Scenarios in which several tasks contend for something while one of them is cancelled: at every
// step, and at every moment next to a wake-up within a step.
#pragma once

#include "cancel_fixture.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

// Roles that contend, and the laws that hold whoever of them is cancelled.
class Scenario {
public:
    Scenario() = default;
    Scenario(const Scenario&) = delete;
    Scenario& operator=(const Scenario&) = delete;
    virtual ~Scenario() = default;

    // The coroutines that contend, each to be a task.
    virtual std::vector<asyncio::Coro<void>> roles() = 0;
    // Nothing can run any more: whoever still waits must do so for a reason. A wake-up that was
    // lost shows here.
    virtual void expect_nobody_forgotten(std::size_t tasks_left) {
        EXPECT_EQ(tasks_left, 0U) << "somebody waits for ever";
    }
    // Lets those end who wait for what a cancelled task did not do.
    virtual asyncio::Coro<void> dismiss() { co_return; }
    // All tasks have ended.
    virtual void expect_conserved() {}

    // Whether the message of the request reaches whoever reads the result of a role.
    bool keeps_message = true;

    // To be called next to what wakes others: a moment for cancelling.
    void mark() const {
        if (on_mark) {
            on_mark();
        }
    }
    std::function<void()> on_mark;
};

// Calls `mark` when its scope ends.
class MarkAtEnd {
public:
    explicit MarkAtEnd(const Scenario& scenario) noexcept : scenario_(scenario) {}
    MarkAtEnd(const MarkAtEnd&) = delete;
    MarkAtEnd& operator=(const MarkAtEnd&) = delete;
    ~MarkAtEnd() { scenario_.mark(); }

private:
    const Scenario& scenario_;
};

struct NamedScenario {
    const char* name;
    std::unique_ptr<Scenario> (*make)();
};

template <class S>
std::unique_ptr<Scenario> make_scenario() {
    return std::make_unique<S>();
}

// ---- when to cancel what

enum class Moment {
    between,      // before an iteration, hence before the wake-ups in it
    after_batch,  // in an iteration, after everything that was ready
    mark,         // within a task's step, next to a wake-up
};
enum class Then { nothing, again, withdraw };

struct Plan {
    Moment moment = Moment::between;
    int number = 0;          // of the iteration or mark
    std::size_t victim = 0;  // among the tasks that are not done then, oldest first
    Then then = Then::nothing;
    int later = 0;  // iterations from the first request to the second
    bool message = false;
    bool eager = false;
    bool debug = false;

    friend std::ostream& operator<<(std::ostream& out, const Plan& plan) {
        static constexpr const char* moments[] = {"before iteration ", "after the batch of ",
                                                  "at mark "};
        out << "task " << plan.victim << " cancelled "
            << moments[static_cast<std::size_t>(plan.moment)] << plan.number;
        if (plan.then == Then::again) {
            out << ", again " << plan.later << " later";
        }
        return out << (plan.then == Then::withdraw ? ", withdrawn" : "")
                   << (plan.message ? ", with a message" : "") << (plan.eager ? ", eager" : "")
                   << (plan.debug ? ", debug" : "");
    }
};

// One run of a scenario with one plan.
class Play {
public:
    enum class End { no_such_moment, no_such_victim, played };

    Play(Scenario& scenario, const Plan& plan) : scenario_(scenario), plan_(plan) {
        trial_.loop->set_debug(plan.debug);
        if (plan.eager) {
            trial_.loop->set_task_factory(asyncio::eager_task_factory);
        }
        for (asyncio::Coro<void>& role : scenario_.roles()) {
            roles_.push_back(trial_.loop->create_task(std::move(role)));
        }
        scenario_.on_mark = [this] {
            if (plan_.moment == Moment::mark && marks_++ == plan_.number) {
                request();
            }
        };
    }
    Play(const Play&) = delete;
    Play& operator=(const Play&) = delete;
    ~Play() { scenario_.on_mark = nullptr; }

    End run() {
        for (int step = 0; step_with_requests(step); ++step) {
            if (step >= iterations_max) {
                ADD_FAILURE() << "it never ends";
                break;
            }
        }
        const std::size_t left = asyncio::all_tasks(*trial_.loop).size();
        scenario_.expect_nobody_forgotten(left);
        if (left > 0) {
            trial_.loop->create_task(scenario_.dismiss());
            trial_.run_to_the_end();
        }
        expect_laws();
        return end_;
    }

    // Closes the loop after a number of iterations instead. False if it had ended before.
    bool abandon(int steps) {
        while (steps > 0 && trial_.step()) {
            --steps;
        }
        trial_.loop->close();
        trial_.expect_nothing_left();
        scenario_.expect_conserved();
        return steps == 0;
    }

private:
    bool step_with_requests(int step) {
        if (plan_.moment == Moment::between && step == plan_.number) {
            request();
        }
        if (plan_.moment == Moment::after_batch && step == plan_.number) {
            trial_.loop->call_soon([this] { request(); });
        }
        if (until_second_ >= 0 && until_second_-- == 0 && !victim_.done()) {
            requests_ += victim_.cancel("again") ? 1 : 0;
        }
        return trial_.step() || until_second_ >= 0;
    }

    void request() {
        const std::vector<asyncio::AnyTask> tasks = asyncio::all_tasks(*trial_.loop);
        if (plan_.victim >= tasks.size()) {
            end_ = End::no_such_victim;
            return;
        }
        end_ = End::played;
        victim_ = tasks[plan_.victim];
        only_request_ = victim_.cancelling() == 0 && plan_.then == Then::nothing;
        EXPECT_TRUE(plan_.message ? victim_.cancel("fuzz") : victim_.cancel());
        EXPECT_FALSE(victim_.done()) << "cancel ran code of the task";
        requests_ = 1;
        if (plan_.then == Then::withdraw) {
            victim_.uncancel();
            requests_ = 0;
        } else if (plan_.then == Then::again) {
            until_second_ = plan_.later;
        }
    }

    bool is_role(const asyncio::AnyFuture& task) const {
        return std::find(roles_.begin(), roles_.end(), task) != roles_.end();
    }

    void expect_laws() {
        scenario_.expect_conserved();
        trial_.expect_nothing_left();
        for (const asyncio::ErrorContext& report : trial_.reports) {
            ADD_FAILURE() << "reported: " << report.message << " "
                          << asyncio::describe_exception(report.exception);
        }
        for (const asyncio::Task<void>& role : roles_) {
            ASSERT_TRUE(role.done());
            EXPECT_TRUE(role.cancelled() || role.exception() == nullptr)
                << asyncio::describe_exception(role.exception());
            EXPECT_EQ(role.cancelling(), role == victim_ ? requests_ : 0);
        }
        if (end_ != End::played || plan_.then == Then::withdraw || !victim_.done()) {
            return;
        }
        EXPECT_TRUE(victim_.cancelled()) << "the request was lost";
        if (victim_.cancelled() && is_role(victim_) && only_request_ && scenario_.keeps_message) {
            expect_message(plan_.message ? "fuzz" : "");
        }
    }

    void expect_message(std::string_view expected) const {
        try {
            static_cast<void>(victim_.exception());
        } catch (const asyncio::CancelledError& error) {
            EXPECT_EQ(error.message(), expected);
        }
    }

    Scenario& scenario_;
    Plan plan_;
    Trial trial_;
    std::vector<asyncio::Task<void>> roles_;
    asyncio::AnyTask victim_;
    End end_ = End::no_such_moment;
    int marks_ = 0;
    int until_second_ = -1;
    int requests_ = 0;
    bool only_request_ = false;  // no deadline has asked before, whose message would be the first
};

// ---- all of them

class CancelScenarios : public ::testing::TestWithParam<NamedScenario> {
protected:
    // Every task at every moment; once, twice, or withdrawn; eager or not.
    static void cancel_everybody_everywhere() {
        for (const Moment moment : {Moment::between, Moment::after_batch, Moment::mark}) {
            for (const bool eager : {false, true}) {
                Plan plan;
                plan.moment = moment;
                plan.eager = eager;
                while (cancel_each(plan) && !HasFailure()) {
                    ASSERT_LT(++plan.number, iterations_max);
                }
            }
        }
    }

    static void abandon_everywhere() {
        int steps = 0;
        for (bool more = true; more && !HasFailure(); ++steps) {
            SCOPED_TRACE(std::string(GetParam().name) + ", closed after " + std::to_string(steps));
            const std::unique_ptr<Scenario> scenario = GetParam().make();
            more = Play(*scenario, Plan()).abandon(steps);
        }
        EXPECT_GT(steps, 1);
    }

private:
    // False if the moment does not come.
    static bool cancel_each(Plan plan) {
        for (plan.victim = 0; !HasFailure(); ++plan.victim) {
            const Play::End end = play_all_ways(plan);
            if (end != Play::End::played) {
                return end != Play::End::no_such_moment;
            }
        }
        return false;
    }

    static Play::End play_all_ways(Plan plan) {
        static constexpr int later_max = 3;
        plan.debug = true;
        const Play::End end = play(plan);
        if (end != Play::End::played) {
            return end;
        }
        plan.debug = false;
        plan.message = true;
        play(plan);
        plan.then = Then::withdraw;
        play(plan);
        plan.then = Then::again;
        for (plan.later = 0; plan.later <= later_max; ++plan.later) {
            play(plan);
        }
        return end;
    }

    static Play::End play(const Plan& plan) {
        const std::unique_ptr<Scenario> scenario = GetParam().make();
        const auto end = Play(*scenario, plan).run();
        if (HasFailure()) {
            ADD_FAILURE() << GetParam().name << ": " << plan;
        }
        return end;
    }
};

inline std::string name_of_scenario(const ::testing::TestParamInfo<NamedScenario>& tested) {
    return tested.param.name;
}
