// What the tests of signals share. Every test is a process of its own, so signals disturb no other.
// A signal that a thread raises has been handled when `raise` returns.
#pragma once

#include "loop_fixture.hpp"

#include <csignal>

inline struct sigaction disposition(int number) {
    struct sigaction current{};
    EXPECT_EQ(::sigaction(number, nullptr, &current), 0);
    return current;
}

inline bool is_default(int number) { return disposition(number).sa_handler == SIG_DFL; }

class Signals : public LoopFixture {
protected:
    // Shells start what runs in the background without Ctrl-C.
    Signals() { std::signal(SIGINT, SIG_DFL); }
};
