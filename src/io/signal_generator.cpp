// signals, on top of add_signal_handler and a queue.
#include <asyncio/event_loop.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/signals.hpp>

#include <memory>
#include <utility>

namespace asyncio::inline v0 {

namespace {

// The handlers, for as long as the generator lives.
struct Arrivals {
    explicit Arrivals(EventLoop& loop) : loop(loop), memory(loop.create_future<void>()) {}
    Arrivals(const Arrivals&) = delete;
    Arrivals& operator=(const Arrivals&) = delete;
    ~Arrivals() {
        for (const int number : handled) {
            loop.remove_signal_handler(number);
        }
    }

    EventLoop& loop;
    Future<void> memory;  // keeps that of a loop which closes before the generator goes
    std::vector<int> handled;
    Queue<int> numbers;
};

AsyncGenerator<int> listen(std::unique_ptr<Arrivals> arrivals) {
    for (;;) {
        co_yield co_await arrivals->numbers.get();
    }
}

}  // namespace

AsyncGenerator<int> signals(const std::vector<int>& numbers) {
    // Not in the generator's body, which runs later.
    auto arrivals = std::make_unique<Arrivals>(get_running_loop());
    arrivals->handled.reserve(numbers.size());
    for (const int number : numbers) {
        arrivals->loop.add_signal_handler(
            number, [&queue = arrivals->numbers, number] { queue.put_nowait(number); });
        arrivals->handled.push_back(number);
    }
    return listen(std::move(arrivals));
}

}  // namespace asyncio::inline v0
