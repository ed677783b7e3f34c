// What the tests of asynchronous generators share: generators that end in different ways.
#pragma once

#include <asyncio/async_generator.hpp>

#include "coordination_fixture.hpp"

#include <stdexcept>
#include <string>

struct Boom : std::runtime_error {
    Boom() : std::runtime_error("boom") {}
};

class AsyncGenerators : public Coordination {
public:
    // For coroutines that are given the test.
    using Coordination::note_error;
    using Coordination::notes;

    static asyncio::AsyncGenerator<int> count_to(int end) {
        for (int i = 1; i <= end; ++i) {
            co_await asyncio::sleep(std::chrono::seconds(1));
            co_yield i;
        }
    }

    // Yields for ever, and takes time to clean up.
    asyncio::AsyncGenerator<int> careful(std::string name = "") {
        bool closed = false;
        try {
            for (int i = 1;; ++i) {
                co_yield i;
            }
        } catch (const asyncio::GeneratorExit&) {
            closed = true;
        }
        if (closed) {
            notes += name + "closing ";
            co_await asyncio::sleep(std::chrono::seconds(1));
            notes += name + "closed ";
        }
    }

    asyncio::AsyncGenerator<int> fails_to_close() {
        bool closed = false;
        try {
            co_yield 1;
        } catch (const asyncio::GeneratorExit&) {
            closed = true;
        }
        co_await asyncio::sleep(std::chrono::seconds(1));
        if (closed) {
            throw Boom();
        }
    }

    // Notes when its variables are destroyed.
    asyncio::AsyncGenerator<int> plain() {
        struct Note {
            ~Note() { notes += "destroyed "; }
            std::string& notes;
        } const note{notes};
        co_yield 1;
        co_yield 2;
    }
};
