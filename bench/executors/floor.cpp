// The floor of executors: two threads, or two processes, and what passes between them; no queue, no
// future and nobody who could be cancelled.
#include "executors/channel.hpp"
#include "executors/work.hpp"
#include "floor/threadsafe_queue.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>
#include <thread>

namespace {

using bench::map_size;
using bench::Megabyte;
using floor_runtime::Pipe;
using floor_runtime::ThreadsafeQueue;
using floor_runtime::Turn;
using floor_runtime::Waiting;

void threadsafe(long operations) {
    ThreadsafeQueue queue;
    long called = 0;
    std::thread caller([&] {
        for (long turn = 0; turn < operations; ++turn) {
            queue.push([&called] { ++called; });
        }
    });
    while (called < operations) {
        queue.wait_and_run();
    }
    caller.join();
}

// One function at a time is called in another thread.
template <Waiting waiting, class T>
void call_in_thread(T value, long operations) {
    std::function<T(T)> function;
    Turn asked;
    Turn answered;
    std::thread worker([&] {
        for (long turn = 0; turn < operations; ++turn) {
            asked.wait<waiting>();
            value = function(std::move(value));
            answered.give();
        }
    });
    for (long turn = 0; turn < operations; ++turn) {
        function = [](T given) { return given; };
        asked.give();
        answered.wait<waiting>();
    }
    worker.join();
}

void map_in_thread(long operations) {
    ThreadsafeQueue calls;
    ThreadsafeQueue results;
    const long batches = operations / map_size;
    std::thread worker([&] {
        for (long called = 0; called < batches * map_size;) {
            called += calls.wait_and_run();
        }
    });
    for (long batch = 0; batch < batches; ++batch) {
        long ended = 0;
        for (long index = 0; index < map_size; ++index) {
            calls.push([&] { results.push([&ended] { ++ended; }); });
        }
        while (ended < map_size) {
            results.wait_and_run();
        }
    }
    worker.join();
}

// To the first or the last of the processors that it may use.
void pin(bool to_last) {
    cpu_set_t usable;
    sched_getaffinity(0, sizeof usable, &usable);
    int chosen = -1;
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (CPU_ISSET(processor, &usable) && (to_last || chosen < 0)) {
            chosen = processor;
        }
    }
    CPU_ZERO(&usable);
    CPU_SET(chosen, &usable);
    sched_setaffinity(0, sizeof usable, &usable);
}

// A copy of this program answers as long as it is asked. Two processes that wait for each other may
// end up on one processor, where they would be of no use to each other.
template <class Ask, class Answer>
void call_in_process(long operations, Ask ask, Answer answer) {
    Pipe asked;
    Pipe answered;
    const pid_t child = fork();
    pin(child == 0);
    if (child == 0) {
        for (long turn = 0; turn < operations; ++turn) {
            asked.wait();
            answer();
            answered.give();
        }
        _exit(0);
    }
    for (long turn = 0; turn < operations; ++turn) {
        ask([&] {
            asked.give();
            answered.wait();
        });
    }
    waitpid(child, nullptr, 0);
}

void call_process(long operations) {
    call_in_process(operations, [](auto exchange) { exchange(); }, [] {});
}

// Through memory that both have: one copy in, one by the process, one out.
void echo_by_process(long operations) {
    Megabyte message = bench::make_megabyte();
    const std::size_t size = message.size();
    void* const shared =
        mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* const inbox = static_cast<unsigned char*>(shared);
    unsigned char* const outbox = inbox + size;
    call_in_process(
        operations,
        [&](auto exchange) {
            std::memcpy(inbox, message.data(), size);
            exchange();
            std::memcpy(message.data(), outbox, size);
            bench::keep(message.data());
        },
        [&] { std::memcpy(outbox, inbox, size); });
    munmap(shared, 2 * size);
}

const bench::Rows<void (*)(long)> rows = {
    {"threadsafe_ns", threadsafe},
    {"thread_call_us", [](long times) { call_in_thread<Waiting::spins>(0, times); }},
    {"thread_call_one_core_us", [](long times) { call_in_thread<Waiting::sleeps>(0, times); }},
    {"thread_mib_us",
     [](long times) { call_in_thread<Waiting::spins>(bench::make_megabyte(), times); }},
    {"thread_map_us", map_in_thread},
    {"process_call_us", call_process},
    {"process_call_one_core_us", call_process},
    {"process_mib_us", echo_by_process},
};

}  // namespace

int main(int count, char** values) {
    return bench::measure(rows, bench::Arguments(count, values),
                          [](auto work, long operations) { work(operations); });
}
