// What the tests of run_workers share. Every test is a process of its own, so signals disturb no
// other. Workers may be processes: they tell what they did through pipes.
#pragma once

#include <asyncio/asyncio.hpp>
#include <asyncio/workers.hpp>

#include "process_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <stdexcept>

using asyncio::CancelledError;
using asyncio::Coro;
using asyncio::run_workers;
using asyncio::ValueError;
using asyncio::WorkersOptions;
using Notes = std::vector<std::string>;

// Lines that all workers write; they may be processes.
class Notebook {
public:
    void add(const std::string& note) const {
        const std::string line = note + "\n";
        if (::write(pipe_.writer.get(), line.data(), line.size()) < 0) {
            throw std::runtime_error("cannot write a note");
        }
    }
    // Takes one out, when there is one.
    std::string next() const {
        std::string note;
        for (char byte = 0; byte != '\n';) {
            if (::read(pipe_.reader.get(), &byte, 1) != 1) {
                throw std::runtime_error("cannot read a note");
            }
            note += byte;
        }
        note.pop_back();
        return note;
    }
    void wait(int count) const {
        while (count-- > 0) {
            next();
        }
    }
    // Those that are left, in order of the alphabet.
    Notes sorted() {
        pipe_.writer = asyncio::detail::UniqueFd();
        Notes notes;
        std::string line;
        for (const char byte : read_all(pipe_.reader.get())) {
            if (byte == '\n') {
                notes.push_back(std::exchange(line, {}));
            } else {
                line += byte;
            }
        }
        std::ranges::sort(notes);
        return notes;
    }

private:
    PipeEnds pipe_;
};

inline Coro<void> wait_for_ever() { co_await asyncio::get_running_loop().create_future<void>(); }

class Workers : public ::testing::TestWithParam<bool> {
protected:
    // Shells start what runs in the background without Ctrl-C.
    Workers() { std::signal(SIGINT, SIG_DFL); }
    ~Workers() override { EXPECT_FALSE(has_children()); }

    static WorkersOptions options() { return {.processes = GetParam()}; }

    // A main function: adds a note when it is cancelled.
    auto waiting() const {
        return [this](std::size_t index) -> Coro<void> {
            ready.add("ready");
            try {
                co_await wait_for_ever();
            } catch (const CancelledError&) {
                notes.add("cancelled " + std::to_string(index));
                throw;
            }
        };
    }
    // The same, but worker 0 calls `act` when the others wait, and waits like them if it returns.
    template <class F>
    auto waiting_but_one(int others, F act) const {
        return [this, others, act](std::size_t index) -> Coro<void> {
            if (index == 0) {
                ready.wait(others);
                act();
            }
            co_await waiting()(index);
        };
    }

    const Notebook ready;
    Notebook notes;
};

// To the process that calls this, from whichever worker.
inline auto send(int signal) {
    return [signal, program = ::getpid()] { ::kill(program, signal); };
}
