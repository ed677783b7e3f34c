// A call that is held up for as long as a test wants.
#pragma once

#include <latch>

// Blocks the thread that calls it until the test lets it go.
class Gate {
public:
    void operator()() {
        entered_.count_down();
        opened_.wait();
    }
    void wait_until_entered() { entered_.wait(); }
    void open() { opened_.count_down(); }

private:
    std::latch entered_{1};
    std::latch opened_{1};
};
