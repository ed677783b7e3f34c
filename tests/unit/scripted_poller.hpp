// A poller that a test writes the script of, and a clock that a test moves: what the loop asks of
// the kernel, without the kernel.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/poller.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

// Stands still unless it is moved. Unlike a virtual clock, it makes the loop wait in its poller.
class ManualClock final : public asyncio::Clock {
public:
    asyncio::TimePoint now() override { return time; }
    asyncio::TimePoint time{};
};

// Records for how long it is asked to wait. A poll plays the next step of the script; without one
// it lets that much time pass.
class ScriptedPoller final : public asyncio::Poller {
public:
    using Step = std::function<void(ReadyList& ready)>;

    explicit ScriptedPoller(ManualClock& clock) : clock_(clock) {}

    void poll(std::optional<asyncio::Duration> timeout, ReadyList& ready) override {
        timeouts.push_back(timeout);
        if (!script.empty()) {
            const Step step = std::move(script.front());
            script.pop_front();
            step(ready);
        } else if (!timeout) {
            throw std::logic_error("the test's loop would wait for ever");
        } else {
            clock_.time += *timeout;
        }
    }
    void wake() noexcept override {
        ++wakes;
        errno = EAGAIN;  // as the kernel says where it need not be woken again
    }
    void start(asyncio::IoOperation& operation) override { operations.push_back(&operation); }
    bool cancel(asyncio::IoOperation& operation) noexcept override {
        std::erase(operations, &operation);
        if (operation.scheduled()) {
            operation.unlink();
        }
        return true;
    }
    asyncio::IoOperation* watching(int fd, asyncio::IoDirection direction) const noexcept override {
        const auto found = std::find_if(
            operations.begin(), operations.end(), [=](const asyncio::IoOperation* operation) {
                return operation->fd() == fd && operation->direction() == direction;
            });
        return found == operations.end() ? nullptr : *found;
    }
    std::size_t watched() const noexcept override { return operations.size(); }
    int fileno() const noexcept override { return -1; }
    void arm(std::optional<asyncio::Duration>) override {}

    std::vector<std::optional<asyncio::Duration>> timeouts;
    std::deque<Step> script;
    std::vector<asyncio::IoOperation*> operations;
    int wakes = 0;

private:
    ManualClock& clock_;
};
