// Crashes by the hundred: processes of a pool end in all the ways there are, in the middle of calls
// and under load, and nothing else may go wrong.
//
//     soak_processes [CRASHES] [SEED]
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>

#include "../unit/process_census.hpp"
#include "../unit/sanitizers.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>

namespace {

using namespace std::chrono_literals;
using asyncio::Coro;
using asyncio::function;
using asyncio::ProcessPoolExecutor;
using asyncio::run_in_executor;

// In the memory that the processes share, from before they are made.
std::atomic<int>& crashes() {
    static auto* const counter =
        new (::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<int>(0);
    return *counter;
}

// ---- what runs in the processes

using Numbers = std::vector<std::uint64_t>;

Numbers sequence(std::uint64_t seed, std::size_t count) {
    Numbers numbers;
    for (std::mt19937_64 random(seed); numbers.size() < count;) {
        numbers.push_back(random());
    }
    return numbers;
}

// Lets the process have this much memory more.
void limit_memory(std::size_t more) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more;
    ::setrlimit(RLIMIT_AS, &limit);
}

void use_memory_up() {
    for (std::vector<std::vector<char>> kept;;) {
        kept.emplace_back(std::size_t{1} << 20, 'x');
    }
}

std::size_t want_too_much(std::size_t size) {
    rlimit before{};
    ::getrlimit(RLIMIT_AS, &before);
    limit_memory(size / 2);
    const std::shared_ptr<void> restored(nullptr, [&](void*) { ::setrlimit(RLIMIT_AS, &before); });
    return std::vector<char>(size, 'x').size();
}

int use_stack_up(volatile int& depth) {
    volatile char page[4096];
    page[0] = static_cast<char>(depth);
    depth = depth + 1;
    return depth > 0 ? use_stack_up(depth) + page[0] : 0;
}

enum class End { kill, segfault, abort, exit, memory, stack, spin, stop, count };

void end_by(End how) {
    ++crashes();
    switch (how) {
    case End::kill:
        ::raise(SIGKILL);
        break;
    case End::segfault:
        ::raise(SIGSEGV);
        break;
    case End::abort:
        std::abort();
    case End::exit:
        std::exit(3);
    case End::memory:
        limit_memory(std::size_t{20} << 20);
        std::set_terminate(&std::abort);
        []() noexcept { use_memory_up(); }();
        break;
    case End::stack: {
        const rlimit limit{1 << 20, RLIM_INFINITY};
        ::setrlimit(RLIMIT_STACK, &limit);
        volatile int depth = 0;
        use_stack_up(depth);
        break;
    }
    case End::stop:
        ::raise(SIGSTOP);
        [[fallthrough]];
    case End::spin:
    case End::count:
        for (volatile int i = 0;; i = i + 1) {
        }
    }
}

std::uint64_t double_or_end(std::uint64_t number) {
    if (number == 0) {
        end_by(End::segfault);
    }
    return 2 * number;
}

// Ends the process that reads it, or that writes it, after so many bytes.
template <class Fatal>
struct Mine {
    std::string bytes;
};
template <class Archive, class Fatal>
void serialize(Archive& archive, Mine<Fatal>& mine) {
    archive(mine.bytes);
    if (std::is_same_v<Archive, Fatal>) {
        end_by(End::kill);
    }
}
void explode(const Mine<asyncio::Reader>&) {}
Mine<asyncio::Writer> explode_late(std::size_t size) { return {std::string(size, 'x')}; }

// ---- the program

struct Storm {
    Storm(std::uint64_t seed, int wanted) : random(seed), wanted(wanted) {}

    std::mt19937_64 random;
    const int wanted;
    const pid_t server = census::server_of(::getpid());
    ProcessPoolExecutor pool{{.max_workers = 4, .restart = true}};
    int calls = 0;
    int victims = 0;         // calls that were not meant to fail
    std::set<pid_t> killed;  // from outside
    std::vector<std::string> problems;

    std::size_t below(std::size_t limit) { return random() % limit; }

    // The text has to begin and go on like this, unless the process was killed from outside.
    void check(const char* what, const std::string& text, const std::string& begin,
               const std::string& part = "") {
        ++calls;
        if (text.starts_with(begin) && text.find(part) != std::string::npos) {
            return;
        }
        int pid = 0;
        if (std::sscanf(text.c_str(),
                        "BrokenProcessPool: process %d of a pool was ended by SIGKILL",
                        &pid) == 1 &&
            killed.contains(pid)) {
            ++victims;
            return;
        }
        problems.push_back(std::string(what) + ": " + text);
    }

    template <class A>
    static Coro<std::string> text_of(A call) {
        try {
            // Far longer than anything takes: nothing may hang.
            co_await asyncio::wait_for(std::move(call), 60s);
            co_return "none";
        } catch (...) {
            co_return asyncio::describe_exception(std::current_exception());
        }
    }

    Coro<void> work() {
        const std::uint64_t start = random();
        const std::size_t count = below(20) == 0 ? 100'000 : below(1'000);
        try {
            const Numbers numbers =
                co_await run_in_executor(pool, function<&sequence>, start, count);
            check("work", numbers == sequence(start, count) ? "right" : "wrong", "right");
        } catch (...) {
            check("work", asyncio::describe_exception(std::current_exception()), "right");
        }
    }

    Coro<void> end() {
        static constexpr const char* parts[] = {"SIGKILL", "SIGSEGV", "SIGABRT",
                                                "code 3",  "SIGABRT", "SIGSEGV"};
        // Where a sanitizer looks after memory, it cannot be limited.
        const auto how = static_cast<End>(below(has_plain_memory ? 6 : 4));
        check("end", co_await text_of(run_in_executor(pool, function<&end_by>, how)),
              "BrokenProcessPool: process ", parts[static_cast<int>(how)]);
    }

    Coro<void> get_stuck() {
        const End how = below(2) == 0 ? End::spin : End::stop;
        const auto patience = std::chrono::milliseconds(5 + below(30));
        check("stuck",
              co_await text_of(asyncio::wait_for(
                  run_in_executor(pool, function<&end_by>.killable(), how), patience)),
              "TimeoutError");
    }

    // The call ends at the very moment when nobody waits for it any more.
    Coro<void> come_late() {
        const std::uint64_t start = random();
        const std::size_t count = 20'000;
        const auto patience = std::chrono::microseconds(below(1'000));
        try {
            const Numbers numbers = co_await asyncio::wait_for(
                run_in_executor(pool, function<&sequence>.killable(), start, count), patience);
            check("late", numbers == sequence(start, count) ? "right" : "wrong", "right");
        } catch (...) {
            check("late", asyncio::describe_exception(std::current_exception()), "TimeoutError");
        }
    }

    Coro<void> want_memory() {
        check(
            "memory",
            co_await text_of(run_in_executor(pool, function<&want_too_much>, std::size_t{1} << 30)),
            "bad_alloc");
    }

    Coro<void> send_mine() {
        const std::size_t size = std::size_t{20} << 20;
        const std::string text =
            below(2) == 0
                ? co_await text_of(run_in_executor(pool, function<&explode>,
                                                   Mine<asyncio::Reader>{std::string(size, 'x')}))
                : co_await text_of(run_in_executor(pool, function<&explode_late>, size));
        check("mine", text, "BrokenProcessPool: process ", "explode");
    }

    // One of them crashes, and takes at most its chunk with it.
    Coro<void> map_chunks() {
        constexpr std::size_t chunk = 4;
        std::vector<std::uint64_t> numbers{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
        const std::size_t fatal = below(numbers.size());
        numbers[fatal] = 0;
        auto doubled = pool.map(function<&double_or_end>, numbers, chunk);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            try {
                const auto value = co_await asyncio::wrap_future(std::move(doubled[i]));
                check("map", value == 2 * numbers[i] && i != fatal ? "right" : "wrong", "right");
            } catch (...) {
                const bool is_near = i < fatal + chunk && fatal < i + chunk;
                check("map", asyncio::describe_exception(std::current_exception()),
                      is_near ? "BrokenProcessPool: process " : "right", is_near ? "SIGSEGV" : "");
            }
        }
    }

    void kill_one() {
        const std::vector<int> pids = pool.processes();
        if (pids.empty()) {
            return;
        }
        // The process may have ended meanwhile, and its number may be another's.
        const pid_t pid = pids[below(pids.size())];
        const census::Watch process(pid);
        if (census::parent_of(pid) == server &&
            ::syscall(SYS_pidfd_send_signal, process.fd(), SIGKILL, nullptr, 0) == 0) {
            killed.insert(pid);
            ++crashes();
        }
    }

    Coro<void> one_thing() {
        switch (below(20)) {
        case 0:
        case 1:
        case 2:
        case 3:
            co_await end();
            break;
        case 4:
            co_await get_stuck();
            break;
        case 5:
            co_await send_mine();
            break;
        case 6:
            co_await map_chunks();
            break;
        case 7:
            kill_one();
            break;
        case 8:
            co_await come_late();
            break;
        case 9:
            if (has_plain_memory) {
                co_await want_memory();
            }
            break;
        default:
            co_await work();
        }
    }

    Coro<void> client() {
        while (crashes() < wanted && problems.empty()) {
            co_await one_thing();
        }
    }

    Coro<void> run() {
        constexpr int clients = 12;
        co_await asyncio::task_group([this](asyncio::TaskGroup& group) -> Coro<void> {
            for (int i = 0; i < clients; ++i) {
                group.create_task(client());
            }
            co_return;
        });
        pool.shutdown();
    }

    static constexpr bool has_plain_memory = !built_with_asan && !built_with_tsan;
};

struct Belongings {
    std::size_t descriptors;
    std::size_t of_server;
    std::size_t processes;
    std::size_t messages;
    bool operator==(const Belongings&) const = default;
};

Belongings belongings() {
    const pid_t server = census::server_of(::getpid());
    return {census::descriptors_of(::getpid()), census::descriptors_of(server),
            census::children_of(server).size(),
            census::messages_of(::getpid()) + census::messages_of(server)};
}

// The server and a pool's thread take a moment to see that the pool has gone.
template <class F>
void settle(F is_settled) {
    const auto patience = std::chrono::steady_clock::now() + 10s;
    while (!is_settled() && std::chrono::steady_clock::now() < patience) {
        ::sched_yield();
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int wanted = count > 1 ? std::atoi(arguments[1]) : 1000;
    const std::uint64_t seed =
        count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device()();
    (void)crashes();
    // When a call has come back, the server is complete.
    asyncio::run([]() -> Coro<void> {
        ProcessPoolExecutor pool(1);
        (void)co_await run_in_executor(pool, function<&sequence>, 1U, 1U);
    });
    // The standard ones, the program's, and those for its end and for its children's.
    constexpr std::size_t of_idle_server = 6;
    settle([] { return belongings().of_server == of_idle_server; });
    const Belongings before = belongings();
    std::vector<std::string> problems;
    asyncio::run([&]() -> Coro<void> {
        Storm storm(seed, wanted);
        co_await storm.run();
        problems = std::move(storm.problems);
        std::printf(
            "%d calls and %d crashes, %zu of them by kills from outside, which hit %d calls\n",
            storm.calls, crashes().load(), storm.killed.size(), storm.victims);
    });
    settle([&] { return belongings() == before; });
    if (const Belongings after = belongings(); after != before) {
        std::printf("before and after: descriptors %zu %zu, of the server %zu %zu, processes %zu "
                    "%zu, shared memory %zu %zu\n",
                    before.descriptors, after.descriptors, before.of_server, after.of_server,
                    before.processes, after.processes, before.messages, after.messages);
        problems.push_back("something is left");
    }
    for (const std::string& problem : problems) {
        std::printf("%s\n", problem.c_str());
    }
    if (!problems.empty()) {
        std::printf("to repeat: %s %d %llu\n", arguments[0], wanted,
                    static_cast<unsigned long long>(seed));
    }
    return problems.empty() ? 0 : 1;
}
