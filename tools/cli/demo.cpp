// asyncio demo: plays the two ideas of the README, each done badly and then well, and where work
// that computes belongs. What it draws is recorded while it happens, by calls next to the awaits
// they describe.
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>
#include <asyncio/process_pool.hpp>

#include "commands.hpp"
#include "demo_computing.hpp"
#include "demo_parts.hpp"
#include "sequence_diagram.hpp"
#include "site_server.hpp"
#include "terminal.hpp"
#include "text_table.hpp"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace asyncio::cli {

using namespace std::chrono_literals;

namespace {

constexpr int page_count = 6;

// Who takes part; the tasks have numbers from 1.
constexpr std::size_t main_coroutine = 0;
constexpr std::size_t event_loop = 1;
constexpr std::size_t task(std::size_t number) noexcept { return event_loop + number; }

std::vector<std::string> participants(std::size_t task_count) {
    std::vector<std::string> names{"Main", "Event loop"};
    for (std::size_t i = 1; i <= task_count; ++i) {
        names.push_back("Task " + std::to_string(i));
    }
    return names;
}

std::string task_name(std::size_t number) { return "Task " + std::to_string(number); }

// Puts what happens into the diagram, with the time at which it does.
class Recorder {
public:
    // Shared with the tasks, which may outlive a scenario that fails.
    using Ptr = std::shared_ptr<Recorder>;

    Recorder(const Terminal& terminal, std::size_t task_count)
        : diagram_(std::cout, terminal, participants(task_count)) {
        diagram_.print_header();
        start_ = std::chrono::steady_clock::now();
    }

    void record(std::size_t from, std::size_t to, std::string_view label) {
        diagram_.add(elapsed(), from, to, label);
    }
    void creates(std::size_t number) {
        record(main_coroutine, event_loop, "create_task(" + task_name(number) + ")");
    }
    void waits_for(std::string_view what) {
        record(main_coroutine, event_loop, "await " + std::string(what));
    }
    void main_goes_on() { record(event_loop, main_coroutine, "Main goes on"); }

    Duration elapsed() const { return std::chrono::steady_clock::now() - start_; }

private:
    SequenceDiagram diagram_;
    TimePoint start_;
};

// Fetches a page and records what happens to the coroutine that does.
Coro<int> fetch(Recorder::Ptr recorder, std::size_t who, std::string url) {
    recorder->record(who, event_loop, "waits for I/O");
    const http::Response page = co_await http::fetch(std::move(url));
    recorder->record(event_loop, who, "I/O done, goes on");
    co_return page.status;
}

// The same, as the coroutine of a task.
Coro<int> fetch_as_task(Recorder::Ptr recorder, std::size_t number, std::string url) {
    recorder->record(event_loop, task(number), "first step");
    const int status = co_await fetch(recorder, task(number), std::move(url));
    recorder->record(task(number), main_coroutine, "result: " + std::to_string(status));
    co_return status;
}

Task<int> create_fetch(Recorder::Ptr recorder, std::size_t number, const std::string& url) {
    recorder->creates(number);
    return create_task(fetch_as_task, std::move(recorder), number, url);
}

using Urls = std::vector<std::string>;

// ---- Scenario 1

constexpr std::string_view scenario_1_bad_code = R"(
    // delay(1s) fetches a page that takes a second.
    Coro<int> fetch_data_bad() {
        int first = co_await delay(1s);    // waits a second,
        int second = co_await delay(1s);   // and only then begins another
        co_return first + second;
    }
)";

Coro<void> scenario_1_bad(Recorder::Ptr recorder, Urls urls) {
    for (const std::string& url : urls) {
        co_await fetch(recorder, main_coroutine, url);
    }
}

constexpr std::string_view scenario_1_better_code = R"(
    Coro<int> fetch_data_better() {
        auto task1 = asyncio::create_task(delay(1s));   // scheduled only
        auto task2 = asyncio::create_task(delay(1s));
        int first = co_await task1;                     // both wait meanwhile
        int second = co_await task2;
        co_return first + second;
    }
)";

Coro<void> scenario_1_better(Recorder::Ptr recorder, Urls urls) {
    std::vector<Task<int>> tasks;
    for (const std::string& url : urls) {
        tasks.push_back(create_fetch(recorder, tasks.size() + 1, url));
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        recorder->waits_for(task_name(i + 1));
        co_await tasks[i];
        recorder->main_goes_on();
    }
}

// ---- Scenario 2

constexpr std::string_view scenario_2_bad_code = R"(
    Coro<Pages> process_urls_bad(std::vector<std::string> urls) {
        Pages pages;
        for (const auto& url : urls) {   // a task, awaited as soon as it exists
            pages.push_back(co_await asyncio::create_task(fetch(url)));
        }
        co_return pages;
    }
)";

Coro<void> scenario_2_bad(Recorder::Ptr recorder, Urls urls) {
    for (std::size_t i = 0; i < urls.size(); ++i) {
        const Task<int> created = create_fetch(recorder, i + 1, urls[i]);
        recorder->waits_for(task_name(i + 1));
        co_await created;
        recorder->main_goes_on();
    }
}

constexpr std::string_view scenario_2_better_code = R"(
    Coro<Pages> process_urls_better(std::vector<std::string> urls) {
        std::vector<Task<Page>> tasks;
        for (const auto& url : urls) {   // first create all of them,
            tasks.push_back(asyncio::create_task(fetch(url)));
        }
        co_return co_await asyncio::gather(tasks);   // then wait; order is kept
    }
)";

Coro<void> scenario_2_better(Recorder::Ptr recorder, Urls urls) {
    std::vector<Task<int>> tasks;
    for (const std::string& url : urls) {
        tasks.push_back(create_fetch(recorder, tasks.size() + 1, url));
    }
    recorder->waits_for("gather(tasks)");
    co_await gather(tasks);
    recorder->main_goes_on();
}

// ---- the show

struct Way {
    std::string_view title;
    std::string_view code;
    Coro<void> (*play)(Recorder::Ptr, Urls);
    // Those that the picture has lines for.
    std::size_t task_count;
};

struct Scenario {
    std::string_view title;
    Urls urls;
    Way bad;
    Way better;
};

class Demo {
public:
    Demo(Terminal terminal, std::string url) : terminal_(terminal), url_(std::move(url)) {}

    Coro<void> play() {
        introduce();
        // The first fetch also sets the client up, which is not what the scenarios are about.
        co_await http::fetch(url_ + "/delay/0");
        co_await compare(
            {"1: two pages that take 1 s each",
             Urls(2, url_ + "/delay/1000"),
             {"Bad: one after the other", scenario_1_bad_code, scenario_1_bad, 0},
             {"Better: create_task first", scenario_1_better_code, scenario_1_better, 2}});
        co_await compare({"2: six pages that take 0.3 s each",
                          Urls(page_count, url_ + "/delay/300"),
                          {"Bad: create a task and wait for it, one by one", scenario_2_bad_code,
                           scenario_2_bad, page_count},
                          {"Better: create all tasks, then gather", scenario_2_better_code,
                           scenario_2_better, page_count}});
        for (std::vector<std::string>& row : co_await play_computing(terminal_)) {
            measured_.push_back(std::move(row));
        }
        conclude();
    }

private:
    void introduce() const {
        std::cout
            << "asyncio demo: waiting for many things at once, in one thread.\n\n"
               "You will see three scenarios, each first done badly and then well: the\n"
               "code, a picture of what really happens while it runs, and the time it takes.\n"
               "The pages come from a small web server in this same process and event loop.\n"
               "In their pictures time goes down, and each arrow hands something over\n"
               "between the main coroutine, the event loop and the tasks. In the last\n"
               "scenario nothing waits, and the work has to leave that thread. All of it\n"
               "takes 7 s.\n";
    }

    Coro<void> compare(Scenario scenario) {
        print_heading(terminal_, "Scenario " + std::string(scenario.title));
        const Duration bad = co_await measure(scenario.urls, scenario.bad, Colour::red);
        const Duration better = co_await measure(scenario.urls, scenario.better, Colour::green);
        std::cout << "\nOne after the other, the waits add up to " << in_seconds(bad)
                  << ". Together they take " << in_seconds(better) << ".\n";
        measured_.push_back(measured_row(scenario.title, bad, better));
    }

    Coro<Duration> measure(Urls urls, Way way, Colour colour) {
        print_way(terminal_, colour, way.title, way.code);
        const auto recorder = std::make_shared<Recorder>(terminal_, way.task_count);
        co_await way.play(recorder, std::move(urls));
        const Duration time = recorder->elapsed();
        print_took(terminal_, colour, time);
        co_return time;
    }

    void conclude() const {
        print_heading(terminal_, "What was measured");
        std::cout << '\n'
                  << TextTable{{"scenario", "bad", "better", "gain"}, {33, 9, 9, 10}, measured_}
                         .str(terminal_);
        print_heading(terminal_, "Which way when");
        const TextTable ways{
            {"way", "properties", "errors", "use it for"},
            {15, 18, 19, 17},
            {{"co_await coro()", "one after the other; simple", "thrown at once",
              "steps that need each other's results"},
             {"create_task()", "scheduled by hand; gives a handle, the Task",
              "if nobody awaits it, only reported when the handle goes",
              "control over a single task, such as cancelling it"},
             {"gather()", "runs many at once; keeps their order",
              "the first is thrown, or all are collected",
              "many tasks that are independent of each other"},
             {"to_thread()", "beside the loop; shares its memory", "thrown where it is awaited",
              "calls that block, work that computes"},
             {"run_in_executor (processes, ...)", "beside the loop; copies what it is given",
              "thrown, even if the work crashes",
              "work that computes, and may crash or never end"}}};
        std::cout << '\n'
                  << ways.str(terminal_)
                  << "\nTasks share one thread: they help where a program waits.\n";
    }

    Terminal terminal_;
    std::string url_;
    std::vector<std::vector<std::string>> measured_;
};

Coro<void> run_demo() {
    SiteServer server;
    const Task<void> serving = create_task({.name = "site"}, server.serve());
    Demo demo(Terminal::of(STDOUT_FILENO), server.url());
    co_await demo.play();
    serving.cancel();
}

}  // namespace

void add_demo(CLI::App& app, int& exit_status) {
    CLI::App* const command =
        app.add_subcommand("demo", "Plays three scenarios with and without concurrency, in 7 s");
    command->callback([&exit_status] {
        try {
            start_process_server();
            asyncio::run(run_demo());
            if (!std::cout.flush()) {
                throw std::runtime_error("what it shows cannot be written to the standard output");
            }
            exit_status = 0;
        } catch (const KeyboardInterrupt&) {
            exit_status = 130;
        } catch (const std::exception& error) {
            std::cerr << "asyncio demo: " << error.what() << '\n';
            exit_status = 1;
        }
    });
}

}  // namespace asyncio::cli
