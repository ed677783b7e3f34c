// The scenes. A comment `line: NAME` marks a line that the tests expect to be told.
#include "target.hpp"

#include <asyncio/asyncio.hpp>

#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

extern "C" char asyncio_debug[];

namespace scenes {

using asyncio::Coro;
using asyncio::Future;
using asyncio::Task;
using namespace std::chrono_literals;

void print_ready() {
    std::puts("ready");
    std::fflush(stdout);
}

// ---- who waits for whom

Coro<void> connect() {
    co_await asyncio::sleep(1h);  // line: connect
}

template <class T>
Coro<T> request(T answer) {
    co_await connect();  // line: request
    co_return answer;
}

Coro<int> fetch(int number) {
    co_return co_await request(number);  // line: fetch
}

Coro<void> join(Task<int> task) {
    co_await task;  // line: join
}

Coro<void> expect(Future<int> future) {
    co_await future;  // line: expect
}

Coro<int> at_once() { co_return 1; }

Coro<void> collect(Task<int> fetching) {
    co_await asyncio::gather(fetch(2), fetching, at_once());  // line: collect
}

Coro<void> protect(Task<int> task) {
    co_await asyncio::shield(task);  // line: protect
}

Coro<void> both(Task<int> task, Future<int> future) {
    co_await asyncio::gather(asyncio::shield(task), future);  // line: both
}

Coro<void> refuse_to_end() {
    try {
        co_await asyncio::sleep(1h);
    } catch (const asyncio::CancelledError&) {
        // The request stays counted.
    }
    co_await asyncio::sleep(2h);  // line: refuse_to_end
}

Coro<void> follow(std::vector<Task<void>>& tasks, std::size_t index) {
    co_await asyncio::sleep(0s);
    co_await tasks[index];  // line: follow
}

Coro<void> tree() {
    asyncio::EventLoop& loop = asyncio::get_running_loop();
    auto first = asyncio::create_task({.name = "fetch-1"}, fetch(1));  // line: create fetch-1
    auto future = loop.create_future<int>();                           // line: create future
    std::vector<Task<void>> tasks;
    tasks.push_back(asyncio::create_task({.name = "join"}, join(first)));
    tasks.push_back(asyncio::create_task(
        {.name = "a name that is far too long to be stored inside of a std::string, ünïcödé"},
        expect(future)));
    tasks.push_back(asyncio::create_task({.name = "collect"}, collect(first)));
    tasks.push_back(asyncio::create_task({.name = "protect"}, protect(first)));
    tasks.push_back(asyncio::create_task({.name = "both"}, both(first, future)));
    tasks.push_back(asyncio::create_task({.name = "stubborn"}, refuse_to_end()));
    std::vector<Task<void>> circle;
    circle.push_back(asyncio::create_task({.name = "circle-0"}, follow(circle, 1)));
    circle.push_back(asyncio::create_task({.name = "circle-1"}, follow(circle, 0)));
    tasks.push_back(asyncio::create_task([]() -> Coro<void> {
        co_await asyncio::sleep(3h);  // line: lambda
    }));
    for (int i = 0; i < 3; ++i) {
        co_await asyncio::sleep(0s);
    }
    tasks[5].cancel();
    co_await asyncio::sleep(1ms);
    print_ready();
    co_await asyncio::sleep(4h);  // line: tree
}

// ---- loops that run while they are looked at

Coro<void> spin() {
    auto first = asyncio::create_task({.name = "fetch-1"}, fetch(1));
    co_await asyncio::sleep(1ms);
    asyncio::get_running_loop().call_soon([] {
        print_ready();
        for (volatile bool stop = false; !stop;) {
        }
    });
    co_await first;
}

Coro<void> compute() {
    co_await asyncio::sleep(1ms);
    co_await asyncio::sleep(0s);  // line: compute
    print_ready();
    for (volatile bool stop = false; !stop;) {
    }
}

Coro<void> crunch() {
    auto cruncher = asyncio::create_task({.name = "cruncher"}, compute());
    co_await cruncher;
}

Coro<void> relay(int depth) {
    if (depth == 0) {
        co_await asyncio::sleep(0s);
    } else {
        co_await relay(depth - 1);
        co_await asyncio::sleep(0s);
    }
}

Coro<void> work(int number) {
    for (int i = 0; i < number % 7; ++i) {
        co_await relay(number % 5);
    }
    co_await asyncio::gather(relay(1), relay(2));
}

Coro<void> churn() {
    print_ready();
    for (int number = 0;; ++number) {
        std::vector<Task<void>> tasks;
        for (int i = 0; i < 20; ++i) {
            tasks.push_back(
                asyncio::create_task({.name = "worker-" + std::to_string(i)}, work(number + i)));
        }
        co_await asyncio::gather(tasks);
        if (number % 50 == 0) {
            co_await asyncio::sleep(100us);
        }
    }
}

// ---- sizes

Coro<void> many() {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 100'000; ++i) {
        tasks.push_back(asyncio::create_task(fetch(i)));
    }
    co_await asyncio::sleep(1ms);
    print_ready();
    co_await tasks.front();
}

Coro<void> descend(int depth) {
    if (depth == 0) {
        co_await asyncio::sleep(1h);  // line: bottom
    } else {
        co_await descend(depth - 1);  // line: descend
    }
}

Coro<void> deep() {
    auto diver = asyncio::create_task({.name = "diver"}, descend(100'000));
    co_await asyncio::sleep(1ms);
    print_ready();
    co_await diver;
}

// ---- processes of other kinds

Coro<void> threads() {
    static std::atomic<int> started{0};
    static const auto unused = asyncio::new_event_loop();
    auto serve = []() -> Coro<void> {
        ++started;
        co_await asyncio::sleep(1h);
    };
    std::jthread other([&serve] { asyncio::run(serve()); });
    auto local = asyncio::create_task(serve());
    while (started.load() < 2) {
        co_await asyncio::sleep(1ms);
    }
    print_ready();
    co_await local;
}

Coro<void> forked() {
    if (::fork() != 0) {
        co_await asyncio::sleep(1h);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto serve = []() -> Coro<void> {
        std::printf("%d\n", ::getpid());
        std::fflush(stdout);
        co_await asyncio::sleep(1h);
    };
    asyncio::run(serve());
}

Coro<void> hidden() {
    ::prctl(PR_SET_DUMPABLE, 0);
    print_ready();
    co_await asyncio::sleep(1h);
}

Coro<void> of_the_future() {
    asyncio_debug[16] = 99;  // the major version
    print_ready();
    co_await asyncio::sleep(1h);
}

}  // namespace scenes

int run_target(int argc, char** argv) {
    const std::map<std::string, std::function<asyncio::Coro<void>()>> known{
        {"tree", scenes::tree},       {"spin", scenes::spin},
        {"crunch", scenes::crunch},   {"churn", scenes::churn},
        {"many", scenes::many},       {"deep", scenes::deep},
        {"threads", scenes::threads}, {"hidden", scenes::hidden},
        {"forked", scenes::forked},   {"of_the_future", scenes::of_the_future},
    };
    const auto scene = known.find(argc > 1 ? argv[1] : "");
    if (scene == known.end()) {
        std::fprintf(stderr, "usage: %s SCENE\n", argv[0]);
        return 2;
    }
    asyncio::run(scene->second());
    return 0;
}
